"""How fast calls are simulated."""

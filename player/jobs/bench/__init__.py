"""How fast the cluster is simulated."""

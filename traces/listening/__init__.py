"""What servers share: where they listen, and what their clients do wrong."""

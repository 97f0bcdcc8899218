"""Sweeps whose sessions are calls (`task = "call"`): as the emulator and as the simulator know them."""

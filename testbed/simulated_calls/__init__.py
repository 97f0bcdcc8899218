"""`testbed/simulate.py --task call`: calls without a network, each policy over each trace."""

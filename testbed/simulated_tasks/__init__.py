"""`testbed/simulate.py --task jobs|viewport`: tasks that are played without a link."""

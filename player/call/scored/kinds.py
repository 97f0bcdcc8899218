"""Kinds of a call's score and their usual weights, for command lines too: nothing is compiled for these."""

KINDS = ("linear", "opennetlab", "pandia")

STALL_MBPS = 12.5
"""What a share of stall of 1 costs: 1 % weighs a tenth of 1.25 Mbit/s, half of a call's usual ceiling."""
DELAY_MBPS_PER_S = 1.0
"""What a second of delay of the 95th percentile costs: 100 ms weigh 0.1 Mbit/s."""

"""A small net that sets a call's rate, taught by the oracle, with rounds on its own states."""

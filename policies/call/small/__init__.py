"""A small net that sets a call's rate, taught by the oracle with squared error and rounds on its own states."""

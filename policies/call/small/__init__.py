"""A small net that sets a call's rate, taught by who is told the link, with rounds on its own states."""

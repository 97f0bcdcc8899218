"""Names and figures that command lines tell, and what runs takes from here; nothing is imported."""

from __future__ import annotations

TRAINED, OTHERWISE = "genet", "hindsight"
"""The light policy on the ladder that GENET was trained for, and on others: `card.md` has both measured."""
BUDGET_MS = 100.0
"""Of one decision, as in Trailblazer."""
RESERVE_MS = 10.0
"""Of the budget, at most a tenth: for the light policy's own time and the way back from the server."""
LIGHT_OF_CALLS = "small"
"""Of calls. GCC goes on from the low rates that the model takes where it is hard: routing beside it has less
bitrate than it has alone (`docs/calls.md`)."""
LLM, APC, LIGHT_ONLY = "llm", "apc", "light"
WAYS = (LLM, APC, LIGHT_ONLY)
"""Who decides in `load`."""

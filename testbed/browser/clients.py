"""Who can play a session: names only, which command lines need."""

from __future__ import annotations

PYTHON, DASHJS = "python", "dashjs"
CLIENTS = (PYTHON, DASHJS)
"""Our player, or dash.js in a browser."""

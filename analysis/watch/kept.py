"""The name of the page that a run or a sweep leaves which served one: what it showed at last."""

from __future__ import annotations

PAGE = "page.html"
"""In the folder of its records."""

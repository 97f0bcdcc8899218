"""A figure for the page (SVG) and for a paper (PDF, PNG), all of one layout."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from analysis.style import RC, save

FOLDER = "figures"

SVG_RC: Any = {"svg.hashsalt": "streambed", "svg.fonttype": "path"}
"""Equal figures give equal files; text as outlines looks the same wherever the page is opened."""


@dataclass(frozen=True)
class Picture:
    """A figure as the page shows it."""

    name: str
    """Of its files."""
    caption: str
    """What is shown, of how many, and how to read it."""
    alt: str
    """What it says, for who cannot see it."""
    svg: bytes
    width_in: float


def keep(figure: Figure, folder: Path, name: str, caption: str, alt: str) -> Picture:
    """Write `figures/NAME.pdf` and `.png` into a folder that has `figures`, and have the SVG.

    Raises:
        OSError: a file cannot be written.
    """
    with matplotlib.rc_context({**RC, **SVG_RC}):
        figure.draw_without_rendering()  # the layout is found once, not once a format
        figure.set_layout_engine("none")
        for ending in (".pdf", ".png"):
            save(figure, folder / FOLDER / f"{name}{ending}")
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return Picture(name, caption, alt, out.getvalue(), float(figure.get_size_inches()[0]))

"""A figure for the page (SVG) and for a paper (PDF, PNG), all of one layout."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from analysis.style import PNG_DPI, RC

SVG_RC: Any = {"svg.hashsalt": "streambed", "svg.fonttype": "path"}
"""Equal figures give equal files; text as outlines looks the same wherever the page is opened."""


@dataclass(frozen=True)
class Picture:
    """A figure as the page shows it, and as files."""

    name: str
    """Of its files."""
    caption: str
    """What is shown, of how many, and how to read it."""
    alt: str
    """What it says, for who cannot see it."""
    width_in: float
    svg: bytes
    pdf: bytes
    png: bytes


def picture(figure: Figure, name: str, caption: str, alt: str) -> Picture:
    """The figure in all formats, without a date in any."""
    svg, pdf, png = io.BytesIO(), io.BytesIO(), io.BytesIO()
    with matplotlib.rc_context({**RC, **SVG_RC}):
        figure.draw_without_rendering()  # the layout is found once; `savefig` would find it twice a format
        figure.set_layout_engine("none")
        figure.set_dpi(PNG_DPI)
        FigureCanvasAgg(figure).print_png(png)
        FigureCanvasPdf(figure).print_pdf(pdf, metadata={"CreationDate": None})
        FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None, "Creator": None})
    width_in = float(figure.get_size_inches()[0])
    return Picture(name, caption, alt, width_in, svg.getvalue(), pdf.getvalue(), png.getvalue())

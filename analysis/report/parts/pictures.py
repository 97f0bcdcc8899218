"""A figure for the page (SVG) and for a paper (PDF, PNG, SVG, EPS), all of one layout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import matplotlib
from matplotlib.figure import Figure

from analysis.style import RC, SVG, USUAL_FORMATS, rendered

_formats: ContextVar[tuple[str, ...]] = ContextVar("formats", default=USUAL_FORMATS)


@contextmanager
def written_as(formats: tuple[str, ...]) -> Iterator[None]:
    """Pictures that are made within have these formats, and the page's SVG."""
    before = _formats.set(formats)
    try:
        yield
    finally:
        _formats.reset(before)


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
    files: dict[str, bytes]
    """Format -> content."""

    @property
    def svg(self) -> bytes:
        return self.files[SVG]


def picture(figure: Figure, name: str, caption: str, alt: str) -> Picture:
    """The figure in the formats that are asked for (`written_as`) and as SVG, without a date in any."""
    with matplotlib.rc_context(RC):
        files = rendered(figure, dict.fromkeys((SVG, *_formats.get())))
    return Picture(name, caption, alt, float(figure.get_size_inches()[0]), files)

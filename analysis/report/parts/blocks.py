"""What a section is made of: text, lists, lines to type, tables and pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import matplotlib
from matplotlib.figure import Figure

from analysis.report.parts.pictures import Picture, picture
from analysis.report.parts.table_rendering import Table
from analysis.sessions import AnalysisError
from analysis.style import RC


@dataclass(frozen=True)
class Paragraph:
    """Text."""

    text: str
    kind: str = ""
    """A word for the style sheet."""


@dataclass(frozen=True)
class Bullets:
    """A list; what each item begins with is set off."""

    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Code:
    """Lines to be typed, or a file."""

    title: str
    text: str


Block = Paragraph | Bullets | Code | Table | Picture


@dataclass(frozen=True)
class Section:
    """A part of the page with a title, which the contents name."""

    id: str
    title: str
    blocks: tuple[Block, ...]


def drawn(name: str, make: Callable[[], Figure | None], caption: str, alt: str) -> list[Block]:
    """The picture; nothing where there is nothing to see, a sentence where it cannot be drawn."""
    try:
        with matplotlib.rc_context(RC):
            figure = make()
    except AnalysisError as error:
        return [Paragraph(f"The figure {name} is not drawn: {error}.", "warning")]
    return [] if figure is None else [picture(figure, name, caption, alt)]

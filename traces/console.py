"""A `rich` console on which names from outside are visible (`traces/escaping.py`).

A text is a line, and so is a table's cell: a new line in a name is shown, and makes no second one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult, RichCast
from rich.control import Control
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from traces.escaping import visible, visible_lines


@dataclass(frozen=True)
class _Visible:
    """Something to be printed, its text visible; what steers the terminal is the console's own."""

    inner: ConsoleRenderable | RichCast

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self.inner, options):
            text = segment.text if segment.control else visible_lines(segment.text)
            yield Segment(text, segment.style, segment.control)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self.inner)


class _AllVisible(RenderHook):
    def process_renderables(self, renderables: list[Any]) -> list[Any]:
        return [one if isinstance(one, Control) else _Visible(_in_lines(one)) for one in renderables]


def _in_lines(one: Any) -> Any:
    """A text on one line; a table, its cells so."""
    if isinstance(one, Text) and _breaks(one.plain):
        return Text(visible(one.plain), one.style, end=one.end, no_wrap=one.no_wrap, overflow=one.overflow)
    if isinstance(one, Table):
        for column in one.columns:
            column.header = _cell(column.header)
            column._cells = [_cell(cell) for cell in column._cells]
    return one


def _cell(cell: Any) -> Any:
    return visible(cell) if isinstance(cell, str) and _breaks(cell) else _in_lines(cell)


def _breaks(text: str) -> bool:
    return not {"\n", "\t", "\r"}.isdisjoint(text)


class VisibleConsole(Console):
    """As `rich.console.Console`; a name that is printed can't steer the terminal."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.push_render_hook(_AllVisible())

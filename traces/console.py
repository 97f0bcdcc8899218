"""A `rich` console on which names from outside are visible (`traces/escaping.py`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult, RichCast
from rich.control import Control
from rich.measure import Measurement
from rich.segment import Segment

from traces.escaping import visible_lines


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
        return [one if isinstance(one, Control) else _Visible(one) for one in renderables]


class VisibleConsole(Console):
    """As `rich.console.Console`; a name that is printed can't steer the terminal."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.push_render_hook(_AllVisible())

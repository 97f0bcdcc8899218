"""How far a simulation has come, for a person."""

from __future__ import annotations

import sys
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from traces.console import VisibleConsole

PROGRESS_LINES = 10
"""On a pipe, so many in all."""


class ProgressLine:
    """How many sessions are done: a bar on a terminal, a few lines on a pipe; on stderr."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._said = total, 0, 0
        console = VisibleConsole(stderr=True)
        self._bar = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("simulating"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=console,
                transient=True,
            )
            self._task = self._bar.add_task("", total=total)

    def __enter__(self) -> ProgressLine:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, sessions: int) -> None:
        """So many more are done."""
        self._done += sessions
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done)
            return
        part = self._done * PROGRESS_LINES // max(self._total, 1)
        if part > self._said:
            self._said = part
            print(f"simulated {self._done} of {self._total} sessions", file=sys.stderr, flush=True)

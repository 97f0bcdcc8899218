"""What a person sees of a running sweep: a bar on a terminal, plain lines on a pipe."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from testbed.sweeps.experiment.plan import Unit
from testbed.sweeps.folder import Attempt
from testbed.sweeps.state import DONE

LINES = 20
"""On a pipe, at most so many of how far it is, and …"""
LINE_EVERY_S = 60.0
"""… one after so long."""


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.4 h`."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"


class SweepDisplay:
    """How far a sweep is, and how long it will take. A context manager."""

    def __init__(self, console: Console, wall_s: float, at_once: int) -> None:
        self._console = console
        self._guess_s = wall_s
        """For all that is to be run, until as many units have ended as run at once: their pace tells."""
        self._at_once = at_once
        self._ended = 0
        self._done = self._sessions = 0
        self._left_s = self._ended_s = 0.0
        self._said, self._said_at = 0, time.monotonic()
        self._begun_at = time.monotonic()
        self._bar: Progress | None = None

    def plan(self, units: Sequence[Unit], ended: Sequence[Unit]) -> None:
        """All units, and those that are over already."""
        self._sessions = sum(unit.players for unit in units)
        self._done = sum(unit.players for unit in ended)
        self._left_s = sum(unit.length_s for unit in units) - sum(unit.length_s for unit in ended)
        self._said = self._done * LINES // max(self._sessions, 1)
        self._begun_at = time.monotonic()

    def __enter__(self) -> SweepDisplay:
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.completed:.0f} of {task.total:.0f} sessions"),
                BarColumn(),
                TextColumn("{task.fields[left]}"),
                console=self._console,
                transient=True,
            )
            self._task = self._bar.add_task(
                "", total=self._sessions, completed=self._done, left=self._words()
            )
            self._bar.start()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _words(self) -> str:
        spent_s = time.monotonic() - self._begun_at
        if self._ended >= self._at_once:
            left_s = self._left_s * spent_s / self._ended_s
        else:
            left_s = max(self._guess_s - spent_s, 1.0)
        return f"about {duration(left_s)} left"

    def say(self, text: str) -> None:
        """A line that stays."""
        self._console.print(Text(text), soft_wrap=True)

    def ended(self, unit: Unit, attempt: Attempt, again: bool) -> None:
        """An attempt is over."""
        if attempt.status != DONE:
            then = "it will be tried again" if again else "given up"
            self.say(f"{unit.name}: {attempt.status}, {'; '.join(attempt.reasons)}; {then}")
        if again:
            return
        self._done += unit.players
        self._left_s -= unit.length_s
        self._ended_s += unit.length_s
        self._ended += 1
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, left=self._words())
            return
        part = self._done * LINES // max(self._sessions, 1)
        now = time.monotonic()
        if part > self._said or now - self._said_at >= LINE_EVERY_S:
            self._said, self._said_at = part, now
            left = f", {self._words()}" if self._done < self._sessions else ""
            self.say(f"{self._done} of {self._sessions} sessions{left}")

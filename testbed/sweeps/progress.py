"""What a person sees of a running sweep: a bar on a terminal, plain lines on a pipe."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from testbed.simulated.computing_pace import ComputingPace
from testbed.sweeps.experiment.units import Unit
from testbed.sweeps.folder import Attempt
from testbed.sweeps.state import DONE
from traces.words import duration

LINES = 20
"""On a pipe, at most so many of how far it is, and …"""
LINE_EVERY_S = 60.0
"""… one after so long."""


def chunks_of(units: Sequence[Unit]) -> Counter[str]:
    """How many chunks there are of each policy."""
    found: Counter[str] = Counter()
    for unit in units:
        found[unit.policy.spec] += unit.chunks * unit.players
    return found


class _LeftColumn(ProgressColumn):
    """How long it will take, as of now and not of when a session ended last."""

    def __init__(self, words: Callable[[], str]) -> None:
        super().__init__()
        self._said = words

    def render(self, task: Task) -> Text:
        return Text(self._said())


class SweepDisplay:
    """How far a sweep is, and how long it will take. A context manager."""

    def __init__(
        self, console: Console, wall_s: float, at_once: int, pace: ComputingPace | None = None
    ) -> None:
        self._console = console
        self._pace = pace
        """Of sessions that are computed; others take as long as their videos."""
        self._chunks_left: Counter[str] = Counter()
        """By policy."""
        self._guess_s = wall_s
        """For all that is to be run, until as many units have ended as run at once: their pace tells."""
        self._at_once = at_once
        self._ended = 0
        self._done = self._sessions = 0
        self._left_s = self._ended_s = 0.0
        self._said, self._said_at = 0, time.monotonic()
        self._begun_at = self._ended_at = time.monotonic()
        self._bar: Progress | None = None

    def plan(self, units: Sequence[Unit], ended: Sequence[Unit]) -> None:
        """All units, and those that are over already."""
        self._sessions = sum(unit.players for unit in units)
        self._done = sum(unit.players for unit in ended)
        self._left_s = sum(unit.length_s for unit in units) - sum(unit.length_s for unit in ended)
        self._chunks_left = chunks_of(units)
        self._chunks_left.subtract(chunks_of(ended))
        self._said = self._done * LINES // max(self._sessions, 1)
        self._begun_at = self._ended_at = time.monotonic()

    def __enter__(self) -> SweepDisplay:
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.completed:.0f} of {task.total:.0f} sessions"),
                BarColumn(),
                _LeftColumn(self._words),
                console=self._console,
                transient=True,
            )
            self._task = self._bar.add_task("", total=self._sessions, completed=self._done)
            self._bar.start()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _words(self) -> str:
        spent_s = time.monotonic() - self._begun_at
        if self._pace is not None:
            if self._pace.guessed(
                {policy: count for policy, count in self._chunks_left.items() if count > 0}
            ):
                return "no forecast yet"
            since_s = time.monotonic() - self._ended_at
            left_s = self._pace.left_s(self._chunks_left, self._at_once)
            return f"about {duration(max(left_s - since_s, 1.0))} left"
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
        self._ended_at = time.monotonic()
        self._chunks_left[unit.policy.spec] -= unit.chunks
        if self._pace is not None and attempt.took_s > 0:
            self._pace.ended(unit.policy.spec, unit.chunks, attempt.took_s)
        self._left_s -= unit.length_s
        self._ended_s += unit.length_s
        self._ended += 1
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done)
            return
        part = self._done * LINES // max(self._sessions, 1)
        now = time.monotonic()
        if part > self._said or now - self._said_at >= LINE_EVERY_S:
            self._said, self._said_at = part, now
            left = f", {self._words()}" if self._done < self._sessions else ""
            self.say(f"{self._done} of {self._sessions} sessions{left}")

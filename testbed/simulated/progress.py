"""How far many sessions have come: a bar on a terminal, plain lines on a pipe."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from testbed.simulated.computing_pace import ComputingPace
from traces.words import counted, duration

LINES = 20
"""On a pipe, at most so many of how far it is, and …"""
LINE_EVERY_S = 60.0
"""… one after so long."""
WORTH_A_FORECAST_S = 2.0
"""What takes less is over before one has read how long it takes."""


def left_words(left_s: float) -> str:
    """How long it will take from now on; empty where that isn't worth the words."""
    return f"about {duration(left_s)} left" if left_s > WORTH_A_FORECAST_S else ""


class Forecast(Protocol):
    """Says how long the rest will take."""

    def left(self) -> str:
        """From now on, in words; empty where there are none."""


class ComputedForecast:
    """Of sessions that are computed: each policy takes its own time.

    Args:
        pace: what is known of the policies; told of what ends.
        chunks: to be computed, by policy.
        processes: that compute.
    """

    def __init__(self, pace: ComputingPace, chunks: Mapping[str, int], processes: int) -> None:
        self._pace, self._processes = pace, processes
        self._chunks = Counter(chunks)
        self._ended_at = time.monotonic()

    def ended(self, policy: str, chunks: int, took_s: float, sessions: int = 1) -> None:
        """So many chunks of a policy are done.

        Args:
            took_s: of one process; 0 where that tells nothing.
            sessions: that they are of.
        """
        self._chunks[policy] -= chunks
        if took_s > 0:
            self._pace.ended(policy, chunks, took_s, sessions)
        self._ended_at = time.monotonic()

    def left(self) -> str:
        if self._pace.guessed({policy: count for policy, count in self._chunks.items() if count > 0}):
            return "no forecast yet"
        since_s = time.monotonic() - self._ended_at
        return left_words(self._pace.left_s(self._chunks, self._processes) - since_s)


class SessionsProgress:
    """A context manager; `begin` says how many there are.

    Args:
        console: of the person.
        forecast: of the rest; looked at whenever something is shown.
    """

    def __init__(self, console: Console, forecast: Forecast) -> None:
        self._console, self._forecast = console, forecast
        self._total = self._done = self._said = 0
        self._said_at = time.monotonic()
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.completed:.0f} of {task.total:.0f} sessions"),
                BarColumn(),
                _LeftColumn(forecast.left),
                console=console,
                transient=True,
            )
            self._task = self._bar.add_task("", total=0)

    def __enter__(self) -> SessionsProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin(self, total: int, done: int = 0) -> None:
        """There are so many sessions; some may be over already."""
        self._total, self._done = total, done
        self._said, self._said_at = self._part(), time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, total=total, completed=done)

    def say(self, text: str) -> None:
        """A line that stays."""
        self._console.print(Text(text), soft_wrap=True)

    def ended(self, count: int = 1) -> None:
        """So many more sessions are over."""
        self._done += count
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done)
            return
        part, now = self._part(), time.monotonic()
        if part > self._said or now - self._said_at >= LINE_EVERY_S:
            self._said, self._said_at = part, now
            left = self._forecast.left() if self._done < self._total else ""
            of = f"{self._done} of {counted(self._total, 'session')}"
            self.say(f"{of}, {left}" if left else of)

    def _part(self) -> int:
        """How many of `LINES` are due."""
        return self._done * LINES // max(self._total, 1)


class _LeftColumn(ProgressColumn):
    """How long it will take, as of now and not of when a session ended last."""

    def __init__(self, words: Callable[[], str]) -> None:
        super().__init__()
        self._said = words

    def render(self, task: Task) -> Text:
        return Text(self._said())

"""How far a simulation has come, and how long it will take, for a person."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from testbed.simulated.computing_pace import ComputingPace
from testbed.simulated.jobs import JobDone, SimulationJob
from traces.console import VisibleConsole
from traces.words import counted, duration

PROGRESS_LINES = 10
"""On a pipe, so many in all, beside the first."""
WORTH_A_FORECAST_S = 2.0
"""What takes less is over before one has read how long it takes."""


class ProgressLine:
    """A bar on a terminal, a few lines on a pipe; on stderr. A context manager.

    Args:
        jobs: all that is to be done.
        pace: what is known of the policies; told of what ends.
    """

    def __init__(self, jobs: Sequence[SimulationJob], processes: int, pace: ComputingPace) -> None:
        self._total, self._done, self._said = sum(len(job.sessions) - sum(job.kept) for job in jobs), 0, 0
        self._pace, self._processes = pace, processes
        self._chunks: Counter[str] = Counter()
        for job in jobs:
            self._chunks[job.sessions[0].policy] += _chunks(job)
        self._ended_at = time.monotonic()
        console = VisibleConsole(stderr=True)
        self._bar = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("simulating"),
                BarColumn(),
                MofNCompleteColumn(),
                _LeftText(self),
                console=console,
                transient=True,
            )
            self._task = self._bar.add_task("", total=self._total)

    def __enter__(self) -> ProgressLine:
        if self._bar is not None:
            self._bar.start()
        elif self._total:
            words = self._pace.words(self._chunks, self._processes)
            print(f"simulating {counted(self._total, 'session')}: {words}", file=sys.stderr, flush=True)
        return self

    def __exit__(self, *error: Any) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._pace.keep()

    @property
    def left(self) -> str:
        """How long it will take from now on, in words; empty when it isn't known or not worth them."""
        if self._pace.guessed({policy: count for policy, count in self._chunks.items() if count > 0}):
            return ""
        left_s = self._pace.left_s(self._chunks, self._processes) - (time.monotonic() - self._ended_at)
        return f"about {duration(left_s)} left" if left_s > WORTH_A_FORECAST_S else ""

    def ended(self, job: SimulationJob, done: JobDone) -> None:
        """A job is done."""
        policy, chunks = job.sessions[0].policy, _chunks(job)
        self._chunks[policy] -= chunks
        if done.took_s > 0:
            self._pace.ended(policy, chunks, done.took_s, sessions=len(job.sessions))
        self._ended_at = time.monotonic()
        self._done += len(done.written)
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done)
            return
        part = self._done * PROGRESS_LINES // max(self._total, 1)
        if part > self._said:
            self._said = part
            left = f", {self.left}" if self.left else ""
            print(f"simulated {self._done} of {self._total} sessions{left}", file=sys.stderr, flush=True)


class _LeftText(ProgressColumn):
    """What is left, as of now."""

    def __init__(self, line: ProgressLine) -> None:
        super().__init__()
        self._line = line

    def render(self, task: Task) -> Text:
        return Text(self._line.left)


def _chunks(job: SimulationJob) -> int:
    return sum(session.chunks for session in job.sessions)

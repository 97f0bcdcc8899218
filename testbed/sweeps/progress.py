"""What a person sees of a running sweep: how far it is, and what went wrong."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

from rich.console import Console

from testbed.simulated.computing_pace import ComputingPace
from testbed.simulated.progress import ComputedForecast, Forecast, SessionsProgress, left_words
from testbed.sweeps.experiment.units import Unit
from testbed.sweeps.folder import Attempt
from testbed.sweeps.state import DONE


def chunks_of(units: Sequence[Unit]) -> Counter[str]:
    """How many chunks there are of each policy."""
    found: Counter[str] = Counter()
    for unit in units:
        found[unit.policy.spec] += unit.chunks * unit.players
    return found


class UnitForecast(Forecast, Protocol):
    """A forecast that hears of units."""

    def unit_ended(self, unit: Unit, took_s: float) -> None:
        """One is over, after so many seconds of a process; 0 where that tells nothing."""


class ComputedUnits(ComputedForecast):
    """Of a sweep that is computed."""

    def __init__(self, pace: ComputingPace, left: Sequence[Unit], processes: int) -> None:
        super().__init__(pace, chunks_of(left), processes)

    def unit_ended(self, unit: Unit, took_s: float) -> None:
        self.ended(unit.policy.spec, unit.chunks * unit.players, took_s)


class StreamedUnits:
    """Of a sweep that is emulated: sessions take as long as their videos, and a little more.

    Args:
        left: to be streamed.
        wall_s: a guess for all, until as many units have ended as run at once: then their pace tells.
    """

    def __init__(self, left: Sequence[Unit], wall_s: float, at_once: int) -> None:
        self._left_s = sum(unit.length_s for unit in left)
        self._guess_s, self._at_once = wall_s, at_once
        self._ended, self._ended_s = 0, 0.0
        self._begun_at = time.monotonic()

    def unit_ended(self, unit: Unit, took_s: float) -> None:
        self._left_s -= unit.length_s
        self._ended_s += unit.length_s
        self._ended += 1

    def left(self) -> str:
        spent_s = time.monotonic() - self._begun_at
        if self._ended >= self._at_once:
            return left_words(self._left_s * spent_s / self._ended_s)
        return left_words(max(self._guess_s - spent_s, 0.0))


class SweepDisplay:
    """How far a sweep is, and which attempts were in vain. A context manager."""

    def __init__(self, console: Console, forecast: UnitForecast) -> None:
        self._forecast = forecast
        self._progress = SessionsProgress(console, forecast)
        self.say = self._progress.say

    def plan(self, units: Sequence[Unit], ended: Sequence[Unit]) -> None:
        """The units of this command, and those of them that are over already."""
        self._progress.begin(sum(unit.players for unit in units), sum(unit.players for unit in ended))

    def __enter__(self) -> SweepDisplay:
        self._progress.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._progress.__exit__(*error)

    def ended(self, unit: Unit, attempt: Attempt, again: bool) -> None:
        """An attempt is over."""
        if attempt.status != DONE:
            then = "it will be tried again" if again else "given up"
            self.say(f"{unit.name}: {attempt.status}, {'; '.join(attempt.reasons)}; {then}")
        if not again:
            self._forecast.unit_ended(unit, attempt.took_s)
            self._progress.ended(unit.players)

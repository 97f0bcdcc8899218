"""What asking the model gains, decision by decision: the data that schedulers are made from.

Sessions are played with half of the decisions drawn for the model, so that both kinds of states are met. At
each, both levels are known. Where they differ, two copies of the session go on from there: one takes the
model's level, the other the light policy's, and for the chunks after it the light policy decides in both, to
the end of the session, so that a buffer that is kept counts. The *gain* is what the first brings more. By
the performance difference lemma (Kakade and Langford, 2002) a scheduler that asks where this is positive does
better than the light policy alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.policy import Decision
from player.qoe import Scoring
from policies.apc.facts import NAMES, TOP_MBPS, Facts
from policies.apc.light import Light
from policies.apc.policy import BY_LIGHT
from policies.apc.router import Router
from policies.apc.rule import SchedulerError
from policies.apc.scheduler import RandomShare
from policies.apc.study.lockstep import Lockstep, Moment, StudyStart
from policies.llm.engine.contract import ServingEngine
from traces.files import aside
from traces.totals import running_total

EXPLORED = 0.5
"""Share of decisions that the model makes while data are collected."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Decisions, and what asking the model would have gained at each."""

    facts: Floats
    """(decisions, len(NAMES))"""
    gains: Floats
    """(decisions,) QoE to the session's end, on a ladder that ends at `TOP_MBPS`; 0 where both agree."""
    sessions: NDArray[np.int64]
    """(decisions,) which session each is of."""

    def __len__(self) -> int:
        return len(self.gains)

    @property
    def agree(self) -> float:
        """Share of decisions at which asking changes nothing."""
        return float((self.gains == 0.0).mean())

    def row(self, at: int) -> Facts:
        return Facts(*self.facts[at])

    def save(self, path: Path) -> None:
        """Write them aside, then under their name.

        Raises:
            OSError: they can't be written.
        """
        with aside(path) as partial, partial.open("wb") as file:
            np.savez(file, facts=self.facts, gains=self.gains, sessions=self.sessions)

    @classmethod
    def load(cls, path: Path) -> Moments:
        """Raises SchedulerError where there are none."""
        try:
            with np.load(path) as held:
                return cls(held["facts"], held["gains"], held["sessions"])
        except (OSError, ValueError, KeyError) as error:
            raise SchedulerError(f"{path}: no moments ({error}); collect them with: train") from None


def collect(
    engine: ServingEngine,
    starts: Sequence[StudyStart],
    light: str,
    *,
    together: int,
    chunks: int,
    say: Callable[[str], None] = lambda text: None,
) -> Moments:
    """Play sessions and measure what asking gains at each of their decisions.

    Args:
        light: the light policy's name.
        together: sessions at a time.
    """
    rows: list[tuple[Any, ...]] = []
    gains: list[float] = []
    sessions: list[int] = []
    for begin in range(0, len(starts), together):
        part = starts[begin : begin + together]
        lockstep = Lockstep(
            engine, part, lambda: Router(Light(light), RandomShare(EXPLORED)), chunks=chunks, ask_all=True
        )
        places = {id(seat): begin + place for place, seat in enumerate(lockstep.seats)}
        stand_in = Light(light)
        try:
            for moments in lockstep.moments():
                for moment in moments:
                    assert moment.considered.facts is not None
                    rows.append(dataclasses.astuple(moment.considered.facts))
                    gains.append(gain(moment, stand_in))
                    sessions.append(places[id(moment.seat)])
        finally:
            lockstep.close()
        say(f"{min(begin + together, len(starts))} of {len(starts)} sessions, {len(gains)} decisions")
    return Moments(np.array(rows).reshape(-1, len(NAMES)), np.array(gains), np.array(sessions))


def gain(moment: Moment, light: Light) -> float:
    """What the model's level brings more than the light policy's.

    Args:
        light: one that may be used up; it is reset for each copy.
    """
    if moment.llm_level == moment.considered.light.level:
        return 0.0
    assert moment.llm_level is not None
    scale = TOP_MBPS / (moment.seat.start.video.ladder_kbps[-1] / 1000.0)
    theirs = _follow(moment, moment.llm_level, light)
    return scale * (theirs - _follow(moment, moment.considered.light.level, light))


def _follow(moment: Moment, level: int, light: Light) -> float:
    """QoE summed over what is left of a copy that takes a level, and then the light policy's."""
    session = moment.seat.session.branch()
    qoe = Scoring().on(session.video.ladder_kbps)
    light.reset(moment.seat.start.video, 0, qoe)
    begin = len(session.rows)
    session.fetch(Decision(level, BY_LIGHT), 0.0)
    while len(session.rows) < session.video.chunks:
        wait_ms = session.wait()
        session.fetch(Decision(light.decide(session.observation()).level, BY_LIGHT), wait_ms)
    rows = session.rows[begin - 1 :]
    return running_total(
        qoe.per_chunk([row.level for row in rows], [row.stall_s for row in rows], session.video.ladder_kbps)
    )

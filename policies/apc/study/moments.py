"""What asking the model gains, decision by decision: the data that schedulers are made from.

Sessions are played with half of the decisions drawn for the model, so that both kinds of states are met. At
each, both levels are known. Where they differ, both are played out over several futures (`futures.py`), and
the *gain* is what the model's brings more: what a wrong choice would cost there, not whether it would be
one. After the choice somebody decides who is as good as the model and cheap, so that by the performance
difference lemma (Kakade and Langford, 2002) the gains that a scheduler leaves to the light policy are what it
loses against the model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.qoe import Scoring
from player.video.video import Video
from policies.apc.call_facts import CallFacts
from policies.apc.facts import NAMES, Facts
from policies.apc.light import Light
from policies.apc.router import Router
from policies.apc.rule import SchedulerError
from policies.apc.scheduler import AnyFacts, RandomShare
from policies.apc.study.futures import Choice, FutureGains, StudySession
from policies.apc.study.lockstep import Lockstep, Moment
from policies.apc.study.starts import StudyStart
from policies.llm.engine.contract import ServingEngine
from traces.files import aside
from traces.trace import Trace

EXPLORED = 0.5
"""Share of decisions that the model makes while data are collected."""
THEN = "hindsight"
"""Who decides after a choice: the model's teacher, and as good."""

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Moments:
    """Decisions, and what asking the model would have gained at each."""

    facts: Floats
    """(decisions, len(NAMES))"""
    gains: Floats
    """(decisions,) relative QoE to the session's end, the mean of some futures; 0 where both agree."""
    differ: Bools
    """(decisions,) whether the two held different levels best."""
    lines: NDArray[np.int64]
    """(decisions,) a number for each line (of generated members, for each member)."""
    names: tuple[str, ...] = NAMES
    """What the columns of `facts` are."""
    made_with: str = ""
    """What they depend on, such as the adapter, in words."""

    def __len__(self) -> int:
        return len(self.gains)

    @property
    def agree(self) -> float:
        """Share of decisions at which asking changes nothing."""
        return float(1.0 - self.differ.mean())

    def row(self, at: int) -> AnyFacts:
        return (Facts if self.names == NAMES else CallFacts)(*self.facts[at])

    def save(self, path: Path) -> None:
        """Write them aside, then under their name.

        Raises:
            OSError: they can't be written.
        """
        held: dict[str, Any] = {
            each.name: np.asarray(getattr(self, each.name)) for each in dataclasses.fields(self)
        }
        with aside(path) as partial, partial.open("wb") as file:
            np.savez(file, **held)

    @classmethod
    def load(cls, path: Path) -> Moments:
        """Raises SchedulerError where there are none, or of other facts."""
        try:
            with np.load(path) as held:
                found = cls(**{each.name: held[each.name] for each in dataclasses.fields(cls)})
        except (OSError, ValueError, KeyError) as error:
            raise SchedulerError(f"{path}: no moments ({error}); collect them with: train") from None
        names, made_with = tuple(str(name) for name in found.names), str(found.made_with)
        if names != NAMES:
            raise SchedulerError(f"{path}: moments of other facts; delete it, and train collects them again")
        return dataclasses.replace(found, names=names, made_with=made_with)


class Collected:
    """Moments as they come in: sessions side by side, and the choices that they met.

    Args:
        light: the light policy's name.
        chunks: of a session.
    """

    def __init__(self, light: str, chunks: int, scoring: Scoring) -> None:
        self._light, self._chunks, self._scoring = light, chunks, scoring
        self._rows: list[tuple[Any, ...]] = []
        self._lines: list[str] = []
        self._choices: list[Choice] = []
        self._at: list[int] = []
        self._sessions: list[StudySession] = []
        self._traces: dict[int, tuple[int, Trace]] = {}
        self._videos: dict[Video, int] = {}

    def play(self, engine: ServingEngine, part: Sequence[StudyStart]) -> None:
        """Sessions to their end."""
        lockstep = Lockstep(
            engine, part, lambda: Router(Light(self._light), RandomShare(EXPLORED)), chunks=self._chunks,
            ask_all=True, scoring=self._scoring,
        )  # fmt: skip
        first = len(self._sessions)
        places = {id(seat): first + place for place, seat in enumerate(lockstep.seats)}
        try:
            for moments in lockstep.moments():
                for moment in moments:
                    self._note(moment, places[id(moment.seat)])
            self._sessions += [self._played(seat.start, seat.session.rows) for seat in lockstep.seats]
        finally:
            lockstep.close()

    def _note(self, moment: Moment, session: int) -> None:
        assert moment.considered.facts is not None and moment.llm_level is not None
        start, light_level = moment.seat.start, moment.considered.light.level
        if moment.llm_level != light_level:
            self._at.append(len(self._rows))
            chunk = moment.observation.chunk
            self._choices.append(Choice(session, chunk, (moment.llm_level, light_level)))
        self._rows.append(dataclasses.astuple(moment.considered.facts))
        self._lines.append(start.line or start.trace.name)

    def _played(self, start: StudyStart, rows: Sequence[Any]) -> StudySession:
        trace, _ = self._traces.setdefault(id(start.trace), (len(self._traces), start.trace))
        video = self._videos.setdefault(start.video, len(self._videos))
        return StudySession(trace, video, start.start_index, tuple(row.level for row in rows))

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def choices(self) -> int:
        """At how many decisions the two held different levels best."""
        return len(self._choices)

    def moments(self, then: str, futures: int, threads: int = 1) -> Moments:
        """All of it, the choices played out."""
        traces = [trace for _, trace in self._traces.values()]
        judge = FutureGains(traces, list(self._videos), self._sessions, self._scoring, then, futures, threads)
        gains, differ = np.zeros(len(self._rows)), np.zeros(len(self._rows), bool)
        differ[self._at] = True
        if self._choices:
            gains[self._at] = judge.of(self._choices)
        facts = np.array(self._rows, np.float64).reshape(-1, len(NAMES))
        return Moments(facts, gains, differ, np.unique(self._lines, return_inverse=True)[1])


def collect(
    engine: ServingEngine,
    starts: Sequence[StudyStart],
    light: str,
    *,
    together: int,
    chunks: int,
    then: str = THEN,
    futures: int = 4,
    scoring: Scoring | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Moments:
    """Play sessions and measure what asking gains at each of their decisions.

    Args:
        light: the light policy's name.
        together: sessions at a time.
        then, futures: as of `FutureGains`.
        scoring: as of `Lockstep`.
    """
    found = Collected(light, chunks, scoring or Scoring())
    for begin in range(0, len(starts), together):
        found.play(engine, starts[begin : begin + together])
        say(f"{min(begin + together, len(starts))} of {len(starts)} sessions, {len(found)} decisions")
    say(f"playing {found.choices} choices out, {futures} futures each")
    return found.moments(then, futures)

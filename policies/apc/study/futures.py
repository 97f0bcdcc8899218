"""What a choice was worth: two copies of a session go on from it, over several futures, in the compiled core.

A session is played again up to the choice, level by level, and then each copy takes its own. From there
one policy decides in both to the end, so that a buffer that is kept counts, and what it saved when the
link fails later. What one future brings is mostly luck. So besides the future that came, the copies see
others that might have: the same trace from other places where the rate had been about the same over
the last seconds. Both copies see the same futures, and what is told is the mean difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from player.qoe import Scoring
from player.simulated.batch.library import Floats, Ints, Library
from player.simulated.batch.sessions import Sessions, Setup
from player.video.video import Video
from policies.llm.tasks.ladder.batch_policy import batch_policy
from policies.view.batch import View
from traces.trace import Trace

FUTURES = 4
"""That a choice is judged by: the one that came, and others."""
RECENT_S = (5.0, 30.0)
"""Over which a place's rate is compared with another's."""
NEAREST_SHARE, FEWEST = 0.05, 6
"""Of a trace's places, that count as alike; at least so many, where there are."""
RATE_FLOOR_MBPS = 0.02
"""Below it a link is as good as dark."""
AT_ONCE = 4096
"""Copies played side by side."""


@dataclass(frozen=True)
class StudySession:
    """A session that was played, to be played again."""

    trace: int
    """A place in the list of traces."""
    video: int
    start_index: int
    levels: tuple[int, ...]
    """Of every chunk."""


@dataclass(frozen=True)
class Choice:
    """A moment at which two levels were held best."""

    session: int
    """A place in the list of sessions."""
    chunk: int
    levels: tuple[int, int]
    """One's, and the other's."""


@dataclass(frozen=True)
class FutureGains:
    """Plays choices out.

    Args:
        then: who decides after the choice: `hindsight`, `robustmpc`, `genet` or `bba`.
        futures: of each choice, 1 or more; the first is the one that came.
    """

    traces: Sequence[Trace]
    videos: Sequence[Video]
    sessions: Sequence[StudySession]
    scoring: Scoring
    then: str = "hindsight"
    futures: int = FUTURES
    threads: int = 1
    seed: int = 0

    def of(self, choices: Sequence[Choice]) -> Floats:
        """(choices,) what each choice's first level brings more than its second, to the session's end.

        In relative quality, of which a ladder spans 4 (`policies/view/layout.py`).

        Raises:
            ValueError: a level that was never there.
            TraceError: a trace never delivers.
        """
        library = Library(self.traces, self.videos, self.scoring)
        places = [AlikePlaces(trace) for trace in self.traces]
        gains = np.zeros(len(choices))
        chunks = np.array([choice.chunk for choice in choices], np.int64)
        for chunk in np.unique(chunks):
            here = np.flatnonzero(chunks == chunk)
            for begin in range(0, len(here), max(AT_ONCE // (2 * self.futures), 1)):
                part = here[begin : begin + max(AT_ONCE // (2 * self.futures), 1)]
                gains[part] = self._part(library, places, [choices[at] for at in part], (int(chunk), begin))
        return gains

    def _part(
        self,
        library: Library,
        places: Sequence[AlikePlaces],
        choices: Sequence[Choice],
        drawn_for: tuple[int, ...],
    ) -> Floats:
        """(choices,) all of one chunk: copies stand as (choice, future, level)."""
        count, copies = len(choices), 2 * self.futures
        played = [self.sessions[choice.session] for choice in choices for _ in range(copies)]
        setup = Setup.of(
            len(played),
            trace=[each.trace for each in played],
            start_index=[each.start_index for each in played],
            video=[each.video for each in played],
            chunks=[len(each.levels) for each in played],
        )
        most = max(len(each.levels) for each in played)
        sessions = Sessions(library, setup, chunks=most, first_level=None, threads=self.threads)
        chunk = choices[0].chunk
        for step in range(chunk):
            sessions.step([each.levels[step] for each in played])
        self._jump(sessions, places, setup.trace, np.random.default_rng([self.seed, *drawn_for]))
        sessions.step([level for choice in choices for _ in range(self.futures) for level in choice.levels])
        total = sessions.state.reward.copy()
        follows = batch_policy(self.then, sessions, setup)
        while not sessions.done.all():
            sessions.step(follows.select())
            total += sessions.state.reward
        worth = (total * View(sessions).units).reshape(count, self.futures, 2)
        return np.asarray((worth[:, :, 0] - worth[:, :, 1]).mean(axis=1))

    def _jump(
        self, sessions: Sessions, places: Sequence[AlikePlaces], traces: Ints, random: np.random.Generator
    ) -> None:
        """Put all but each choice's first future where the link had been alike."""
        state, points = sessions.state, sessions.library.packed
        for first in range(0, len(sessions), 2 * self.futures):
            trace = int(traces[first])
            others = places[trace].draw(float(state.at_s[first]), self.futures - 1, random)
            for number, index in enumerate(others):
                copies = slice(first + 2 * (number + 1), first + 2 * (number + 2))
                state.interval[copies] = state.begin[first] + index
                state.at_s[copies] = points.time_s[state.begin[first] + index - 1]


class AlikePlaces:
    """Where on a trace the rate had been about what it had been elsewhere on it."""

    def __init__(self, trace: Trace) -> None:
        self._time_s = np.asarray(trace.time_s)
        rates = np.maximum(np.asarray(trace.rate_mbps), RATE_FLOOR_MBPS)[1:]
        self._brought = np.concatenate(([0.0], np.cumsum(rates * np.diff(self._time_s))))
        self._seen = self._recent(self._time_s[:-1])

    def _recent(self, at_s: Floats) -> Floats:
        """(n, windows) logarithms of the mean rates before times; the beginning has the rate after it."""
        first_s = self._time_s[0]
        found = []
        for window_s in RECENT_S:
            end_s = np.maximum(at_s, min(first_s + window_s, self._time_s[-1]))
            begin_s = np.maximum(end_s - window_s, first_s)
            passed = np.interp(end_s, self._time_s, self._brought)
            passed -= np.interp(begin_s, self._time_s, self._brought)
            found.append(np.log(np.maximum(passed / (end_s - begin_s), RATE_FLOOR_MBPS)))
        return np.stack(found, axis=1)

    def draw(self, at_s: float, count: int, random: np.random.Generator) -> NDArray[np.int64]:
        """(count,) indices of intervals, counted as a start index is, at whose beginning it was alike."""
        distance = np.abs(self._seen - self._recent(np.array([at_s]))).sum(axis=1)
        alike = min(max(int(NEAREST_SHARE * len(distance)), FEWEST), len(distance))
        nearest = np.argpartition(distance, alike - 1)[:alike]
        return np.asarray(1 + random.choice(nearest, count), np.int64)

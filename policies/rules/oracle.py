"""The oracle: the best that could have been done, by whoever knows the future of the trace.

Only the simulator can tell the future (`player.policy.ToldFuture`). The plan is searched for in
`oracle_search.py`, and its worth is what the simulated player gets when it follows it, to the last bit.

**Which error it can have.** `best_plan` also gives a *bound* that no plan exceeds. With the usual cap of
60 s the two nearly always coincide and the plan is the best there is. They can differ where the player
waits at its cap, in whole half seconds, because the bound is that of a player which waits exactly as
long as it must; and where so many plans stay possible that near equals are given up, at most
`OraclePlan.gap` in the mean. With the link's noise on there is no bound, only a good plan. Over a trace whose
delays vary there is no plan: who asks earlier may then be answered later, which the search takes for
impossible.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from player.buffer import CAP_MS, WAIT_STEP_MS
from player.defaults import CHUNKS
from player.observation import Observation
from player.policy import Decision
from player.qoe import QoE
from player.simulated.batch.library import KINDS, Ints, Library
from player.simulated.batch.link import noise_factors
from player.simulated.batch.sessions import Sessions, Setup
from player.simulated.link_published import PublishedLink
from player.simulated.session import Future
from player.video.video import Video
from policies.rules.oracle_search import EXACT, SAME, STEPS, STRICT, search
from traces.trace import Trace

WIDTH = 40_000
"""Plans that a search holds at a time; sessions of the usual videos need some thousands."""

ROUGH = 0.07
"""Slack of the first, rough search, as a share of the range of q: it takes milliseconds."""

SLACKS = (0.0, 1e-4, 1e-3, 1e-2, 1e-1, math.inf)
"""Slacks, as shares of the range of q, that are tried in turn until the plans fit."""


@dataclass(frozen=True)
class OraclePlan:
    """A plan for a whole session; sums leave the first chunk out, as published means do."""

    levels: tuple[int, ...]
    total: float
    """Sum of the chunks' QoE, really attained."""
    bound: float
    """No plan has a greater sum (inf where the link has noise)."""

    @property
    def mean(self) -> float:
        """Mean QoE of the counted chunks."""
        return self.total / max(len(self.levels) - 1, 1)

    @property
    def gap(self) -> float:
        """By how much the best mean may be above this one; 0 if this is proven to be the best."""
        return max(self.bound - self.total, 0.0) / max(len(self.levels) - 1, 1)


def best_plan(
    video: Video,
    trace: Trace,
    link: PublishedLink,
    qoe: QoE,
    *,
    start_index: int = 1,
    chunks: int = CHUNKS,
    prefix: tuple[int, ...] = (0,),
    cap_ms: float = CAP_MS,
    seed: int = 0,
) -> OraclePlan:
    """The best plan for a session that begins with the levels `prefix`.

    Args:
        prefix: levels that are decided already; none leaves the first chunk's level free too.
        seed: of the link's noise, if it has any.

    Raises:
        ValueError: settings that no session can have, or a cap below the player's step of waiting, with
            which a wait may empty the buffer; delays that vary.
        TraceError: the trace never delivers.
    """
    if cap_ms < WAIT_STEP_MS:
        raise ValueError(f"cap {cap_ms} ms; the oracle needs {WAIT_STEP_MS:g} ms or more")
    _refuse_varying_delay(trace)
    if not prefix:
        rest: dict[str, Any] = {"start_index": start_index, "chunks": chunks, "cap_ms": cap_ms, "seed": seed}
        firsts = [
            best_plan(video, trace, link, qoe, prefix=(level,), **rest) for level in range(video.levels)
        ]
        best = max(firsts, key=lambda plan: plan.total)
        return OraclePlan(best.levels, best.total, max(plan.bound for plan in firsts))
    library = Library([trace], [video.first(chunks)], qoe)
    setup = Setup.of(1, start_index=start_index, seed=seed, rtt_ms=link.rtt_ms, cap_ms=cap_ms)
    return _Searches(library, setup, qoe, chunks, link.noise, np.array(prefix, np.int64)).best()


def _refuse_varying_delay(trace: Trace) -> None:
    """What the proof in `oracle_search.py` does not hold for.

    Raises:
        ValueError: the trace's delays vary.
    """
    delays_ms = set((trace.delay_ms or ())[1:])
    if len(delays_ms) > 1:
        raise ValueError(
            f"{trace.name}: its delays vary ({min(delays_ms):g} to {max(delays_ms):g} ms), and the oracle"
            " plans with one round trip; leave the oracle out"
        )


class _Searches:
    """The searches for one session."""

    def __init__(
        self, library: Library, setup: Setup, qoe: QoE, chunks: int, noise: bool, prefix: Ints
    ) -> None:
        self._library, self._setup, self._qoe, self._chunks, self._noisy = library, setup, qoe, chunks, noise
        self._q = library.packed.quality[KINDS.index(qoe.kind), 0]
        self._prefix = prefix
        self._noise = np.empty(chunks if noise else 0)
        if noise:
            noise_factors(int(setup.seed[0]) % 2**32, self._noise)
        self._range = float(np.ptp(self._q)) or 1.0
        self._levels = np.zeros(chunks, np.int64)
        self._total = -math.inf

    def best(self) -> OraclePlan:
        """A rough plan first, whose worth then cuts the exact searches short."""
        self._attain(np.concatenate([self._prefix, np.zeros(self._chunks - len(self._prefix), np.int64)]))
        self._search(STEPS, ROUGH)
        if self._noisy:
            bound = math.inf
            self._first_that_fits(STEPS)
        else:
            bound = self._first_that_fits(EXACT)
            if self._is_short_of(bound):
                self._first_that_fits(STEPS)
            if self._is_short_of(bound):
                bound = min(bound, self._search(STRICT, 0.0))
        return OraclePlan(tuple(map(int, self._levels)), self._total, max(bound, self._total))

    def _is_short_of(self, bound: float) -> bool:
        return bound - self._total > SAME * self._chunks * (1.0 + self._qoe.mu)

    def _first_that_fits(self, mode: int) -> float:
        """Search with the least slack that the plans fit with; what no plan can exceed."""
        for slack in SLACKS:
            bound = self._search(mode, slack)
            if bound < math.inf:
                break
        return bound

    def _search(self, mode: int, slack: float) -> float:
        """One search, better plans being kept; what no plan can exceed as far as this one knows."""
        packed, setup, qoe = self._library.packed, self._setup, self._qoe
        slack *= self._range
        before = self._total
        fitted, total, levels = search(
            packed.time_s,
            packed.bytes_per_s,
            int(setup.start_index[0]),
            packed.sizes_bytes[0],
            self._q,
            qoe.mu,
            qoe.smooth,
            float(packed.chunk_ms[0]),
            float(setup.rtt_ms[0] + packed.delay_ms[-1]),
            float(setup.cap_ms[0]),
            self._noise,
            self._prefix,
            mode,
            before,
            slack,
            WIDTH,
        )
        if not fitted:
            return math.inf
        if total > -math.inf:
            self._attain(levels)
        return max(total, before) + slack * self._chunks

    def _attain(self, levels: Ints) -> None:
        """Follow a plan, and keep it if it is the best so far."""
        session = Sessions(
            self._library,
            self._setup,
            chunks=self._chunks,
            first_level=int(levels[0]),
            noise=self._noisy,
            threads=1,
        )
        total = 0.0
        for level in levels[1:]:
            session.step([level])
            total += session.state.reward[0].item()
        if total > self._total:
            self._levels, self._total = levels, total


class Oracle:
    """The best plan, by whoever is told the future: follows it.

    Where somebody else chose a chunk, it plans anew from there.

    `plan` is the present plan, None before the first decision of a session.
    """

    def __init__(self) -> None:
        self._future: Future | None = None
        self.plan: OraclePlan | None = None

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        self._video, self._qoe = video, qoe
        self._future, self.plan = None, None

    def tell(self, future: Future) -> None:
        """What is to come; the simulated player says it after `reset`.

        Raises:
            ValueError: over a link model or a trace that the oracle cannot compute.
        """
        if not isinstance(future.link, PublishedLink):
            raise ValueError("the oracle plans for the published link only; choose --link published")
        _refuse_varying_delay(future.trace)
        if future.abandon:
            raise ValueError("plans with chunks that come as asked for; leave --abandon away")
        if future.startup_ms or future.resume_ms:
            raise ValueError(
                "the oracle plans for playback that begins with the first chunk; leave --startup-s and"
                " --resume-s away"
            )
        self._future = future

    def select(self, observation: Observation) -> Decision:
        """The next level of the plan.

        Raises:
            ValueError: nobody has told the future.
        """
        if self._future is None or not isinstance(self._future.link, PublishedLink):
            raise ValueError("the oracle has not been told the future; only the simulator knows it")
        done = tuple(past.level for past in observation.history)
        if self.plan is None or self.plan.levels[: len(done)] != done:
            self.plan = best_plan(
                self._video,
                self._future.trace,
                self._future.link,
                self._qoe,
                start_index=self._future.start_index,
                chunks=self._future.chunks,
                prefix=done,
                cap_ms=self._future.cap_ms,
                seed=self._future.seed,
            )
        return Decision(self.plan.levels[observation.chunk], reason=f"best mean {self.plan.mean:.3f}")

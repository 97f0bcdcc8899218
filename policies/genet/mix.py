"""The training mix: which sessions the learner sees, as a library of traces and a draw over it.

A share of the sessions streams over *measured-like* traces (the built-in families, or a user's own
logs) with the player of the published tests; the others come from environments of `environment.py`.
`promote` takes a found environment in, at a weight that shrinks what was there before, as Genet does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from player.buffer import CAP_MS
from player.defaults import RTT_MS
from player.simulated.batch.library import Library
from player.simulated.batch.sessions import Setup
from policies.genet.environment import (
    CHUNK_LENGTHS_S,
    KINDS,
    Environment,
    make_trace,
    uniform,
    video_index,
    videos,
)
from traces.trace import Trace

UNIFORM_ENVIRONMENTS = 400
"""Drawn once; each has one trace."""
TRACES_OF_FOUND = 50
"""Of each promoted environment."""
PROMOTED_WEIGHT = 0.3
"""Of a new environment in the mix; what was there keeps the rest (Xia et al., section 4)."""
TRACE_SHARE = 0.7
"""Of sessions over measured-like traces."""
HEAVY_SHARE = 0.25
"""Of these, with the heavy video: chunks are larger than the ladder says in many real encodings."""

_MS_PER_S = 1000.0
_DEFAULT_VIDEO = KINDS.index("envivio") * len(CHUNK_LENGTHS_S) + CHUNK_LENGTHS_S.index(4.0)
_HEAVY_VIDEO = KINDS.index("heavy") * len(CHUNK_LENGTHS_S) + CHUNK_LENGTHS_S.index(4.0)


@dataclass
class PromotedMix:
    """A growing distribution of sessions; the same seed and promotions give the same one.

    Args:
        traces: measured-like ones, at least one.
        seed: of the made traces.
        found: environments that were promoted before, in order.
        uniform_environments: how many are drawn to begin with.
    """

    traces: Sequence[Trace]
    seed: int
    found: list[Environment] = field(default_factory=list)
    uniform_environments: int = UNIFORM_ENVIRONMENTS

    def __post_init__(self) -> None:
        random = np.random.default_rng([self.seed, 1])
        self._entries: list[tuple[Environment, int]] = []
        self._made: list[Trace] = []
        for number in range(self.uniform_environments):
            self._add(uniform(random), random, f"uniform/{number}")
        promoted, self.found = self.found, []
        self._groups = [len(self._entries)]
        for environment in promoted:
            self._grow(environment)
        self._pack()

    def promote(self, environment: Environment) -> None:
        """Let a found environment join."""
        self._grow(environment)
        self._pack()

    def _grow(self, environment: Environment) -> None:
        self.found.append(environment)
        random = np.random.default_rng([self.seed, 2, len(self.found)])
        for number in range(TRACES_OF_FOUND):
            self._add(environment, random, f"found/{len(self.found)}/{number}")
        self._groups.append(TRACES_OF_FOUND)

    def _add(self, environment: Environment, random: np.random.Generator, name: str) -> None:
        self._made.append(make_trace(environment, random, name))
        self._entries.append((environment, len(self.traces) + len(self._made) - 1))

    def _pack(self) -> None:
        self.library = Library([*self.traces, *self._made], videos())
        chances = np.ones(1)
        for _ in self.found:
            chances = np.append(chances * (1 - PROMOTED_WEIGHT), PROMOTED_WEIGHT)
        self._chances = np.repeat(chances / self._groups, self._groups)
        self._trace = np.array([trace for _, trace in self._entries])
        self._video = np.array([video_index(environment) for environment, _ in self._entries])
        self._rtt_ms = np.array([environment.rtt_ms for environment, _ in self._entries])
        self._cap_ms = np.array([environment.cap_s * _MS_PER_S for environment, _ in self._entries])

    def draw(self, random: np.random.Generator, sessions: int) -> Setup:
        """Setups of so many new sessions."""
        entry = random.choice(len(self._entries), size=sessions, p=self._chances)
        measured = random.random(sessions) < TRACE_SHARE
        video = np.where(random.random(sessions) < HEAVY_SHARE, _HEAVY_VIDEO, _DEFAULT_VIDEO)
        trace = np.where(measured, random.integers(len(self.traces), size=sessions), self._trace[entry])
        return Setup.of(
            sessions,
            trace=trace,
            start_index=random.integers(1, self.library.points()[trace]),
            video=np.where(measured, video, self._video[entry]),
            seed=random.integers(2**32, size=sessions),
            rtt_ms=np.where(measured, RTT_MS, self._rtt_ms[entry]),
            cap_ms=np.where(measured, CAP_MS, self._cap_ms[entry]),
        )

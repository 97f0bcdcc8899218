"""How good an engine is on held-out traces, beside RobustMPC on the same sessions, to choose by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from player.simulated.batch.library import Floats, Library
from player.simulated.batch.sessions import Setup
from player.video.video import Video
from policies.hindsight.data import TraceSource
from policies.llm.engine.engine import Engine
from policies.llm.tasks.abr.play import engine_qoe, policy_qoe

SESSIONS = 48
"""Of one source: spread over its held-out traces and over each of them."""


@dataclass(frozen=True)
class ValidationGroup:
    """The validation sessions of one source, and what others make of them."""

    name: str
    weight: float
    library: Library
    setup: Setup
    baselines: dict[str, Floats]
    """(sessions,) mean QoE a chunk."""


@dataclass(frozen=True)
class VideoValidation:
    """All groups; the score is what is gained over RobustMPC, weighted as in the mix."""

    groups: tuple[ValidationGroup, ...]
    threads: int

    @classmethod
    def of(
        cls,
        sources: Sequence[TraceSource],
        video: Video,
        threads: int,
        sessions: int = SESSIONS,
        baselines: Sequence[str] = ("robustmpc", "hindsight"),
    ) -> VideoValidation:
        """A group for each source that holds traces out; the first of sources of one name."""
        named = {each.name: each for each in reversed(sources) if each.validation}
        groups = []
        for source in reversed(named.values()):
            library = Library(source.validation, [video])
            setup = spread(library, sessions)
            scores = {name: policy_qoe(name, library, setup, threads=threads) for name in baselines}
            groups.append(ValidationGroup(source.name, source.weight, library, setup, scores))
        return cls(tuple(groups), threads)

    def gains(self, engine: Engine, target: float | None = None) -> dict[str, Floats]:
        """(sessions,) mean QoE a chunk less RobustMPC's, for each group."""
        found = {}
        for group in self.groups:
            mine = engine_qoe(engine, group.library, group.setup, threads=self.threads, target=target)
            found[group.name] = mine - group.baselines["robustmpc"]
        return found

    def of_baseline(self, name: str) -> dict[str, Floats]:
        """The same for a policy that was played before."""
        return {group.name: group.baselines[name] - group.baselines["robustmpc"] for group in self.groups}

    def score(self, gains: dict[str, Floats]) -> float:
        """One number."""
        weights = np.array([group.weight for group in self.groups])
        means = np.array([gains[group.name].mean() for group in self.groups])
        return float((weights * means).sum() / weights.sum()) if len(means) else 0.0


def spread(library: Library, sessions: int) -> Setup:
    """About so many sessions: all traces at evenly spread starts, or spread traces from their start."""
    traces = len(library.traces)
    starts = max(sessions // traces, 1)
    chosen = np.unique(np.linspace(0, traces - 1, min(traces, sessions)).round().astype(np.int64))
    trace = np.repeat(chosen, starts)
    places = np.tile(np.arange(starts), len(chosen))
    start = 1 + places * (library.points()[trace] - 1) // starts
    return Setup.of(len(trace), trace=trace, start_index=start)

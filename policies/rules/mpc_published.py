"""MPC as the public code has it, with its handicaps, so that papers' figures can be compared.

Genet's `fig_reproduce/sim/mpc.py` and NetLLM's `run_baseline.py` run a RobustMPC that (1) moves one
level at most from chunk to chunk, (2) reads every chunk's size from the row of the chunk after it,
and (3) keeps its prediction errors, and its last prediction, from video to video. Use
`policies/rules/mpc.py` as a baseline; this one is for reading old figures.
"""

from __future__ import annotations

from collections import deque

from player.observation import Observation, PastChunk
from player.policy import Decision
from player.qoe import QoE
from player.video.video import Video
from policies.rules.lookahead import PlanTable, affordable_steps, plan_stalls_s, plan_table, quality_for_sums
from policies.rules.mpc import PLAN_CHUNKS
from policies.rules.throughput import WINDOW, harmonic_mean_mbps, observed_mbps, relative_error

MAX_MOVE = 1
"""Levels that the public code moves from one chunk to the next."""


class PublishedMPC:
    """The handicapped RobustMPC. One object that plays several sessions carries its errors along.

    The public code also notes the error of a video's last chunk; a player that tells a policy how
    its session ended (`player.policy.HearsEnd`) makes that come out the same. Where the row after
    the last chunk's is not in the video, which the public code needs (its files list 49 chunks for
    48), the last chunk's own row stands in for it.
    """

    def __init__(self) -> None:
        self._errors: deque[float] = deque(maxlen=WINDOW)
        self._estimate_mbps: float | None = None

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        self._video = video
        self._quality = quality_for_sums(qoe, video.ladder_kbps)
        self._steps = affordable_steps(video.levels, PLAN_CHUNKS)
        self._tables: dict[tuple[int, int], PlanTable] = {}

    def select(self, observation: Observation) -> Decision:
        if not observation.history:
            return Decision(0, reason="no throughput known yet")
        throughput_mbps = self._predict(observation.history)
        steps = min(self._steps, observation.chunks_left)
        sizes = self._late_sizes(observation.chunk, steps)
        stalls_s = plan_stalls_s(sizes, throughput_mbps, observation.buffer_s, self._video.chunk_s)
        plan = self._table(observation.history[-1].level, steps).best(stalls_s)
        level = plan // self._video.levels ** (steps - 1)
        return Decision(level, reason=f"plans with {throughput_mbps:.2f} Mbit/s")

    def ended(self, observation: Observation) -> None:
        """Note how wrong the last prediction was, for the next session."""
        if observation.history:
            self._predict(observation.history)

    def _predict(self, history: tuple[PastChunk, ...]) -> float:
        """The harmonic mean over one plus the worst of the last errors, earlier sessions' included."""
        error = 0.0
        if self._estimate_mbps is not None:
            error = relative_error(self._estimate_mbps, observed_mbps(history[-1]))
        self._errors.append(error)
        self._estimate_mbps = harmonic_mean_mbps(history)
        return self._estimate_mbps / (1.0 + max(self._errors))

    def _late_sizes(self, chunk: int, steps: int) -> list[tuple[int, ...]]:
        """[step][level] sizes, each one chunk too late."""
        last = self._video.chunks - 1
        return [self._video.sizes_bytes[min(chunk + step + 1, last)] for step in range(steps)]

    def _table(self, last_level: int, steps: int) -> PlanTable:
        """`plan_table`, computed once a session for each level to start from and each length."""
        key = last_level, steps
        if key not in self._tables:
            self._tables[key] = plan_table(self._quality, last_level, steps, MAX_MOVE)
        return self._tables[key]

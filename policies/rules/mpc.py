"""RobustMPC: plan the next five chunks for the QoE itself, under a throughput that has held lately.

Yin et al., SIGCOMM 2015, section 5.3. This is the *plain* one, the baseline to beat: any level may
follow any other, sizes are those of the chunks planned for, and errors begin anew with each session.
`policies/rules/mpc_published.py` is the handicapped variant that papers compare with.
"""

from __future__ import annotations

import math

import numpy as np

from player.observation import HORIZON, Observation
from player.policy import Decision
from player.qoe import QoE
from player.video.video import Video
from policies.rules.lookahead import (
    PlanTable,
    affordable_steps,
    best_plan,
    plan_stalls_s,
    plan_table,
    quality_for_sums,
)
from policies.rules.throughput import robust_mbps

PLAN_CHUNKS = 5
"""The horizon of Yin et al. and of the public code."""


class RobustMPC:
    """Plain RobustMPC, free moves and right sizes: takes the first level of the plan with the most QoE.

    Near the end plans are shorter.

    A decision depends on the observation alone. Before any throughput is known it is level 0. The
    order of operations and the choice among plans of equal worth are stated in
    `policies/rules/lookahead.py`. `python -m policies.bench` measures how long a decision takes.

    Args:
        horizon: chunks that a plan spans, 1 to 8; fewer where the ladder is so long that there
            would be more than `lookahead.MAX_PLANS` plans.

    Raises:
        ValueError: another horizon.
    """

    lead_in_qoe = True
    """`decide` tells leads in units of QoE, not of relative quality."""

    def __init__(self, horizon: int = PLAN_CHUNKS) -> None:
        if not 1 <= horizon <= HORIZON:
            raise ValueError(f"horizon {horizon}; a client is shown 1 to {HORIZON} chunks ahead")
        self.horizon = horizon

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        self._chunk_s = video.chunk_s
        self._levels = video.levels
        self._quality = quality_for_sums(qoe, video.ladder_kbps)
        self._steps = affordable_steps(video.levels, self.horizon)
        self._tables: dict[tuple[int, int], PlanTable] = {}

    def select(self, observation: Observation) -> Decision:
        decision, _ = self.decide(observation)
        return decision

    def decide(self, observation: Observation) -> tuple[Decision, float]:
        """The decision, and how much more QoE its plan brings than the best that begins otherwise."""
        if not observation.history:
            return Decision(0, reason="no throughput known yet"), 0.0
        sizes = observation.next_sizes_bytes[: self._steps]
        throughput_mbps = robust_mbps(observation.history)
        stalls_s = plan_stalls_s(sizes, throughput_mbps, observation.buffer_s, self._chunk_s)
        rewards = self._table(observation.history[-1].level, len(sizes)).rewards(stalls_s)
        plan = best_plan(rewards)
        level = plan // self._levels ** (len(sizes) - 1)
        of_level = rewards.reshape(self._levels, -1).max(axis=1)
        others = np.delete(of_level, level)
        lead = float(rewards[plan] - others.max()) if len(others) else math.inf
        return Decision(level, reason=f"plans with {throughput_mbps:.2f} Mbit/s"), lead

    def _table(self, last_level: int, steps: int) -> PlanTable:
        """`plan_table`, computed once a session for each level to start from and each length."""
        key = last_level, steps
        if key not in self._tables:
            self._tables[key] = plan_table(self._quality, last_level, steps)
        return self._tables[key]

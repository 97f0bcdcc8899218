"""What is learned from: the level that a strong policy would take in each state.

It is `hindsight`, in states that anybody may have brought about; its logits are `SHARPNESS` x the values of
its network. With `by_plan` it is the plan with the true future instead (`policies/hindsight/values.py`),
brought to relative QoE.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from player.simulated.batch.sessions import Sessions
from policies.hindsight import values
from policies.hindsight.net import OptionNet
from policies.hindsight.policy import WEIGHTS, sane_values
from policies.llm.learning.pool import BY_PLAN, BY_POLICY
from policies.llm.tasks.abr import features as abr
from policies.llm.tasks.abr.batch import Filler
from policies.view.batch import View

SHARPNESS = 3.0
"""Logits for each unit of QoE: what `hindsight` was itself trained with."""
LEAST = -30.0
"""Logits go no lower: a level that may not be taken."""


class Teacher:
    """Scores the next levels of every session of a batch.

    Args:
        sessions: of six levels.
        net: `hindsight`'s; None for the shipped one.
        by_plan: ask the plan with the true future.
    """

    def __init__(self, sessions: Sessions, net: OptionNet | None = None, by_plan: bool = False) -> None:
        self._sessions = sessions
        self.kind = BY_PLAN if by_plan else BY_POLICY
        if by_plan:
            self._scales = Filler(sessions).scales
        else:
            self._net = net if net is not None else OptionNet.read(WEIGHTS)
            self._view = View(sessions, self._net.caution)

    def scores(self) -> NDArray[np.float32]:
        """(sessions, LEVELS) logits; before the first chunk the lowest level is the one to take."""
        sessions = self._sessions
        begun = sessions.state.chunk > 0
        first = np.where(np.arange(abr.LEVELS) == 0, 0.0, LEAST).astype(np.float32)
        if not begun.any():
            return np.tile(first, (len(sessions), 1))
        if self.kind == BY_POLICY:
            worth = sane_values(self._net, self._view.fill())[:, : abr.LEVELS]
            worth = np.where(begun[:, None], worth - worth.max(axis=1, keepdims=True), first)
        else:
            planned = values.planned_values(sessions) * self._scales[:, None]
            worth = values.advantages(planned, abr.WORST_VALUE).astype(np.float32)
        return np.maximum(SHARPNESS * worth, LEAST).astype(np.float32)

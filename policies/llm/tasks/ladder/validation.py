"""How good an engine is on held-out lines, beside RobustMPC on the same sessions, to choose by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from player.simulated.batch.library import Floats
from player.simulated.batch.sessions import Sessions
from policies.hindsight.draws import SessionMix
from policies.hindsight.seen import reward_units
from policies.hindsight.validate import (
    DRAWN_NAME,
    STALL_PENALTY,
    STALLS_ALLOWED,
    Selects,
    TeacherValidation,
    ValidationSessions,
    play,
    stall_ratio,
)
from policies.llm.engine.engine import Engine
from policies.llm.tasks.ladder.play import LadderEngine
from policies.view.batch import View


@dataclass(frozen=True)
class LadderValidation:
    """All groups; the score weighs them as `hindsight`'s own training does."""

    groups: tuple[ValidationSessions, ...]
    threads: int

    @classmethod
    def of(cls, mix: SessionMix, sessions: int, threads: int) -> LadderValidation:
        """Of each source's held-out lines so many sessions, and some on drawn ladders over all of them."""
        return cls(TeacherValidation.of(mix, threads, sessions).groups, threads)

    @property
    def sessions(self) -> int:
        """Of the largest group."""
        return max((len(group.setup) for group in self.groups), default=1)

    def of_engine(self, engine: Engine) -> dict[str, Floats]:
        """By group: (sessions,) what is gained over RobustMPC, less what stalls beyond its cost."""
        return {group.name: self._gains(group, lambda sessions: LadderEngine(sessions, engine))
                for group in self.groups}  # fmt: skip

    def of_policy(self, make: Callable[[Sessions], Selects]) -> dict[str, Floats]:
        """The same of a policy."""
        return {group.name: self._gains(group, make) for group in self.groups}

    def _gains(self, group: ValidationSessions, make: Callable[[Sessions], Selects]) -> Floats:
        sessions = group.sessions(self.threads)
        units, selects = reward_units(View(sessions)), make(sessions)
        gains = (play(sessions, selects) - group.robustmpc) * units
        if isinstance(selects, LadderEngine):
            selects.close()
        beyond = max(stall_ratio(sessions) - group.stalled - STALLS_ALLOWED, 0.0)
        return np.asarray(gains - (STALL_PENALTY * beyond if group.name != DRAWN_NAME else 0.0))

    def score(self, gains: dict[str, Floats]) -> float:
        """One number."""
        weights = np.array([group.weight for group in self.groups])
        means = np.array([gains[group.name].mean() for group in self.groups])
        return float((weights * means).sum() / weights.sum()) if len(means) else 0.0

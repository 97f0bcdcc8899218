"""What a run of `adapt` does."""

from __future__ import annotations

from dataclasses import dataclass

from traces.commands import option
from traces.numbers import count, not_negative, positive, share, whole

DISTILL, RETURN = "distill", "return"


class AdaptError(ValueError):
    """A run that cannot begin; the message names what does not fit and the way out."""


@dataclass(frozen=True)
class LearningSettings:
    """What a run does; two runs with equal settings and pools are equal."""

    seed: int = option(1, whole, "of all that is drawn")
    objective: str = DISTILL
    steps: int = option(600, count, "of the optimizer, in all")
    batch: int = option(16, count, "sessions of each step")
    rounds: int = option(
        2, whole, "of sessions that the student plays, evenly over the steps after the pool's own share"
    )
    round_sessions: int = option(384, count, "of each round")
    pool_share: float = option(0.5, share, "of the steps, before the first round")
    lr: float = option(1e-3, positive, "the highest learning rate")
    decay: float = option(0.01, not_negative, "of weights (AdamW)")
    warmup: int = option(20, count, "steps in which the learning rate rises")
    check_every: int = option(100, count, "steps between two looks at the validation sessions")
    validation_sessions: int = option(48, count, "of each source")
    threads: int = option(1, count, "cores to use")
    device: str = "auto"

    def rounds_due(self, step: int) -> int:
        """How many rounds of the student's own sessions there should have been before a step."""
        if self.objective != DISTILL or not self.rounds:
            return 0
        first = self.steps * self.pool_share
        if step < first:
            return 0
        each = (self.steps - first) / self.rounds
        return min(int((step - first) / each) + 1, self.rounds)

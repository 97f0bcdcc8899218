"""What asking the model costs at the moment: the price that a score has to reach.

Trailblazer's thresholds are static. Here each session watches the delay of its own decisions and holds their
mean below a target by an integral controller on the price's logarithm: a decision that takes the target
leaves the price, one that takes five times as long, or that the model had no time for, raises it, and one
that costs nothing lowers it. It never falls below 1, which is what validation found worth asking for; so on
an idle machine nothing changes. Under load the decisions that gain least are the first that stay here.
"""

from __future__ import annotations

import math

TARGET_SHARE = 0.2
"""Of the budget: what a decision may take on average."""
RATE = 0.1
"""Of the logarithm, for each decision and each target's worth of delay."""
HIGHEST = 16.0
"""Above every score that a rule gives; low enough to come down from within 30 decisions."""


class Price:
    """The price of one session's questions.

    Args:
        budget_ms: what a decision may take at most.
        target_ms: what it may take on average; `TARGET_SHARE` of the budget if None.

    Raises:
        ValueError: one that is not positive.
    """

    def __init__(self, budget_ms: float, target_ms: float | None = None) -> None:
        self._budget_ms = budget_ms
        self._target_ms = TARGET_SHARE * budget_ms if target_ms is None else target_ms
        if not (0.0 < self._target_ms < math.inf and 0.0 < self._budget_ms < math.inf):
            raise ValueError(f"budget {budget_ms} ms, target {target_ms} ms: both must be positive")
        self._log = 0.0

    @property
    def value(self) -> float:
        """1 or more."""
        return math.exp(self._log)

    def decided(self, delay_ms: float, refused: bool = False) -> None:
        """A decision was made.

        Args:
            delay_ms: what it took, whoever made it.
            refused: the model was asked, and did not decide in time: as dear as a whole budget.
        """
        cost_ms = max(delay_ms, self._budget_ms) if refused else min(delay_ms, self._budget_ms)
        moved = self._log + RATE * (cost_ms / self._target_ms - 1.0)
        self._log = min(max(moved, 0.0), math.log(HIGHEST))

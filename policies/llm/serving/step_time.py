"""How long the machine's next forward will take, learned from the last ones."""

from __future__ import annotations

MEMORY = 0.95
"""Weight of what was, at each new measurement: some twenty forwards count."""
FIRST_FIXED_S, FIRST_STEP_S = 0.005, 0.002
"""Of the first eight layers of a 135M model on two cores; forgotten within some forwards."""
PRIOR_WEIGHT = 1.0
SAFETY = 2.0
"""Mean absolute errors that a bound lies above the expectation."""
SHORTEST_S = 1e-4
SHORTEST_GROWS = 1.0002
"""With each forward, the shortest of late: some three thousand double it."""
OUTLIER = 4.0
"""A forward counts as no longer than so many bounds: one during which the process was stopped says nothing of
the next, and a machine that has become slower is caught up with in some forwards."""


class StepTime:
    """A straight line: seconds = fixed + each x new steps, least squares with exponential forgetting.

    The steps of all sessions of a batch are rows of one matrix, so that their number counts and not whose
    they are; attention over the caches is small beside that.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Know no more than before the first forward."""
        self._weight = self._x = self._y = self._xx = self._xy = 0.0
        self._known: tuple[float, float] | None = None
        for steps in (1.0, 16.0):
            self._add(PRIOR_WEIGHT, steps, FIRST_FIXED_S + FIRST_STEP_S * steps)
        self._error_s = 0.0
        self._shortest_s = FIRST_FIXED_S

    def took(self, steps: int, seconds: float) -> None:
        """A forward of so many new steps took so long."""
        seconds = min(seconds, OUTLIER * self.bound_s(steps))
        error_s = abs(seconds - self.expect_s(steps))
        self._shortest_s = min(self._shortest_s * SHORTEST_GROWS, seconds)
        self._error_s = MEMORY * self._error_s + (1.0 - MEMORY) * error_s
        for name in ("_weight", "_x", "_y", "_xx", "_xy"):
            setattr(self, name, MEMORY * getattr(self, name))
        self._add(1.0, float(steps), seconds)

    def expect_s(self, steps: int) -> float:
        """What a forward of so many new steps will take."""
        fixed_s, each_s = self._line()
        return max(fixed_s + each_s * steps, SHORTEST_S)

    @property
    def fixed_s(self) -> float:
        """What a forward takes however few steps it has: what two that share one save. No more than the
        shortest of late took: forwards that are all as large don't tell it.
        """
        return min(self._line()[0], self._shortest_s)

    def bound_s(self, steps: int) -> float:
        """What it will hardly exceed."""
        return self.expect_s(steps) + SAFETY * self._error_s

    def most_steps(self, within_s: float) -> int:
        """How many new steps a forward may have to be done within a time, by its bound; 0 or more."""
        fixed_s, each_s = self._line()
        left_s = within_s - SAFETY * self._error_s - fixed_s
        if left_s <= 0.0:
            return 0
        return int(min(left_s / max(each_s, 1e-9), 1e9))

    def _add(self, weight: float, steps: float, seconds: float) -> None:
        self._known = None
        self._weight += weight
        self._x += weight * steps
        self._y += weight * seconds
        self._xx += weight * steps * steps
        self._xy += weight * steps * seconds

    def _line(self) -> tuple[float, float]:
        """Fixed and each; both 0 or more."""
        if self._known is None:
            self._known = self._fitted()
        return self._known

    def _fitted(self) -> tuple[float, float]:
        mean_x, mean_y = self._x / self._weight, self._y / self._weight
        spread = self._xx / self._weight - mean_x * mean_x
        each_s = (self._xy / self._weight - mean_x * mean_y) / spread if spread > 1e-3 else 0.0
        each_s = min(max(each_s, 0.0), mean_y / mean_x)
        if spread <= 1e-3:  # all alike: no slope to be seen; half of it may be fixed
            each_s = 0.5 * mean_y / mean_x
        return mean_y - each_s * mean_x, each_s

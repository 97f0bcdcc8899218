"""Predictors without weights: the head stays, goes on, or goes on along a line."""

from __future__ import annotations

import numpy as np

from player.viewport.windows import FUTURE, Floats, ViewportObservation
from traces.heads.angles import unwrapped
from traces.heads.windows import along_line, steadily

_AHEAD = np.arange(1, FUTURE + 1, dtype=np.float64)


class Static:
    """The head stays where it is."""

    def reset(self, seed: int) -> None:
        """Nothing is kept."""

    def predict(self, seen: ViewportObservation) -> Floats:
        """(n, FUTURE, 3) the newest sample, again and again."""
        return np.repeat(seen.history[:, -1:], FUTURE, axis=1)


class Velocity:
    """The head goes on at its mean speed of the last two seconds.

    Args:
        unwrap: let axis 2 go on past half a turn; the published predictor does not, and takes a step over the
            seam for a turn.
    """

    def __init__(self, unwrap: bool = False) -> None:
        self._unwrap = unwrap

    def reset(self, seed: int) -> None:
        """Nothing is kept."""

    def predict(self, seen: ViewportObservation) -> Floats:
        """(n, FUTURE, 3) degrees."""
        history = unwrapped(seen.history) if self._unwrap else seen.history
        return steadily(history)


class Linear:
    """The head goes on along the straight line that fits the last two seconds best.

    Args:
        unwrap: as of `velocity`.
    """

    def __init__(self, unwrap: bool = False) -> None:
        self._unwrap = unwrap

    def reset(self, seed: int) -> None:
        """Nothing is kept."""

    def predict(self, seen: ViewportObservation) -> Floats:
        """(n, FUTURE, 3) degrees."""
        history = unwrapped(seen.history) if self._unwrap else seen.history
        return along_line(history)


class Damped:
    """The head goes on by its last step, which fades.

    Args:
        keep: of a step from sample to sample.
    """

    def __init__(self, keep: float = 0.7) -> None:
        if not 0.0 <= keep <= 1.0:
            raise ValueError(f"damped: keep={keep}: expected 0 to 1")
        self._keep = keep

    def reset(self, seed: int) -> None:
        """Nothing is kept."""

    def predict(self, seen: ViewportObservation) -> Floats:
        """(n, FUTURE, 3) degrees."""
        history = unwrapped(seen.history)
        step = history[:, -1] - history[:, -2]
        share = np.cumsum(self._keep**_AHEAD)
        return np.asarray(history[:, -1:] + share[:, None] * step[:, None])

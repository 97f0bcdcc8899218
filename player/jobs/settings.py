"""What a cluster is, with the defaults of the published environment."""

from __future__ import annotations

from dataclasses import dataclass

MODES = ("common", "published")
MOST_EXECUTORS = 1000


class JobsError(ValueError):
    """What makes no cluster or no episode; says the way out."""


@dataclass(frozen=True)
class ClusterSettings:
    """A cluster.

    Raises:
        JobsError: a figure that makes none.
    """

    executors: int = 50
    moving_ms: float = 2000.0
    """Until an executor that is sent to another job, or comes from nowhere, can work there."""
    warm_up_ms: float = 1000.0
    """Added to the first task of an executor that had none, where no such durations are known."""
    mode: str = "common"
    """How durations are drawn. `common`: by sequence, job, stage, task, wave and executors alone, so that all
    schedulers face the same tasks. `published`: one after the other, and with the published environment's
    reversed interpolation between numbers of executors."""

    def __post_init__(self) -> None:
        if not 1 <= self.executors <= MOST_EXECUTORS:
            raise JobsError(f"executors={self.executors}: expected 1 to {MOST_EXECUTORS}")
        for name in ("moving_ms", "warm_up_ms"):
            if not 0.0 <= getattr(self, name) <= 1e9:
                raise JobsError(f"{name}={getattr(self, name)}: expected 0 to 1e9 ms")
        if self.mode not in MODES:
            raise JobsError(f"mode={self.mode}: expected {' or '.join(MODES)}")

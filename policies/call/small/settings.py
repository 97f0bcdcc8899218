"""What a run of `train` does."""

from __future__ import annotations

from dataclasses import dataclass

from policies.call.small.teacher import TAUGHT_MARGIN
from traces.commands import option
from traces.numbers import count, positive, whole


@dataclass(frozen=True)
class TrainSettings:
    """What a run does; two runs with equal settings and traces are equal on one machine."""

    seed: int = option(1, whole, "of all that is drawn")
    calls: int = option(256, count, "before the first round, and in each")
    rounds: int = option(3, whole, "of the net's own calls")
    steps: int = option(1500, count, "of the optimizer, before the first round and after each but the last")
    last_steps: int = option(6000, count, "after the last round")
    margin: float = option(TAUGHT_MARGIN, positive, "share of what the link carries that is taught")
    threads: int = option(1, count, "cores to use")

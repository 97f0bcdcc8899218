"""Whether a device decides what the CPU decides: the same steps through both, and the levels counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from policies.llm.engine.engine import Engine
from policies.llm.task import Task, Vectors


@dataclass(frozen=True)
class SameDecisions:
    """How many of a device's decisions are the CPU's in float32."""

    dtype: str
    device: str
    decisions: int
    differ: int
    close: int
    """Of those that differ, how many the CPU held for nearly equal (within `CLOSE`)."""
    widest: float
    """The CPU's margin where it was largest and the device decided otherwise; 0 where none differs."""
    furthest: float
    """Largest difference of two logits of the same level."""

    def to_json(self) -> dict[str, Any]:
        return vars(self)


CLOSE = 2.0**-6
"""Of the best logit's size: what bfloat16, with 8 bits, can't tell after some layers."""


def answered(engine: Engine, sessions: Sequence[Vectors]) -> Vectors:
    """(sessions, steps, outputs): all sessions side by side, a step at a time.

    Args:
        sessions: of each (steps, width), all equally many.
    """
    slots = [engine.open() for _ in sessions]
    try:
        rows = [
            engine.forward([(slot, steps[at : at + 1]) for slot, steps in zip(slots, sessions, strict=True)])
            for at in range(len(sessions[0]))
        ]
    finally:
        for slot in slots:
            engine.close(slot)
    return np.stack(rows, axis=1)


def compared(task: Task, sessions: Sequence[Vectors], here: Vectors, there: Vectors, engine: Engine) -> (
    SameDecisions
):  # fmt: skip
    """The device's outputs beside the CPU's.

    Args:
        here, there: (sessions, steps, outputs) of the CPU and of `engine`.
    """
    differ, close, widest, count = 0, 0, 0.0, 0
    for steps, mine, theirs in zip(sessions, here, there, strict=True):
        for vector, before, after in zip(steps, mine, theirs, strict=True):
            count += 1
            decided = task.answer(before, vector)
            if task.answer(after, vector).value == decided.value:
                continue
            differ += 1
            margin = decided.margin if decided.margin is not None else np.inf
            close += margin <= CLOSE * max(float(np.abs(before).max()), 1.0)
            widest = max(widest, float(margin))
    apart = np.abs(here - there)
    furthest = float(apart[np.isfinite(apart)].max(initial=0.0))
    info = engine.info
    return SameDecisions(info.dtype, info.device, count, differ, close, widest, furthest)

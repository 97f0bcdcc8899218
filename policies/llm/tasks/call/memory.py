"""What a step tells of the time before it: figures of the last 3, 10 and 30 s, of one call or of many.

The model's own context remembers too, but only what its training calls were long enough to teach.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.call.media import facts
from policies.llm.tasks.call.wire import CallStep

HORIZONS = (15, 50, 150)
"""Steps: 3, 10 and 30 s at 200 ms."""
KEPT = HORIZONS[-1] - 1
"""Steps before the newest that count."""
OF_STEP = 4
(RATE, QUEUE, LOSS, QUIET) = range(OF_STEP)
"""Of a step's intervals: mean receive rate, Mbit/s; highest queueing delay, ms; mean share lost; share in
which nothing came."""
OF_HORIZON = 8
MEMORIES = OF_HORIZON * len(HORIZONS)

LEAST_MBPS = 0.01
DELAY_UNIT_MS, MOST_UNITS = 100.0, 10.0

Floats = NDArray[np.float64]
Digest = tuple[float, float, float, float]


def digest_of(step: CallStep) -> Digest:
    """What is kept of a step."""
    count = len(step.intervals)
    return (
        sum(each.receive_mbps for each in step.intervals) / count,
        max(each.queue_ms for each in step.intervals),
        sum(each.loss_ratio for each in step.intervals) / count,
        sum(each.receive_mbps <= 0.0 for each in step.intervals) / count,
    )


def digests_of(rows: Floats) -> Floats:
    """(calls, OF_STEP) of a batch.

    Args:
        rows: (calls, intervals of a step, facts.FIELDS).
    """
    received = rows[:, :, facts.RECEIVE_MBPS]
    return np.stack(
        [
            received.mean(1), rows[:, :, facts.QUEUE_MS].max(1), rows[:, :, facts.LOSS_RATIO].mean(1),
            (received <= 0.0).mean(1),
        ],
        axis=1,
    )  # fmt: skip


def remembered(digests: Any) -> Floats:
    """(calls, MEMORIES) of (calls, steps, OF_STEP), the oldest first; of as many steps as there are.

    Of each horizon: logarithms of mean, least and most receive rate, deviation of the logarithm; mean and
    highest queueing delay (0.1 s); share lost; share of intervals in which nothing came.
    """
    found = []
    for horizon in HORIZONS:
        last = digests[:, -horizon:]
        logs = np.log(last[..., RATE] + LEAST_MBPS)
        delays = np.clip(last[..., QUEUE] / DELAY_UNIT_MS, -MOST_UNITS, MOST_UNITS)
        mean = np.log(last[..., RATE].mean(1) + LEAST_MBPS)
        found += [mean, logs.min(1), logs.max(1), logs.std(1), delays.mean(1), delays.max(1)]
        found += [last[..., LOSS].mean(1), last[..., QUIET].mean(1)]
    return np.stack(found, axis=1)

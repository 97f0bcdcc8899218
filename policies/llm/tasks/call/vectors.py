"""What the model is fed at a decision: a series of four feedback intervals, numbers beside it, and memory.

All are of the order of 1; rates by their logarithm, delays in tenths of a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.call.media import facts
from policies.llm.modality import SCALAR, SERIES, Modality
from policies.llm.tasks.call.memory import MEMORIES, Digest, digest_of, remembered
from policies.llm.tasks.call.wire import INTERVALS, CallContext, CallStep

LEAST_MBPS = 0.01
"""Added to a rate whose logarithm is taken."""
DELAY_UNIT_MS = 100.0
MOST_UNITS = 10.0
MOST_SLOPE = 2.0
EARLY_S = 10.0
"""How old a call is counts up to then: afterwards it says nothing."""

OF_INTERVAL = (
    facts.RECEIVE_MBPS, facts.TARGET_MBPS, facts.QUEUE_MS, facts.GRADIENT_MS_PER_S, facts.LOSS_RATIO,
    facts.HEARD, facts.PACER_MS,
)  # fmt: skip
OF_STEP = 7
"""Acked, sent, rtt, its least, least queue, frames dropped, elapsed: as `CallStep` has them."""
MODALITIES = (
    Modality("heard", SERIES, (len(OF_INTERVAL), INTERVALS)),
    Modality("flow", SCALAR, (OF_STEP,)),
    Modality("bounds", SCALAR, (2,)),
    Modality("memory", SCALAR, (MEMORIES,)),
)
WIDTH = sum(each.size for each in MODALITIES)

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]


def vector_of(step: CallStep, past: Sequence[Digest], context: CallContext) -> Vectors:
    """(WIDTH,) of one step.

    Args:
        past: of the steps before it, the oldest first.
    """
    heard = [
        (
            each.receive_mbps, each.target_mbps, each.queue_ms, each.gradient_ms_per_s, each.loss_ratio,
            each.heard, each.pacer_ms,
        )
        for each in step.intervals
    ]  # fmt: skip
    flow = (
        step.acked_mbps, step.sent_mbps, step.rtt_ms, step.rtt_min_ms, step.queue_min_ms,
        step.frames_dropped, step.elapsed_s,
    )  # fmt: skip
    memory = remembered(np.array([[*past, digest_of(step)]]))
    return np.asarray(laid_out(np.array([heard], np.float64), np.array([flow]), memory, context)[0])


def vectors_of(rows: Floats, digests: Floats, context: CallContext) -> Vectors:
    """(calls, WIDTH) of a batch.

    Args:
        rows: (calls, INTERVALS, facts.FIELDS) the last intervals, the oldest first.
        digests: (calls, steps, memory.OF_STEP) of all steps with this one, the oldest first.
    """
    now = rows[:, -1]
    flow = np.stack(
        [
            now[:, facts.ACKED_MBPS], rows[:, :, facts.SENT_MBPS].sum(1) / INTERVALS, now[:, facts.RTT_MS],
            now[:, facts.RTT_MIN_MS], now[:, facts.QUEUE_MIN_MS], rows[:, :, facts.FRAMES_DROPPED].sum(1),
            now[:, facts.ELAPSED_S],
        ],
        axis=1,
    )  # fmt: skip
    return laid_out(rows[:, :, OF_INTERVAL], flow, remembered(digests), context)


def laid_out(heard: Any, flow: Any, memory: Floats, context: CallContext) -> Vectors:
    """(calls, WIDTH) of plain numbers.

    Args:
        heard: (calls, INTERVALS, numbers of `HeardInterval`).
        flow: (calls, OF_STEP).
        memory: (calls, MEMORIES).
    """
    series = np.stack(
        [
            _log(heard[..., 0]), _log(heard[..., 1]), _delay(heard[..., 2]),
            np.clip(heard[..., 3] / 1000.0, -MOST_SLOPE, MOST_SLOPE), heard[..., 4], 1.0 - heard[..., 5],
            _delay(heard[..., 6]),
        ],
        axis=1,
    )  # fmt: skip
    numbers = np.stack(
        [
            _log(flow[:, 0]), _log(flow[:, 1]), _delay(flow[:, 2]), _delay(flow[:, 2] - flow[:, 3]),
            _delay(flow[:, 4]), np.minimum(flow[:, 5], MOST_UNITS), np.minimum(flow[:, 6] / EARLY_S, 1.0),
        ],
        axis=1,
    )  # fmt: skip
    limits = np.log(np.array([context.min_kbps, context.max_kbps]) / 1000.0)
    bounds = np.broadcast_to(limits, (len(numbers), 2))
    parts = [series.reshape(len(series), -1), numbers, bounds, memory]
    return np.concatenate(parts, axis=1).astype(np.float32)


def _log(mbps: Any) -> Any:
    return np.log(mbps + LEAST_MBPS)


def _delay(ms: Any) -> Any:
    return np.clip(ms / DELAY_UNIT_MS, -MOST_UNITS, MOST_UNITS)

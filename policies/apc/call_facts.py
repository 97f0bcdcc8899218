"""What a scheduler of calls looks at: how near the light policy is to a mistake, from what the sender knows.

Made from the feedback intervals of the last second and from a GCC that runs beside, for one call and for many
by the same arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.call.observation import CallObservation, Interval

WINDOW = 20
"""Feedback intervals: a second of them at 50 ms."""
LEAST_MBPS = 0.01
"""Added to a rate whose logarithm is taken."""
OVERUSE_LIMIT = 10.0
LOG_LIMIT = 4.0
"""Logarithms of rates' ratios count up to it."""
_COLUMN = {name: place for place, name in enumerate(Interval._fields)}
"""Of a row, by the interval's field; named here, for what names them for compiled code loads numba."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CallFacts:
    """A sender's state in the figures that a decision's difficulty is judged by."""

    overuse: float
    """GCC's trend over its threshold; over 1 it sees the queue grow, below 0 it shrinks."""
    queue_ms: float
    """One-way delay over the least of 10 s."""
    loss: float
    """Share lost, mean of the window."""
    gap: float
    """Acknowledged over 500 ms, of the target; at most 2."""
    variation: float
    """Standard deviation of ln(receive rate) over the window."""
    turns: float
    """Share of the window in which the delay's slope changed its sign."""
    fallen: float
    """ln(the window's highest target / the newest)."""
    unheard: float
    """Share of the window without feedback."""
    pacer_ms: float
    """How long the pacer needs for what it holds."""
    room: float
    """ln(the call's most / the light policy's rate): what it leaves."""
    apart: float
    """How far the light policy's rate is from what is acknowledged, as |ln|."""


NAMES = tuple(each.name for each in fields(CallFacts))


def facts_of(rows: Floats, overuse: Floats, light_kbps: Floats, max_kbps: float) -> Floats:
    """(calls, len(NAMES)) of many calls.

    Args:
        rows: (calls, WINDOW, fields of `Interval`) the last intervals, the oldest first.
        overuse: (calls,) GCC's trend over its threshold.
        light_kbps: (calls,) the light policy's rates.
        max_kbps: the most that the call may take.
    """
    now = rows[:, -1]
    received = np.log(rows[:, :, _COLUMN["receive_mbps"]] + LEAST_MBPS)
    rising = rows[:, :, _COLUMN["gradient_ms_per_s"]] > 0.0
    target = rows[:, :, _COLUMN["target_mbps"]]
    acked, light = now[:, _COLUMN["acked_mbps"]], light_kbps / 1000.0
    found = {
        "overuse": np.clip(overuse, -OVERUSE_LIMIT, OVERUSE_LIMIT),
        "queue_ms": now[:, _COLUMN["queue_ms"]],
        "loss": rows[:, :, _COLUMN["loss_ratio"]].mean(axis=1),
        "gap": np.minimum(acked / np.maximum(target[:, -1], LEAST_MBPS), 2.0),
        "variation": received.std(axis=1),
        "turns": (rising[:, 1:] != rising[:, :-1]).mean(axis=1),
        "fallen": np.log(target.max(axis=1) / np.maximum(target[:, -1], LEAST_MBPS)),
        "unheard": 1.0 - rows[:, :, _COLUMN["heard"]].mean(axis=1),
        "pacer_ms": now[:, _COLUMN["pacer_ms"]],
        "room": np.log(max_kbps / np.maximum(light_kbps, 1.0)),
        "apart": np.abs(np.log((light + LEAST_MBPS) / (acked + LEAST_MBPS))),
    }
    for name in ("fallen", "room", "apart"):
        found[name] = np.minimum(found[name], LOG_LIMIT)
    return np.stack([found[name] for name in NAMES], axis=1)


def window_of(observation: CallObservation) -> Floats:
    """(1, WINDOW, fields of `Interval`) of one call; at its beginning the first interval stands for those
    before it."""
    last: list[Any] = [*observation.history[-(WINDOW - 1) :], observation.now]
    return np.array([[last[0]] * (WINDOW - len(last)) + last], np.float64)


def inputs(facts: CallFacts) -> Floats:
    """(len(NAMES),) what a network sees; delays by their logarithm, as they span decades."""
    row = np.array([getattr(facts, name) for name in NAMES])
    for name in ("queue_ms", "pacer_ms"):
        place = NAMES.index(name)
        row[place] = np.log1p(max(row[place], 0.0))
    return row

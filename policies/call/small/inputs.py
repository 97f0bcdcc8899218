"""What the net is told: seven numbers of each of the last 20 feedback intervals, and what it remembers beyond
(`memory.py`), made from feedback alone.

All are of the order of 1. Of an interval in which nothing came, delay and slope are those before it and 0.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.call.feedback_batch import FeedbackBatch
from player.call.media.facts import FACTS, least_delay_s, read_reported
from player.call.media.sender_state import Record
from player.compiled.compiled import compiled
from policies.call.small.memory import MEMORIES, forget, remember

INTERVALS = 20
"""A second of them at 50 ms."""
NUMBERS = 7
(RECEIVED, TARGET, QUEUE, SLOPE, LOST, UNHEARD, PACER) = range(NUMBERS)
"""Logarithm of the receive rate, of the target (Mbit/s); mean one-way delay over the least of 10 s; its slope
over arrival; share lost; 1 where no feedback came; what the pacer holds, in time at the target."""
ROWS_WIDTH = INTERVALS * NUMBERS
WIDTH = ROWS_WIDTH + MEMORIES
"""All rows, the oldest first, then the memory."""

LEAST_MBPS = 0.01
"""Added to the receive rate, whose logarithm is taken."""
DELAY_UNIT_S = 0.1
MOST_UNITS = 10.0
"""Delays count in tenths of a second, and up to a second."""
MOST_SLOPE = 2.0
"""A queue that fills at a third of its outflow has it; noise between two packets may have any."""
_FACTS_KEPT = len(np.zeros(1, FACTS)["at_s"][0])

Floats32 = NDArray[np.float32]


@compiled
def begin_rows(past: Record, memory: Record, rows: Any, target_kbps: float) -> None:
    """Before the first feedback: nothing has come.

    Args:
        past, memory: of `facts.FACTS` and `memory.MEMORY`.
        rows: (INTERVALS, NUMBERS) float32, the oldest first.
    """
    past.intervals = 0
    past.before_s = 0.0
    past.queue_s = 0.0
    forget(memory)
    rows[:, :] = 0.0
    rows[:, RECEIVED] = math.log(LEAST_MBPS)
    rows[:, TARGET] = math.log(target_kbps / 1000.0)


@compiled
def add_row(past: Record, memory: Record, rows: Any, feedback: FeedbackBatch, call: int) -> None:
    """A feedback came, or was given up: the oldest row goes, the newest is last; it is remembered."""
    now_s = feedback.now_s[call]
    length_s = max(now_s - past.before_s, 1e-6)
    came, lost, size, sum_s, least_s, slope = read_reported(feedback, call)
    place = past.intervals & (_FACTS_KEPT - 1)
    past.at_s[place], past.least_s[place] = now_s, least_s
    past.intervals += 1
    past.before_s = now_s
    if came > 0:
        past.queue_s = sum_s / came - least_delay_s(past, now_s)
    for row in range(INTERVALS - 1):
        for number in range(NUMBERS):
            rows[row, number] = rows[row + 1, number]
    last, target_mbps = rows[INTERVALS - 1], feedback.target_kbps[call] / 1000.0
    last[RECEIVED] = math.log(size * 8e-6 / length_s + LEAST_MBPS)
    last[TARGET] = math.log(target_mbps)
    last[QUEUE] = min(past.queue_s / DELAY_UNIT_S, MOST_UNITS)
    last[SLOPE] = min(max(slope, -MOST_SLOPE), MOST_SLOPE)
    last[LOST] = lost / (came + lost) if came + lost > 0 else 0.0
    last[UNHEARD] = 0.0 if feedback.heard[call] else 1.0
    last[PACER] = min(feedback.pacer_bytes[call] * 8e-6 / target_mbps / DELAY_UNIT_S, MOST_UNITS)
    remember(memory, now_s, length_s, size, came, lost, last[QUEUE], target_mbps)

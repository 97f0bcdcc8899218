"""What the session of a policy pays, step by step as planners do.

Its mean is 0, for a policy does not see the future; but it is high where the link was lucky. So what a
session brought, less what it paid, has the same mean as what it brought, with most of the luck taken out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from player.buffer import WAIT_STEP_MS
from player.compiled.compiled import compiled
from player.simulated.batch.library import Ints
from policies.knowable.laws import Floats
from policies.knowable.terms import Terms
from policies.knowable.windows import arrival
from policies.knowable.worth import Worth, around, buffer_spot

_WAIT_STEP_S = WAIT_STEP_MS / 1000.0


class PaidSession(NamedTuple):
    """A session on the link itself, not on a planner's grid; means of the counted chunks."""

    qoe: float
    paid: float

    @property
    def freed(self) -> float:
        """QoE with the luck taken out."""
        return self.qoe - self.paid


def paid_session(payload: Floats, terms: Terms, worth: Worth, surprises: Floats, levels: Ints) -> PaidSession:
    """Play `levels` (chunks,) over a trace of (steps,) `payload` bytes, with the penalties of a planner."""
    qoe, paid = _play(payload, terms, worth.values, surprises, levels)
    return PaidSession(qoe, paid)


@compiled
def _play(
    payload: Floats, terms: Terms, worth: Floats, surprises: Floats, levels: Ints
) -> tuple[float, float]:
    chunks = len(levels)
    at, buffer = arrival(payload, terms.step_s, 0.0, terms.sizes[0, levels[0]]), terms.chunk_s
    total, paid = 0.0, 0.0
    for chunk in range(1, chunks):
        level, before, size = levels[chunk], levels[chunk - 1], terms.sizes[chunk, levels[chunk]]
        end = arrival(payload, terms.step_s, at, size)
        step, begin, sent = int(at / terms.step_s + 1e-9), at, 0.0
        while (step + 1) * terms.step_s <= end and step < len(surprises):
            until = (step + 1) * terms.step_s
            sent += payload[step % len(payload)] * (until - begin) / terms.step_s
            begin, share = until, max(1.0 - sent / size, 0.0)
            paid += _due(terms, worth[chunk, level], surprises[step], share, buffer - (until - at))
            step += 1
        took = end - at + terms.rtt_s
        stall, at = max(took - buffer, 0.0), end
        change = abs(terms.quality[level] - terms.quality[before])
        total += terms.quality[level] - terms.mu * stall - terms.smooth * change
        buffer = max(buffer - took, 0.0) + terms.chunk_s
        if buffer > terms.cap_s and chunk + 1 < chunks:
            wait = np.ceil((buffer - terms.cap_s) / _WAIT_STEP_S) * _WAIT_STEP_S
            step = int(at / terms.step_s + 1e-9)
            while (step + 1) * terms.step_s <= at + wait and step < len(surprises):
                in_flight = buffer - ((step + 1) * terms.step_s - at) - terms.chunk_s
                paid += _due(terms, worth[chunk, level], surprises[step], 0.0, in_flight)
                step += 1
            at, buffer = at + wait, buffer - wait
    return total / (chunks - 1), paid / (chunks - 1)


@compiled
def _due(terms: Terms, worth: Floats, surprise: Floats, share: float, buffer: float) -> float:
    """What is paid for one beginning of a step.

    Args:
        worth: (left, buffers, nodes) V of what is in flight.
    """
    first, low, middle, high = around(terms.left, share)
    weights = (low, middle, high)
    below, across = buffer_spot(terms, max(buffer, 0.0))
    total = 0.0
    for each in range(3):
        for right in range(2):
            factor = weights[each] * (across if right else 1.0 - across)
            if factor != 0.0:
                values = worth[first + each, below + right]
                for node in range(len(surprise)):
                    total += factor * surprise[node] * values[node]
    return total

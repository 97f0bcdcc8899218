"""A controller that is told what the generator hides but not the future: how far up the bound can be true.

At every chunk it takes the level of which V says that it is worth the most, given the link's hidden state. It
is causal, so the bound holds for it; nobody who only sees downloads could be it. What the bound has more than
it has is what V lacks, and no controller's; what it has more than a policy, hidden states are worth.
"""

from __future__ import annotations

import numpy as np

from player.buffer import WAIT_STEP_MS
from player.compiled.compiled import compiled
from player.simulated.batch.library import Ints
from policies.knowable.laws import Floats
from policies.knowable.terms import Terms
from policies.knowable.windows import arrival
from policies.knowable.worth import Worth, around, asked_at, buffer_spot

INFORMED = "informed"
"""Its name among the policies."""
_WAIT_STEP_S = WAIT_STEP_MS / 1000.0


def informed_levels(payload: Floats, terms: Terms, worth: Worth, here: Floats, next_mean: Floats) -> Ints:
    """(chunks,) the levels that it takes; the first is 0, as in all sessions.

    Args:
        payload: (steps,) bytes of video that each step of the trace carries.
        here: (steps, nodes) the weights of the link's hidden state in each step.
        next_mean: (steps, nodes) the mean of the next one's, given all that could be known.
    """
    return np.asarray(_levels(payload, terms, worth.values, worth.asked, here, next_mean))


@compiled
def _levels(
    payload: Floats, terms: Terms, values: Floats, asked: Floats, here: Floats, next_mean: Floats
) -> Ints:
    chunks, levels = terms.sizes.shape
    taken = np.zeros(chunks, np.int64)
    at, buffer = arrival(payload, terms.step_s, 0.0, terms.sizes[0, 0]), terms.chunk_s
    for chunk in range(1, chunks):
        best = -np.inf
        step = min(int(at / terms.step_s + 1e-9), len(here) - 1)
        for level in range(levels):
            change = abs(terms.quality[level] - terms.quality[taken[chunk - 1]])
            worth = terms.quality[level] - terms.smooth * change
            worth += _of_level(
                payload, terms, values, asked, chunk, level, at, buffer, here[step], next_mean[step]
            )
            if worth > best:
                best, taken[chunk] = worth, level
        end = arrival(payload, terms.step_s, at, terms.sizes[chunk, taken[chunk]])
        buffer = max(buffer - (end - at) - terms.rtt_s, 0.0) + terms.chunk_s
        at = end
        if buffer > terms.cap_s and chunk + 1 < chunks:
            wait = np.ceil((buffer - terms.cap_s) / _WAIT_STEP_S) * _WAIT_STEP_S
            at, buffer = at + wait, buffer - wait
    return taken


@compiled
def _of_level(
    payload: Floats,
    terms: Terms,
    values: Floats,
    asked: Floats,
    chunk: int,
    level: int,
    at: float,
    buffer: float,
    here: Floats,
    next_mean: Floats,
) -> float:
    """What a level asked for now brings from here on, but for its own quality, in the mean.

    What this step carries is known, for the hidden state says it; of later ones, the law.
    """
    step, size = int(at / terms.step_s + 1e-9), terms.sizes[chunk, level]
    until, carried = (step + 1) * terms.step_s, payload[step % len(payload)]
    rest = carried * (until - at) / terms.step_s
    total = 0.0
    if rest > size:
        took = size / carried * terms.step_s
        phase = (at + took) / terms.step_s - step
        left = buffer - took - terms.rtt_s
        if chunk + 1 < len(terms.sizes):
            after = min(max(left, 0.0) + terms.chunk_s, terms.buffers[-1])
            for node in range(len(here)):
                if here[node] != 0.0:
                    total += here[node] * asked_at(terms, asked[chunk + 1, level], phase, after, node)
        return total - terms.mu * max(-left, 0.0)
    first, low, middle, high = around(terms.left, 1.0 - rest / size)
    weights = (low, middle, high)
    below, across = buffer_spot(terms, max(buffer - (until - at), 0.0))
    for each in range(3):
        for right in range(2):
            factor = weights[each] * (across if right else 1.0 - across)
            if factor != 0.0:
                row = values[chunk, level, first + each, below + right]
                for node in range(len(next_mean)):
                    total += factor * next_mean[node] * row[node]
    return total - terms.mu * max(until - at - buffer, 0.0)

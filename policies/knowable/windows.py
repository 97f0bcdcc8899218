"""The planner's grid: where the link may stand when a chunk is asked for, and how long playback has stood.

A state is (chunk, slot, stall, last level). A *slot* is a short piece of the trace, several to a step; an
arrival is put at its slot's beginning, never later than it is. The *stall* so far is put at the next cell's
edge: more buffer than there is, while what is charged is the true stall. The buffer follows from both.

**Why the grid's best causal controller is no worse than the true one.** Let it do what the true one does.
It may let slots pass (`planner.py`), so that it asks in the very slot in which the true one asks, knowing
as much. Its downloads began no later, so they arrive no later; with slot t^ <= t and stall S^ <= S, G >= 0
seconds of buffer given away and c the length of what has arrived, S^' = max(S^, t^' - c - G) <= max(S, t' -
c) = S'; and the wait at the cap, which here ends as soon as it may, ends no later.

**Where the grid ends.** A plan that has stalled for `ALLOWED_S` longer than it need have goes on without
paying, on a rough grid; there one that has since lost, by stalls, more than the ladder could bring it is
given the top level to the end. Both err in its favour.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from player.compiled.compiled import compiled
from player.simulated.batch.library import Ints
from policies.knowable.laws import Floats
from policies.knowable.terms import Terms

SLOT_S = 0.05
ROUGH_SLOT_S = 0.2
"""Of the grid on which nothing is paid (`planner.py`)."""
FINE_STALL_S = 0.05
FINE_STALLS_S = 2.0
"""Beyond the stall that no plan can avoid, cells are fine for so long; then they grow."""
MOST_FINE = 600
GROWTH = 1.025
"""So little that who stalls at every chunk, to be given a cell each time, wins nothing by it."""
ALLOWED_S = 120.0
"""Of stall, beyond the unavoidable, for which a plan that pays is followed exactly. With little of it a
planner is repaid for bad luck, and leaves before the good luck that it would have to pay for."""


@dataclass(frozen=True)
class Grid:
    """The grid of one trace."""

    slots: int
    """In a step of the link."""
    slot_s: float
    origin_s: Floats
    """(chunks + 1,) buffer + time - stall when that chunk is asked for: how long what is in will play."""
    first: Ints
    """(chunks + 1,) no plan asks for that chunk before this slot."""
    last: Ints
    """(chunks + 1,) beyond this slot a plan has lost."""
    stalls: Floats
    """(cells,) seconds of stall at each cell's edge, from 0 on."""


def grid_of(payload: Floats, terms: Terms, start: float, slot_s: float, allowed_s: float) -> Grid:
    """The grid for a trace.

    Args:
        payload: (steps,) bytes of video that each step carries; the trace wraps.
        start: the time in the trace at which the first chunk has arrived, s.
        slot_s: rounded so that a step holds a whole number.
        allowed_s: of stall beyond the unavoidable, within the grid.
    """
    slots = max(int(terms.step_s / slot_s + 0.5), 1)
    slot_s = terms.step_s / slots
    chunks = len(terms.sizes)
    begin = int(start / slot_s + 1e-9)
    waits = np.arange(-1.0, chunks) * (terms.chunk_s - terms.rtt_s)
    origin = np.array(begin * slot_s + terms.chunk_s + waits, np.float64)
    first, stall = np.zeros(chunks + 1, np.int64), 0.0
    first[1] = begin
    for chunk in range(1, chunks):
        asked = max(first[chunk], int((origin[chunk] - terms.cap_s) / slot_s) - 2)
        size = float(terms.sizes[chunk].min())
        first[chunk + 1] = int(arrival(payload, terms.step_s, asked * slot_s, size) / slot_s + 1e-9)
        stall = max(stall, first[chunk + 1] * slot_s + terms.rtt_s - origin[chunk])
    last = np.array((origin + stall + allowed_s) / slot_s, np.int64)
    return Grid(
        slots, slot_s, origin, first, np.maximum(last, first), _stalls(stall, allowed_s + terms.chunk_s)
    )


def rough_allowed_s(terms: Terms) -> float:
    """Of stall on the rough grid: from where it is entered on, it costs half as much again as the whole
    ladder could bring."""
    whole = (len(terms.sizes) - 1) * float(np.ptp(terms.quality))
    return ALLOWED_S + 1.5 * whole / max(terms.mu, 1e-3) + terms.chunk_s


def _stalls(forced: float, more_s: float) -> Floats:
    fine = max(FINE_STALL_S, forced / MOST_FINE)
    cells = list(np.arange(0.0, forced + FINE_STALLS_S, fine))
    while cells[-1] < forced + more_s + 2.0:  # at `last`, a chunk may just have come
        cells.append(cells[-1] + max(fine, (GROWTH - 1.0) * (cells[-1] - forced)))
    return np.array(cells)


@compiled
def arrival(payload: Floats, step_s: float, begin_s: float, size: float) -> float:
    """When `size` bytes asked for at `begin_s` are through, in seconds of the trace, which wraps."""
    step = int(begin_s / step_s + 1e-9)
    at, sent = begin_s, 0.0
    while True:
        carried = payload[step % len(payload)]
        end = (step + 1) * step_s
        rest = carried * (end - at) / step_s
        if sent + rest > size:
            return at + (size - sent) / carried * step_s
        sent += rest
        step += 1
        at = end

"""The best plan over a trace, paid for: exact on the grid of `windows.py`, chunk by chunk from the last.

Downloads pay at each beginning of a step that they cross, with what is then in flight; so does who waits, as
one whose last chunk is just about to arrive. What is paid for a state of the grid is what V and the law of the
link say for that very state, so it has mean 0 there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from player.simulated.batch.compiled import compiled
from player.simulated.batch.library import Ints
from policies.knowable.laws import Floats
from policies.knowable.terms import LEFT, Terms
from policies.knowable.windows import SLOT_S, Grid, arrival, grid_of
from policies.knowable.worth import Worth, interpolate_row

_MOST_CROSSED = 100_000


class PackedGrid(NamedTuple):
    """`Grid` as compiled code takes it."""

    slots: int
    slot_s: float
    origin_s: Floats
    first: Ints
    last: Ints
    stalls: Floats


def due_of(worth: Floats, surprises: Floats) -> Floats:
    """(steps, levels, LEFT, buffers) what is paid at the end of each step, by what is in flight.

    Args:
        worth: (levels, LEFT, buffers, nodes) V of the chunk in flight.
        surprises: (steps, nodes) what the link does next beyond its mean.
    """
    flat = worth.reshape(-1, worth.shape[-1])
    return np.asarray(surprises @ flat.T).reshape(len(surprises), *worth.shape[:-1])


def best_paid_plan(
    payload: Floats, terms: Terms, worth: Worth | None, surprises: Floats, slot_s: float = SLOT_S
) -> float:
    """The most that a plan brings that knows the trace and pays for it: mean QoE of the counted chunks.

    Args:
        payload: (steps,) bytes of video that each step of the trace carries.
        worth: None: nothing is paid, and this is what a clairvoyant has, from above.
        surprises: (steps - 1, nodes); a step that has none costs nothing.

    The first chunk is fetched at level 0, as the sessions of all policies begin, and not counted.
    """
    start = arrival(payload, terms.step_s, 0.0, float(terms.sizes[0, 0]))
    grid = grid_of(payload, terms, start, slot_s)
    packed = PackedGrid(**vars(grid))
    chunks, levels = terms.sizes.shape
    left, nothing = np.array(LEFT), np.zeros((0, levels, len(LEFT), len(terms.buffers)))
    values = np.zeros((1, 1, levels))
    before = nothing if worth is None else due_of(worth.values[chunks - 1], surprises)
    for chunk in range(chunks - 1, 0, -1):
        now = before
        before = nothing if worth is None else due_of(worth.values[chunk - 1], surprises)
        shape = int(grid.last[chunk] - grid.first[chunk] + 1), len(grid.stalls), levels
        asked = np.full(shape, -np.inf)
        _of_chunk(terms, packed, payload, chunk, left, now, before, values, asked)
        values = asked
    return float(values[0, 0, 0]) / (chunks - 1)


@compiled
def _of_chunk(
    terms: Terms,
    grid: PackedGrid,
    payload: Floats,
    chunk: int,
    left: Floats,
    due: Floats,
    due_before: Floats,
    after: Floats,
    asked: Floats,
) -> None:
    """Fill `asked` (slots, stalls, levels): the best to come where this chunk is to be asked for.

    Args:
        due, due_before: what is paid with this chunk in flight, and with the one before.
        after: as `asked`, of the next chunk.
    """
    levels, cells = terms.sizes.shape[1], len(grid.stalls)
    taken = np.empty((levels, cells))
    for slot in range(grid.last[chunk], grid.first[chunk] - 1, -1):
        at = slot * grid.slot_s
        low, high = _cells(grid.stalls, at - grid.origin_s[chunk], terms.cap_s + terms.chunk_s + 2 * grid.slot_s)
        for level in range(levels):
            _take(terms, grid, payload, chunk, level, slot, low, high, left, due, after, taken[level])
        rows = asked[slot - grid.first[chunk]]
        for cell in range(low, high):
            if grid.origin_s[chunk] + grid.stalls[cell] - at < terms.cap_s + grid.slot_s:
                _choose(terms, taken, cell, rows)
        _let_pass(terms, grid, chunk, slot, low, high, due_before, asked)


@compiled
def _cells(stalls: Floats, least: float, room: float) -> tuple[int, int]:
    """Cells whose stall leaves a buffer between empty and `room`: the first, and one past the last."""
    low = np.searchsorted(stalls, least - 1e-9)
    return low, min(np.searchsorted(stalls, least + room) + 1, len(stalls))


@compiled
def _choose(terms: Terms, taken: Floats, cell: int, rows: Floats) -> None:
    """The best level from each last one."""
    for before in range(rows.shape[1]):
        best = -np.inf
        for level in range(rows.shape[1]):
            change = abs(terms.quality[level] - terms.quality[before])
            best = max(best, terms.quality[level] - terms.smooth * change + taken[level, cell])
        rows[cell, before] = best


@compiled
def _take(
    terms: Terms,
    grid: PackedGrid,
    payload: Floats,
    chunk: int,
    level: int,
    slot: int,
    low: int,
    high: int,
    left: Floats,
    due: Floats,
    after: Floats,
    taken: Floats,
) -> None:
    """Fill `taken[low:high]`: what a level brings from this slot on, but for its own quality."""
    begin_s, size = slot * grid.slot_s, terms.sizes[chunk, level]
    taken[low:high] = 0.0
    _pay(terms, grid, payload, chunk, level, slot, low, high, left, due, taken)
    end = int(arrival(payload, terms.step_s, begin_s, size) / grid.slot_s + 1e-9)
    took = (end - slot) * grid.slot_s + terms.rtt_s
    rest = len(terms.sizes) - 1 - chunk
    for cell in range(low, high):
        stall = max(took - (grid.origin_s[chunk] + grid.stalls[cell] - begin_s), 0.0)
        taken[cell] -= terms.mu * stall
        if rest == 0:
            continue
        if end > grid.last[chunk + 1]:
            taken[cell] += rest * terms.quality.max()
            continue
        there = cell
        if stall > 0.0:
            there = np.searchsorted(grid.stalls, grid.stalls[cell] + stall - 1e-9)
        taken[cell] += after[end - grid.first[chunk + 1], there, level]


@compiled
def _pay(
    terms: Terms,
    grid: PackedGrid,
    payload: Floats,
    chunk: int,
    level: int,
    slot: int,
    low: int,
    high: int,
    left: Floats,
    due: Floats,
    taken: Floats,
) -> None:
    """Take from `taken[low:high]` what a download pays for the steps that it sees begin."""
    begin_s, size = slot * grid.slot_s, terms.sizes[chunk, level]
    step, sent, passed = slot // grid.slots, 0.0, 0.0
    row = np.empty(len(terms.buffers))
    while step < len(due):
        end_s = (step + 1) * terms.step_s
        sent += payload[step] * (end_s - begin_s - passed) / terms.step_s
        if sent > size:
            return
        passed = end_s - begin_s
        share = 1.0 - sent / size
        place = 0
        while place + 2 < len(left) and share > left[place + 1]:
            place += 1
        across = (share - left[place]) / (left[place + 1] - left[place])
        row[:] = (1.0 - across) * due[step, level, place] + across * due[step, level, place + 1]
        for cell in range(low, high):
            buffer = grid.origin_s[chunk] + grid.stalls[cell] - end_s
            taken[cell] -= interpolate_row(terms, row, buffer)
        step += 1


@compiled
def _let_pass(
    terms: Terms, grid: PackedGrid, chunk: int, slot: int, low: int, high: int, due: Floats, asked: Floats
) -> None:
    """Better the states of a slot by what waiting for the next slot brings."""
    row, step = slot - grid.first[chunk], slot // grid.slots
    pays = (slot + 1) % grid.slots == 0 and step < len(due)
    for cell in range(low, high):
        buffer = grid.origin_s[chunk] + grid.stalls[cell] - slot * grid.slot_s
        there, stall = cell, max(grid.slot_s - buffer, 0.0)
        if stall > 1e-9:
            there = np.searchsorted(grid.stalls, grid.stalls[cell] + stall - 1e-9)
        for level in range(asked.shape[2]):
            if slot == grid.last[chunk]:
                waited = (len(terms.sizes) - chunk) * terms.quality.max()
            else:
                waited = asked[row + 1, there, level] - terms.mu * stall
                if pays:
                    in_flight = due[step, level, 0]
                    waited -= interpolate_row(terms, in_flight, buffer - grid.slot_s - terms.chunk_s)
            asked[row, cell, level] = max(asked[row, cell, level], waited)

"""The best plan over a trace, paid for: exact on the grid of `windows.py`, chunk by chunk from the last.

Downloads pay at each beginning of a step that they cross, with what is then in flight; so does who waits,
as one whose last chunk is just about to arrive. What is paid for a state of the grid is what V and the law
of the link say for that very state, so it has mean 0 there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from player.compiled.compiled import compiled
from player.simulated.batch.library import Ints
from policies.knowable.laws import Floats
from policies.knowable.terms import Terms
from policies.knowable.windows import ALLOWED_S, ROUGH_SLOT_S, SLOT_S, arrival, grid_of, rough_allowed_s
from policies.knowable.worth import Worth, around, interpolate_row


class PackedGrid(NamedTuple):
    """`Grid` as compiled code takes it."""

    slots: int
    slot_s: float
    origin_s: Floats
    first: Ints
    last: Ints
    stalls: Floats


def due_of(worth: NDArray[np.float32], surprises: Floats) -> Floats:
    """(steps, levels, left, buffers) what is paid at the end of each step, by what is in flight.

    Args:
        worth: (levels, left, buffers, nodes) V of the chunk in flight.
        surprises: (steps, nodes) what the link does next beyond its mean.
    """
    flat = worth.reshape(-1, worth.shape[-1])
    due = surprises.astype(np.float32) @ flat.T
    return np.asarray(due.reshape(len(surprises), *worth.shape[:-1]), np.float64)


class _Way:
    """Goes back over the chunks on one grid.

    Args:
        rough: of a grid that plans may leave this one for; None: they get the top level to the end.
    """

    def __init__(
        self, payload: Floats, terms: Terms, slot_s: float, allowed_s: float, rough: _Way | None
    ) -> None:
        start = arrival(payload, terms.step_s, 0.0, float(terms.sizes[0, 0]))
        self.grid = PackedGrid(**vars(grid_of(payload, terms, start, slot_s, allowed_s)))
        self._payload, self._terms, self._rough = payload, terms, rough
        self.asked = self.asked_next = np.zeros((0, 0, 0))
        """(slots, cells, levels) the best to come where a chunk is to be asked for; of the one after it."""

    def back_to(self, chunk: int, due: Floats, due_before: Floats) -> None:
        """One chunk back.

        Args:
            due, due_before: what is paid with this chunk in flight, and with the one before.
        """
        terms, grid = self._terms, self.grid
        slots = int(grid.last[chunk] - grid.first[chunk] + 1)
        self.asked_next = self.asked
        self.asked = np.full((slots, len(grid.stalls), terms.sizes.shape[1]), np.inf)
        rough = self if self._rough is None else self._rough
        none = np.zeros((0, 0, 0))
        ways_out = (none, none) if self._rough is None else (rough.asked, rough.asked_next)
        _of_chunk(
            terms, grid, self._payload, chunk, due, due_before,
            rough.grid, *ways_out, self.asked_next, self.asked,
        )  # fmt: skip


def best_paid_plan(
    payload: Floats,
    terms: Terms,
    worth: Worth | None,
    surprises: Floats,
    slot_s: float = SLOT_S,
    allowed_s: float = ALLOWED_S,
) -> float:
    """The most that a plan brings that knows the trace and pays for it: mean QoE of the counted chunks.

    Args:
        payload: (steps,) bytes of video that each step of the trace carries.
        worth: None: nothing is paid, and this is what a clairvoyant has, from above.
        surprises: (steps - 1, nodes); a step that has none costs nothing.
        slot_s, allowed_s: of the grid; a coarser and a smaller one err more in the planner's favour.

    The first chunk is fetched at level 0, as the sessions of all policies begin, and not counted.

    Raises:
        ArithmeticError: the grid has a hole, which would be a fault in it.
    """
    chunks, levels = terms.sizes.shape
    nothing = np.zeros((0, levels, len(terms.left), len(terms.buffers)))
    rough = _Way(payload, terms, max(ROUGH_SLOT_S, slot_s), rough_allowed_s(terms), None)
    fine = _Way(payload, terms, slot_s, allowed_s, rough)
    surprises = surprises[: int(fine.grid.last.max()) // fine.grid.slots + 1]
    due_before = nothing if worth is None else due_of(worth.values[chunks - 1], surprises)
    for chunk in range(chunks - 1, 0, -1):
        due = due_before
        due_before = nothing if worth is None else due_of(worth.values[chunk - 1], surprises)
        rough.back_to(chunk, nothing, nothing)
        fine.back_to(chunk, due, due_before)
    total = float(fine.asked[0, np.searchsorted(fine.grid.stalls, 0.0), 0])
    if not np.isfinite(total):
        raise ArithmeticError(f"the planner's grid has a hole: its best plan brings {total}")
    return total / (chunks - 1)


@compiled
def _of_chunk(
    terms: Terms,
    grid: PackedGrid,
    payload: Floats,
    chunk: int,
    due: Floats,
    due_before: Floats,
    rough: PackedGrid,
    way_out: Floats,
    way_out_next: Floats,
    after: Floats,
    asked: Floats,
) -> None:
    """Fill `asked`: what `_Way.back_to` says.

    Args:
        way_out, way_out_next: `asked` on the rough grid, of this chunk and the next; empty: there is none.
        after: as `asked`, of the next chunk.
    """
    levels, cells = terms.sizes.shape[1], len(grid.stalls)
    taken, buffers = np.empty((levels, cells)), np.empty(cells)
    for slot in range(grid.last[chunk], grid.first[chunk] - 1, -1):
        low, high = _buffers(terms, grid, chunk, slot, buffers)
        for level in range(levels):
            _take(
                terms, grid, payload, chunk, level, slot, low, high, buffers, due,
                rough, way_out_next, after, taken[level],
            )  # fmt: skip
        _choose(terms, grid, taken, low, high, buffers, asked[slot - grid.first[chunk]])
        _let_pass(terms, grid, chunk, slot, low, high, buffers, due_before, rough, way_out, asked)


@compiled
def _buffers(terms: Terms, grid: PackedGrid, chunk: int, slot: int, buffers: Floats) -> tuple[int, int]:
    """Fill the buffer of each cell at a slot; the first cell that can be, and one past the last.

    The cell below those with a buffer stands for one that has just run dry, whatever its stall: so who waits
    with an empty buffer, slot after slot, is not given a cell each time.
    """
    least = slot * grid.slot_s - grid.origin_s[chunk]
    room = terms.cap_s + terms.chunk_s + 2 * grid.slot_s
    low = max(np.searchsorted(grid.stalls, least - 1e-9) - 1, 0)
    high = min(np.searchsorted(grid.stalls, least + room) + 1, len(grid.stalls))
    for cell in range(low, high):
        buffers[cell] = max(grid.stalls[cell] - least, 0.0)
    return low, high


@compiled
def _cell(grid: PackedGrid, chunk: int, at_s: float, buffer: float) -> int:
    """The first cell with at least so much buffer."""
    return np.searchsorted(grid.stalls, at_s + buffer - grid.origin_s[chunk] - 1e-9)


@compiled
def _on_the_rough(
    terms: Terms, rough: PackedGrid, values: Floats, chunk: int, at_s: float, buffer: float, level: int
) -> float:
    """What a plan still gets that leaves the grid where `chunk` is to be asked for."""
    slot = int(at_s / rough.slot_s + 1e-9)
    if len(values) == 0 or slot > rough.last[chunk]:
        return (len(terms.sizes) - chunk) * terms.quality.max()
    if slot < rough.first[chunk]:
        return np.inf
    return values[slot - rough.first[chunk], _cell(rough, chunk, at_s, buffer), level]


@compiled
def _choose(
    terms: Terms, grid: PackedGrid, taken: Floats, low: int, high: int, buffers: Floats, rows: Floats
) -> None:
    """The best level from each last one, where the buffer is not above its cap.

    `q` rises with the level, so what is lost by changing adds up from neighbour to neighbour.
    """
    q, levels = terms.quality, rows.shape[1]
    for cell in range(low, high):
        if buffers[cell] >= terms.cap_s + grid.slot_s:
            rows[cell] = -np.inf
            continue
        for level in range(levels):
            rows[cell, level] = q[level] + taken[level, cell]
            if level:
                rows[cell, level] = max(
                    rows[cell, level], rows[cell, level - 1] - terms.smooth * (q[level] - q[level - 1])
                )
        for level in range(levels - 2, -1, -1):
            rows[cell, level] = max(
                rows[cell, level], rows[cell, level + 1] - terms.smooth * (q[level + 1] - q[level])
            )


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
    buffers: Floats,
    due: Floats,
    rough: PackedGrid,
    way_out: Floats,
    after: Floats,
    taken: Floats,
) -> None:
    """Fill `taken[low:high]`: what a level brings from this slot on, but for its own quality."""
    begin_s, size = slot * grid.slot_s, terms.sizes[chunk, level]
    taken[low:high] = 0.0
    _pay(terms, grid, payload, level, slot, size, low, high, buffers, due, taken)
    end = int(arrival(payload, terms.step_s, begin_s, size) / grid.slot_s + 1e-9)
    took = (end - slot) * grid.slot_s + terms.rtt_s
    is_last = chunk == len(terms.sizes) - 1
    leaves = not is_last and end > grid.last[chunk + 1]
    for cell in range(low, high):
        buffer = buffers[cell] - took
        taken[cell] -= terms.mu * max(-buffer, 0.0)
        if is_last:
            continue
        stalls_or_dry = buffer < 0.0 or buffers[cell] == 0.0
        buffer = max(buffer, 0.0) + terms.chunk_s
        end_s = end * grid.slot_s
        if leaves:
            taken[cell] += _on_the_rough(terms, rough, way_out, chunk + 1, end_s, buffer, level)
        else:
            there = _cell(grid, chunk + 1, end_s, buffer) if stalls_or_dry else cell
            taken[cell] += after[end - grid.first[chunk + 1], there, level]


@compiled
def _pay(
    terms: Terms,
    grid: PackedGrid,
    payload: Floats,
    level: int,
    slot: int,
    size: float,
    low: int,
    high: int,
    buffers: Floats,
    due: Floats,
    taken: Floats,
) -> None:
    """Take from `taken[low:high]` what a download pays for the steps that it sees begin."""
    begin_s, step, sent, passed = slot * grid.slot_s, slot // grid.slots, 0.0, 0.0
    row = np.empty(len(terms.buffers))
    while step < len(due):
        until_s = (step + 1) * terms.step_s - begin_s
        sent += payload[step] * (until_s - passed) / terms.step_s
        if sent > size:
            return
        passed = until_s
        share = 1.0 - sent / size
        first, below, middle, above = around(terms.left, share)
        three = due[step, level]
        for each in range(len(row)):
            row[each] = below * three[first, each] + middle * three[first + 1, each]
            row[each] += above * three[first + 2, each]
        for cell in range(low, high):
            taken[cell] -= interpolate_row(terms, row, buffers[cell] - until_s)
        step += 1


@compiled
def _let_pass(
    terms: Terms,
    grid: PackedGrid,
    chunk: int,
    slot: int,
    low: int,
    high: int,
    buffers: Floats,
    due: Floats,
    rough: PackedGrid,
    way_out: Floats,
    asked: Floats,
) -> None:
    """Better the states of a slot by what it brings to let it pass.

    Args:
        due: what is paid with the chunk before in flight.
    """
    row, step = slot - grid.first[chunk], slot // grid.slots
    pays = (slot + 1) % grid.slots == 0 and step < len(due)
    least = (slot + 1) * grid.slot_s - grid.origin_s[chunk]
    dry = max(np.searchsorted(grid.stalls, least - 1e-9) - 1, 0)
    for cell in range(low, high):
        stall = max(grid.slot_s - buffers[cell], 0.0)
        there = max(cell, dry)
        for level in range(asked.shape[2]):
            if slot == grid.last[chunk]:
                waited = _on_the_rough(terms, rough, way_out, chunk, slot * grid.slot_s, buffers[cell], level)
            else:
                waited = asked[row + 1, there, level] - terms.mu * stall
                if pays:
                    in_flight = buffers[cell] - grid.slot_s - terms.chunk_s
                    waited -= interpolate_row(terms, due[step, level, 0], in_flight)
            asked[row, cell, level] = max(asked[row, cell, level], waited)

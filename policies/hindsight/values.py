"""What each next level is worth to one who knows the future: the values that the network learns first.

For a state of a simulated session and each first level, the best continuation over the next `HORIZON_S`
seconds of media is searched with the trace itself, by a beam: of the plans' beginnings that end in the same
level and in the same slot of time only the best lives on. A plan is worth the QoE of its chunks and, unless
the video ends with it, `BUFFER_WORTH` for each second that is buffered at its end, up to `BUFFER_S`; without
that a plan would empty the buffer. That worth is relative to the ladder and grows with the root of mu.
"""

from __future__ import annotations

import math

import numpy as np

from player.compiled.compiled import compiled
from player.compiled.threads import share
from player.simulated.batch.library import Floats, Ints, PackedLibrary
from player.simulated.batch.link import hold_ms, idle
from player.simulated.batch.sessions import BatchState, Sessions
from player.simulated.link_published import MAX_INTERVALS, PAYLOAD
from policies.view.batch import PackedLadders
from policies.view.layout import TOP_MBPS

HORIZON_S = 32.0
FEWEST, MOST = 5, 24
"""Chunks of a plan, whatever their length."""
CELLS = 72
"""The beam holds at most so many beginnings, but `FEWEST_SLOTS` for each last level: 12 slots of time for
each of six levels."""
FEWEST_SLOTS = 4
BUFFER_WORTH = 0.12
"""Relative QoE a second of buffer at the end of a plan, at the published ladder's mu."""
BUFFER_S = 20.0

_MS_PER_S = 1000.0
_POSITION, _BUFFER, _REWARD, _SPENT = 0, 1, 2, 3
_FIELDS = 4


def planned_values(sessions: Sessions, horizon: int = 0, slots: int = 0, only: Ints | None = None) -> Floats:
    """(sessions, levels) the worth of each next level; 0 for sessions that are over.

    In each session's own units of QoE. Every session must have its first chunk and no noise; -inf for
    levels that its ladder lacks.

    Args:
        horizon: chunks of a plan; 0: what `HORIZON_S` comes to.
        slots: of time, for each last level; 0: what `CELLS` comes to.
        only: sessions to plan for; the others' values are 0. None: all.
    """
    packed, state = sessions.library.packed, sessions.state
    units = PackedLadders.of(sessions.library).unit[state.kind, state.video]
    worths = BUFFER_WORTH * np.sqrt(state.mu * units / TOP_MBPS) / units / _MS_PER_S
    values = np.zeros((len(sessions), packed.sizes_bytes.shape[2]))

    which = np.arange(len(sessions)) if only is None else np.asarray(only, np.int64)

    def part(begin: int, end: int) -> None:
        _plan(packed, state, worths, horizon, slots, values, which[begin:end])

    share(part, len(which), sessions.threads)
    return values


def advantages(values: Floats, worst: float) -> Floats:
    """Values less the best one's of each row, clipped at `worst`."""
    return np.maximum(values - values.max(axis=1, keepdims=True), worst)


@compiled
def future_mbps(packed: PackedLibrary, state: BatchState, window_s: float, windows: Floats) -> None:
    """Fill (sessions, windows) with the mean rate of each next `window_s` of every session's trace."""
    for session in range(len(windows)):
        index, at_s = state.interval[session], state.at_s[session]
        for window in range(windows.shape[1]):
            left_s, carried = window_s, 0.0
            while left_s > 0.0:
                step_s = packed.time_s[index] - at_s
                if step_s > left_s:
                    carried += packed.bytes_per_s[index] * left_s
                    at_s += left_s
                    left_s = 0.0
                else:
                    carried += packed.bytes_per_s[index] * step_s
                    left_s -= step_s
                    at_s = packed.time_s[index]
                    index += 1
                    if index >= state.end[session]:
                        index = state.begin[session] + 1
                        at_s = 0.0
            windows[session, window] = carried * 8.0 / 1e6 / window_s


@compiled
def _plan(
    packed: PackedLibrary,
    state: BatchState,
    worths: Floats,
    horizon: int,
    all_slots: int,
    values: Floats,
    which: Ints,
) -> None:
    """Fill `values[which]`; `worths` are QoE a millisecond of buffer."""
    levels = values.shape[1]
    cells = max(CELLS, levels * FEWEST_SLOTS, levels * all_slots)
    beam, beam_at = np.empty((cells, _FIELDS)), np.empty((cells, 2), np.int64)
    grown, grown_at = np.empty((cells * levels, _FIELDS)), np.empty((cells * levels, 2), np.int64)
    held = np.empty(cells, np.int64)
    for session in which:
        chunk, chunks = state.chunk[session], state.chunks[session]
        if chunk >= chunks:
            continue
        ladder = packed.levels[state.video[session]]
        slots = all_slots if all_slots > 0 else max(CELLS // ladder, FEWEST_SLOTS)
        span = min(
            max(math.ceil(HORIZON_S * _MS_PER_S / packed.chunk_ms[state.video[session]]), FEWEST), MOST
        )
        if horizon > 0:
            span = horizon
        worth = worths[session] if chunk + span < chunks else 0.0
        for first in range(levels):
            if first >= ladder:
                values[session, first] = -np.inf
                continue
            beam[0, _POSITION] = state.at_s[session]
            beam[0, _BUFFER] = state.buffer_ms[session]
            beam[0, _REWARD] = 0.0
            beam[0, _SPENT] = 0.0
            beam_at[0, 0], beam_at[0, 1] = state.interval[session], state.level[session]
            count = 1
            for step in range(min(span, chunks - chunk)):
                low, high = (first, first + 1) if step == 0 else (0, ladder)
                made = _grow(
                    packed, state, session, chunk + step, low, high,
                    chunk + step + 1 < chunks, beam, beam_at, count, grown, grown_at,
                )  # fmt: skip
                count = _prune(beam, beam_at, grown, grown_at, made, slots, worth, held)
            best = -np.inf
            for row in range(count):
                best = max(best, _worth(beam[row], worth))
            values[session, first] = best


@compiled
def _worth(row: Floats, worth: float) -> float:
    return row[_REWARD] + worth * min(row[_BUFFER], BUFFER_S * _MS_PER_S)


@compiled
def _grow(
    packed: PackedLibrary,
    state: BatchState,
    session: int,
    chunk: int,
    low: int,
    high: int,
    waits: bool,
    beam: Floats,
    beam_at: Ints,
    count: int,
    grown: Floats,
    grown_at: Ints,
) -> int:
    """Continue each beginning with each level of `low` to `high`; how many that makes.

    A larger size of the same chunk passes the intervals that the smaller one has passed, so one walk
    along the trace serves all levels. Sizes of a chunk that don't rise with the level begin it anew.
    """
    video, first, last = state.video[session], state.begin[session], state.end[session]
    time_s, bytes_per_s, q = packed.time_s, packed.bytes_per_s, packed.quality[state.kind[session], video]
    mu, smooth = state.mu[session], state.smooth[session]
    made = 0
    for row in range(count):
        index, at_s, before = beam_at[row, 0], beam[row, _POSITION], beam_at[row, 1]
        took_s, sent = 0.0, 0.0
        for level in range(low, high):
            size = packed.sizes_bytes[video, chunk, level]
            if size < sent:
                index, at_s, took_s, sent = beam_at[row, 0], beam[row, _POSITION], 0.0, 0.0
            for _ in range(MAX_INTERVALS):
                speed = bytes_per_s[index] * PAYLOAD
                left_s = time_s[index] - at_s
                if sent + speed * left_s > size:
                    step_s = (size - sent) / speed
                    at_s += step_s
                    took_s += step_s
                    break
                sent += speed * left_s
                took_s += left_s
                at_s = time_s[index]
                index += 1
                if index >= last:
                    index, at_s = first + 1, 0.0
            sent = size
            delay_ms = took_s * _MS_PER_S + state.rtt_ms[session] + packed.delay_ms[beam_at[row, 0]]
            buffer_ms = beam[row, _BUFFER]
            stall_ms = max(delay_ms - buffer_ms, 0.0)
            buffer_ms = max(buffer_ms - delay_ms, 0.0) + packed.chunk_ms[video]
            new_index, new_at_s = index, at_s
            wait_ms = hold_ms(buffer_ms, state.cap_ms[session]) if waits else 0.0
            if wait_ms > 0.0:
                buffer_ms -= wait_ms
                new_index, new_at_s = idle(time_s, first, last, index, at_s, wait_ms)
            grown[made, _POSITION] = new_at_s
            grown[made, _BUFFER] = buffer_ms
            grown[made, _REWARD] = (
                beam[row, _REWARD] + q[level] - mu * stall_ms / _MS_PER_S - smooth * abs(q[level] - q[before])
            )
            grown[made, _SPENT] = beam[row, _SPENT] + delay_ms + wait_ms
            grown_at[made, 0], grown_at[made, 1] = new_index, level
            made += 1
    return made


@compiled
def _prune(
    beam: Floats,
    beam_at: Ints,
    grown: Floats,
    grown_at: Ints,
    made: int,
    slots: int,
    worth: float,
    held: Ints,
) -> int:
    """Put the best beginning of each last level and slot of time into the beam; how many there are."""
    least, most = np.inf, -np.inf
    for row in range(made):
        least, most = min(least, grown[row, _SPENT]), max(most, grown[row, _SPENT])
    width_ms = (most - least) / slots + 1e-9
    held[:] = -1
    for row in range(made):
        slot = min(int((grown[row, _SPENT] - least) / width_ms), slots - 1)
        cell = grown_at[row, 1] * slots + slot
        if held[cell] < 0 or _worth(grown[row], worth) > _worth(grown[held[cell]], worth):
            held[cell] = row
    count = 0
    for cell in range(len(held)):
        if held[cell] >= 0:
            beam[count] = grown[held[cell]]
            beam_at[count] = grown_at[held[cell]]
            count += 1
    return count

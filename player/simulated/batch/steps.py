"""What happens to the sessions of a batch, compiled: they begin, and download a chunk each.

A step goes through the sessions in blocks, each in passes: session by session what is needed is looked up;
then comes arithmetic alone, on numbers that lie side by side, so that the compiler makes vector instructions
of it and no branch is guessed wrong; then, session by session, what came of it is noted. The float operations
of a session and their order are those of `player/simulated/session.py`, `player/simulated/link_published.py`
and `player/buffer.py`; don't tidy them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from player.compiled.compiled import compiled
from player.simulated.batch.library import Floats, Ints, PackedLibrary
from player.simulated.batch.link import NEVER, deliver, hold_ms, noise_factors, rest
from player.simulated.batch.prefetch import LINE_BYTES, prefetch
from player.simulated.batch.state import BatchState
from player.simulated.link_published import PAYLOAD

FINE = -1
"""The session that says: there was no such session."""

BLOCK = 128
"""Sessions that go through the passes together: what is known of them fits the nearest cache."""

AHEAD = 2
"""Intervals of a trace that all downloads of a block are tried on at once; one that goes on goes on alone."""

_MS_PER_S = 1000.0

_ROWS, _ROWS_AHEAD = 21, 4
"""Of a block's scratch room: so many rows of `BLOCK` numbers, then so many of `AHEAD` such rows each. It is
one flat array with constant places, as only then the compiler knows that no row lies upon another."""
(
    _SIZE_BYTES, _TOOK_S, _SENT_BYTES, _PASSED, _SPEED, _FROM_S, _RTT_MS, _NOISE, _CAP_MS, _CHUNK_MS,
    _BUFFER_MS, _MU, _QUALITY, _CHANGE, _DELAY_MS, _DOWNLOAD_S, _MBPS, _STALL_MS, _PLAYED_MS, _REWARD,
    _WAIT_MS,
) = range(0, _ROWS * BLOCK, BLOCK)  # fmt: skip
_PAYLOADS, _LASTS, _SPEEDS, _FROMS = ((_ROWS + place * AHEAD) * BLOCK for place in range(_ROWS_AHEAD))
_ROOM = (_ROWS + _ROWS_AHEAD * AHEAD) * BLOCK


@compiled
def first_illegal(levels: Ints, video: Ints, chunk: Ints, chunks: Ints, chosen: Ints) -> int:
    """The first session whose level is none of its ladder; `FINE` if there is none.

    Args:
        levels: (videos,) of each ladder.
        video, chunk, chunks: (sessions,) of the state.
        chosen: (sessions,)
    """
    for session in range(len(chosen)):
        level = chosen[session]
        if 0 <= level < levels[video[session]] or chunk[session] >= chunks[session]:
            continue
        return session
    return FINE


@compiled
def begin_sessions(
    packed: PackedLibrary, state: BatchState, which: Ints, index: Ints, seeds: Ints, begin: int, end: int
) -> None:
    """Put the sessions `which[begin:end]` at their start: nothing downloaded yet."""
    for place in range(begin, end):
        session = which[place]
        state.interval[session] = index[place]
        state.at_s[session] = packed.time_s[index[place] - 1]
        state.chunk[session] = 0
        state.level[session] = -1
        state.buffer_ms[session] = 0.0
        state.elapsed_ms[session] = 0.0
        state.startup_ms[session] = 0.0
        state.stalled_ms[session] = 0.0
        state.played_ms[session] = 0.0
        state.size_bytes[session] = 0.0
        state.delay_ms[session] = 0.0
        state.stall_ms[session] = 0.0
        state.after_ms[session] = 0.0
        state.wait_ms[session] = 0.0
        state.reward[session] = 0.0
        for chunk in range(state.past_rtt_ms.shape[1]):
            state.past_rtt_ms[session, chunk] = state.rtt_ms[session]
        if state.noise.shape[1]:
            noise_factors(seeds[place], state.noise[session])


@compiled
def step(packed: PackedLibrary, state: BatchState, which: Ints, levels: Ints, begin: int, end: int) -> int:
    """Download the next chunk of the sessions `which[begin:end]` and wait for the one after.

    No call that is given the state: handing over so many arrays would cost more than the download does.

    Returns:
        the first session whose trace never delivers, or `FINE`.
    """
    intervals, delayed = packed.intervals, packed.delayed
    room, going = np.empty(_ROOM), np.empty(BLOCK, np.int64)
    noisy = state.noise.shape[1] > 0
    _ask_for(intervals, state.past, state.past_level, state.interval, state.chunk, which, begin, end)
    for start in range(begin, end, BLOCK):
        next_one = start + BLOCK
        _ask_for(intervals, state.past, state.past_level, state.interval, state.chunk, which, next_one, end)
        count = 0
        for place in range(start, min(start + BLOCK, end)):
            session = np.uint64(which[place])
            chunk, chunks = np.uint64(state.chunk[session]), np.uint64(state.chunks[session])
            if chunk >= chunks:
                state.reward[session] = 0.0
                continue
            level, video = np.uint64(levels[place]), np.uint64(state.video[session])
            at = np.uint64(count)
            going[at] = which[place]
            interval = state.interval[session]
            room[_SIZE_BYTES + at] = packed.sizes_bytes[video, chunk, level]
            delay_ms = packed.delay_ms[np.uint64(interval)] if delayed else 0.0
            room[_RTT_MS + at] = state.rtt_ms[session] + delay_ms
            room[_NOISE + at] = state.noise[session, chunk] if noisy else 1.0
            room[_CAP_MS + at] = state.cap_ms[session] if chunk + 1 < chunks else np.inf
            room[_CHUNK_MS + at] = packed.chunk_ms[video]
            room[_BUFFER_MS + at] = state.buffer_ms[session]
            counted = 1.0 if chunk > 0 else 0.0
            kind, before = np.uint64(state.kind[session]), np.uint64(max(state.level[session], 0))
            quality = packed.quality[kind, video, level]
            change = state.smooth[session] * abs(quality - packed.quality[kind, video, before])
            room[_QUALITY + at] = quality * counted
            room[_CHANGE + at] = change * counted
            room[_MU + at] = state.mu[session] * counted
            state.level[session] = levels[place]
            _look_ahead(
                intervals, interval, state.begin[session], state.end[session], state.at_s[session], room, at
            )
            count += 1
        _try_ahead(room, count)
        for place in range(count):
            at = np.uint64(place)
            session = np.uint64(going[at])
            first, last = state.begin[session], state.end[session]
            passed = int(room[_PASSED + at])
            index = state.interval[session] + passed
            while index >= last:
                index -= last - first - 1
            at_s = room[_FROM_S + at]
            if passed == AHEAD:
                index, at_s, took_s = deliver(
                    intervals,
                    first,
                    last,
                    index,
                    room[_SIZE_BYTES + at],
                    room[_SENT_BYTES + at],
                    room[_TOOK_S + at],
                )
                if index == NEVER:
                    return going[at]
                room[_TOOK_S + at] = took_s
            state.interval[session] = index
            state.at_s[session] = at_s
        _account(room, count)
        for place in range(count):
            at = np.uint64(place)
            session = np.uint64(going[at])
            chunk = np.uint64(state.chunk[session])
            delay_ms, stall_ms, wait_ms = room[_DELAY_MS + at], room[_STALL_MS + at], room[_WAIT_MS + at]
            buffer_ms = room[_BUFFER_MS + at]
            elapsed_ms = state.elapsed_ms[session] + delay_ms
            if chunk == 0:
                state.startup_ms[session] += delay_ms
                stall_ms = 0.0
            played_ms = state.played_ms[session] + room[_PLAYED_MS + at]
            stalled_ms = state.stalled_ms[session] + stall_ms
            state.past[session, chunk, 0] = room[_MBPS + at]
            state.past[session, chunk, 1] = room[_DOWNLOAD_S + at]
            if delayed:
                state.past_rtt_ms[session, chunk] = room[_RTT_MS + at]
            state.past_level[session, chunk] = state.level[session]
            state.size_bytes[session] = room[_SIZE_BYTES + at]
            state.delay_ms[session] = delay_ms
            state.stall_ms[session] = stall_ms
            state.after_ms[session] = buffer_ms
            state.reward[session] = room[_REWARD + at]
            state.chunk[session] += 1
            if wait_ms > 0:
                played_ms += min(wait_ms, buffer_ms)
                stalled_ms += max(wait_ms - buffer_ms, 0.0)
                buffer_ms = max(buffer_ms - wait_ms, 0.0)
                index, at_s = rest(
                    intervals,
                    state.begin[session],
                    state.end[session],
                    state.interval[session],
                    state.at_s[session],
                    wait_ms,
                )
                state.interval[session], state.at_s[session] = index, at_s
                elapsed_ms += wait_ms
            state.played_ms[session] = played_ms
            state.stalled_ms[session] = stalled_ms
            state.elapsed_ms[session] = elapsed_ms
            state.wait_ms[session] = wait_ms
            state.buffer_ms[session] = buffer_ms
    return FINE


@compiled
def _ask_for(
    intervals: NDArray[np.void],
    past: Floats,
    past_level: NDArray[np.int8],
    interval: Ints,
    chunk: Ints,
    which: Ints,
    start: int,
    end: int,
) -> None:
    """Have what a block of sessions will look up and note brought near: where each is in its trace, and the
    places of its next chunk."""
    of_intervals, of_past, of_levels = intervals.ctypes.data, past.ctypes.data, past_level.ctypes.data
    chunks = past.shape[1]
    for place in range(start, min(start + BLOCK, end)):
        session = np.uint64(which[place])
        here = of_intervals + 32 * interval[session]
        prefetch(here)
        prefetch(here + LINE_BYTES)
        noted = which[place] * chunks + chunk[session]
        prefetch(of_past + 16 * noted)
        prefetch(of_levels + noted)


@compiled
def _look_ahead(
    intervals: NDArray[np.void], index: int, begin: int, end: int, at_s: float, room: Floats, at: int
) -> None:
    """Fill in the next `AHEAD` intervals of one session, of the first what is left of it."""
    now = intervals[np.uint64(index)]
    left_s = now.end_s - at_s
    room[_PAYLOADS + at] = now.bytes_per_s * left_s * PAYLOAD
    room[_LASTS + at] = left_s
    room[_SPEEDS + at] = now.bytes_per_s
    room[_FROMS + at] = at_s
    for ahead in range(1, AHEAD):
        index += 1
        if index >= end:
            index = begin + 1
        then = intervals[np.uint64(index)]
        place = np.uint64(ahead * BLOCK) + at
        room[_PAYLOADS + place] = then.payload_bytes
        room[_LASTS + place] = then.end_s - then.begin_s
        room[_SPEEDS + place] = then.bytes_per_s
        room[_FROMS + place] = then.begin_s


@compiled
def _try_ahead(room: Floats, count: int) -> None:
    """Let the downloads pass the intervals ahead that do not end them."""
    for at in range(count):
        room[_SENT_BYTES + at] = room[_TOOK_S + at] = room[_PASSED + at] = 0.0
        room[_SPEED + at] = room[_FROM_S + at] = 0.0
    for ahead in range(AHEAD):
        row = ahead * BLOCK
        for at in range(count):
            here = room[_PASSED + at] == ahead
            total_bytes = room[_SENT_BYTES + at] + room[_PAYLOADS + row + at]
            passes = here & (total_bytes <= room[_SIZE_BYTES + at])
            room[_SPEED + at] = room[_SPEEDS + row + at] if here else room[_SPEED + at]
            room[_FROM_S + at] = room[_FROMS + row + at] if here else room[_FROM_S + at]
            room[_SENT_BYTES + at] = total_bytes if passes else room[_SENT_BYTES + at]
            took_s = room[_TOOK_S + at] + room[_LASTS + row + at]
            room[_TOOK_S + at] = took_s if passes else room[_TOOK_S + at]
            room[_PASSED + at] = ahead + 1.0 if passes else room[_PASSED + at]
    for at in range(count):
        part_s = (room[_SIZE_BYTES + at] - room[_SENT_BYTES + at]) / room[_SPEED + at] / PAYLOAD
        ends = room[_PASSED + at] < AHEAD
        room[_FROM_S + at] = room[_FROM_S + at] + part_s if ends else room[_FROM_S + at]
        room[_TOOK_S + at] = room[_TOOK_S + at] + part_s if ends else room[_TOOK_S + at]


@compiled
def _account(room: Floats, count: int) -> None:
    """What each download comes to for buffer and QoE."""
    for at in range(count):
        delay_ms = (room[_TOOK_S + at] * _MS_PER_S + room[_RTT_MS + at]) * room[_NOISE + at]
        buffer_ms = room[_BUFFER_MS + at]
        stall_ms = max(delay_ms - buffer_ms, 0.0)
        download_s = delay_ms / _MS_PER_S
        room[_DELAY_MS + at] = delay_ms
        room[_STALL_MS + at] = stall_ms
        room[_PLAYED_MS + at] = min(delay_ms, buffer_ms)
        room[_DOWNLOAD_S + at] = download_s
        room[_MBPS + at] = 8 * room[_SIZE_BYTES + at] / download_s / 1e6
        cost = room[_MU + at] * (stall_ms / _MS_PER_S)
        room[_REWARD + at] = room[_QUALITY + at] - cost - room[_CHANGE + at]
        buffer_ms = max(buffer_ms - delay_ms, 0.0) + room[_CHUNK_MS + at]
        room[_BUFFER_MS + at] = buffer_ms
        room[_WAIT_MS + at] = hold_ms(buffer_ms, room[_CAP_MS + at])

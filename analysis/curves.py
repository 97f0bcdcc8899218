"""What happened over time in a session, rebuilt from the facts of its record.

The buffer of a player falls by one second a second and rises by a chunk's length when a chunk is
in; so the levels at the arrivals, which the record has, and the rule give it at every moment.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.sessions import RateSeries
from player.record import FINISHED, ChunkRow, EndRow

SHORTEST_STALL_S = 1e-6
"""Shorter ones are rounding."""
ROUNDING_S = 1e-6
"""Levels no further apart are the same."""


@dataclass(frozen=True)
class Curve:
    """Points to be joined by straight lines; time does not fall from point to point."""

    time_s: tuple[float, ...]
    value: tuple[float, ...]


@dataclass(frozen=True)
class Stall:
    """Playback stood still."""

    begin_s: float
    end_s: float


def arrival_s(row: ChunkRow) -> float:
    """When a chunk's last byte was in, since the session began."""
    return row.request_s + row.download_s


def buffer_curve(
    chunks: Sequence[ChunkRow], end: EndRow, *, startup_s: float = 0.0, resume_s: float = 0.0
) -> Curve:
    """The buffer in seconds, from the session's begin to its end.

    Flat at 0 until the first chunk is in; from an arrival's level down at 1 s/s, at 0 while
    stalled, straight up at the next arrival. While the player waits for enough to begin or to go on with,
    the level holds.

    Args:
        startup_s: buffered before playback began; 0: the first chunk is enough.
        resume_s: buffered before it went on after a stall; 0: one chunk is enough.
    """
    times_s, levels_s = [0.0], [0.0]
    enough_s = startup_s
    waits = True

    def pass_until(time_s: float) -> None:
        began_s, level_s = times_s[-1], levels_s[-1]
        elapsed_s = 0.0 if waits else max(time_s - began_s, 0.0)
        if 0 < level_s < elapsed_s:
            times_s.append(began_s + level_s)
            levels_s.append(0.0)
        times_s.append(max(time_s, began_s))
        levels_s.append(max(level_s - elapsed_s, 0.0))

    for row in chunks:
        pass_until(arrival_s(row))
        if levels_s[-1] <= ROUNDING_S and not waits:
            waits, enough_s = True, resume_s
        times_s.append(times_s[-1])
        levels_s.append(row.buffer_after_s)
        waits = waits and row.buffer_after_s < enough_s - ROUNDING_S
    if end.outcome == FINISHED:  # nothing is left to wait for
        waits = False
    pass_until(end.elapsed_s)
    return Curve(tuple(times_s), tuple(levels_s))


def told_buffer(chunks: Sequence[ChunkRow], end: EndRow) -> Curve:
    """The buffer in seconds as the record tells it, at each decision and each arrival, straight between: of a
    live stream whose chunks come in parts nobody knows more."""
    times_s, levels_s = [0.0], [0.0]
    for row in chunks:
        for time_s, level_s in (
            (row.request_s - row.decision_s, row.buffer_before_s),
            (arrival_s(row), row.buffer_after_s),
        ):
            times_s.append(max(time_s, times_s[-1]))
            levels_s.append(level_s)
    times_s.append(max(end.elapsed_s, times_s[-1]))
    levels_s.append(0.0 if end.outcome == FINISHED else levels_s[-1])
    return Curve(tuple(times_s), tuple(levels_s))


def stalls(chunks: Sequence[ChunkRow], end: EndRow) -> tuple[Stall, ...]:
    """When playback stood still; startup is none.

    A stall lasts until a chunk is in. What the end line has beyond the chunks' stalls belongs to a
    chunk that never came, and lasts to the end of the session.
    """
    found = [
        Stall(max(arrival_s(row) - row.stall_s, 0.0), arrival_s(row))
        for row in chunks[1:]
        if row.stall_s > SHORTEST_STALL_S
    ]
    last_s = end.stall_s - sum(row.stall_s for row in chunks)
    if chunks and last_s > SHORTEST_STALL_S:
        found.append(Stall(max(end.elapsed_s - last_s, 0.0), end.elapsed_s))
    return tuple(found)


def chosen_level(chunks: Sequence[ChunkRow]) -> Curve:
    """Bitrate in Mbit/s as steps: a chunk's from its request to the next one's, the last's until it is in."""
    times_s: list[float] = []
    rates_mbps: list[float] = []
    ends_s = [row.request_s for row in chunks[1:]] + [arrival_s(row) for row in chunks[-1:]]
    for row, end_s in zip(chunks, ends_s, strict=True):
        times_s += [row.request_s, end_s]
        rates_mbps += [row.bitrate_kbps / 1000] * 2
    return Curve(tuple(times_s), tuple(rates_mbps))


def throughput(chunks: Sequence[ChunkRow]) -> Curve:
    """Throughput in Mbit/s from each chunk's request to its last byte; between chunks a gap (nan)."""
    times_s: list[float] = []
    rates_mbps: list[float] = []
    for row in chunks:
        times_s += [row.request_s, arrival_s(row), arrival_s(row)]
        rates_mbps += [row.throughput_mbps, row.throughput_mbps, math.nan]
    return Curve(tuple(times_s), tuple(rates_mbps))


def link_rate(trace: RateSeries, until_s: float) -> Curve:
    """The trace's rate in Mbit/s as steps, from the session's begin to `until_s`, wrapping at its end."""
    lasts_s = trace.time_s[-1]
    offset_s = math.fmod(trace.start_s, lasts_s)
    index = bisect_right(trace.time_s, offset_s)
    now_s = 0.0
    times_s: list[float] = []
    rates_mbps: list[float] = []
    while now_s < until_s:
        ends_s = min(now_s + trace.time_s[index] - offset_s, until_s)
        times_s += [now_s, ends_s]
        rates_mbps += [trace.rate_mbps[index]] * 2
        now_s, offset_s = ends_s, trace.time_s[index]
        index += 1
        if index == len(trace.time_s):
            index, offset_s = 1, 0.0
    return Curve(tuple(times_s), tuple(rates_mbps))


def carried_megabits(trace: RateSeries, until_s: float) -> float:
    """What the link carried from the session's begin to `until_s`."""
    link = link_rate(trace, until_s)
    steps = zip(link.time_s[::2], link.time_s[1::2], link.value[::2], strict=True)
    return sum(rate_mbps * (end_s - begin_s) for begin_s, end_s, rate_mbps in steps)

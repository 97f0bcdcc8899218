"""The view of every session of a batch, compiled: what `one.view_of` shows of each."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from player.compiled.compiled import compiled
from player.compiled.threads import share
from player.observation import HORIZON
from player.simulated.batch.library import Floats, Library, PackedLibrary
from player.simulated.batch.sessions import SMALLEST_PART, BatchState, Sessions
from policies.rules.batch_mpc import harmonic_mean_mbps, robust_mbps
from policies.rules.throughput import FLOOR_MBPS
from policies.view import layout
from policies.view.asked import unit_of
from policies.view.batch_plans import fill_plan_values
from policies.view.layout import (
    AHEAD,
    CHANGE,
    DRAIN,
    DRAIN_LIMIT,
    EXISTS,
    FADE_S,
    FAST,
    FAST_S,
    HIGHER,
    HIGHER_SHARE,
    HISTORY,
    IS_LAST,
    IS_TOP,
    LAST,
    LIMIT,
    LONG,
    LOW,
    LOWER,
    LOWER_SHARE,
    LOWEST,
    MAX_LEVELS,
    MEAN,
    MEAN_AHEAD,
    NEXT,
    PLACES,
    PLANNED,
    QUALITY,
    QUANTILES,
    RATE,
    RATE_SCALE,
    ROBUST,
    ROUND_TRIP_SHARE,
    SLACK,
    SLACK_LIMIT,
    SLOW,
    SLOW_S,
    SPAN,
    STALL,
    TOP_MBPS,
    WIDTH,
    WORST_VALUE,
    Vectors,
)  # fmt: skip
from policies.view.plans import FEWEST, MOST, PLAN_S

_MS_PER_S = 1000.0
_GUESSES = len(layout.GUESSES)
_ATTRIBUTES = len(layout.ATTRIBUTES)
_DOWNLOAD_AT = PLACES["download"].start
_SIZE_AT = PLACES["size"].start
_PLAYBACK_AT = PLACES["playback"].start
_ASKED_AT = PLACES["asked"].start
_LADDER_AT = PLACES["ladder"].start
_GUESSES_AT = PLACES["guesses"].start
_MEMORY_AT = PLACES["memory"].start
_OPTIONS_AT = PLACES["options"].start
_QUANTILES = len(QUANTILES)


class PackedLadders(NamedTuple):
    """What the view needs of a library's videos."""

    quality: Floats
    """(kinds, videos, levels) relative."""
    unit: Floats
    """(kinds, videos) what mu is multiplied by."""
    mbps: Floats
    """(videos, levels) nominal."""
    scale: Floats
    """(videos,) what rates are multiplied by."""

    @classmethod
    def of(cls, library: Library) -> PackedLadders:
        """Of all its videos.

        Raises:
            ValueError: a ladder of more than MAX_LEVELS levels.
        """
        packed, videos = library.packed, library.videos
        for video in videos:
            if video.levels > MAX_LEVELS:
                raise ValueError(f"{video.name}: {video.levels} levels; a batch's view has {MAX_LEVELS}")
        quality, unit = np.zeros_like(packed.quality), np.ones(packed.quality.shape[:2])
        mbps = np.zeros(packed.quality.shape[1:])
        for place, video in enumerate(videos):
            mbps[place, : video.levels] = np.asarray(video.ladder_kbps) / 1000.0
            for kind in range(len(quality)):
                q = packed.quality[kind, place, : video.levels]
                unit[kind, place] = unit_of(q.tolist())
                quality[kind, place, : video.levels] = (q - q[0]) * unit[kind, place]
        tops = np.array([video.ladder_kbps[-1] / 1000.0 for video in videos])
        return cls(quality, unit, mbps, TOP_MBPS / tops)


class View:
    """Makes a batch's vectors.

    Args:
        sessions: whose states are looked at.
        caution: a stall is shown so many times as costly as it is.

    Raises:
        ValueError: a ladder that is too long.
    """

    def __init__(self, sessions: Sessions, caution: float = 1.0) -> None:
        self._sessions, self._caution = sessions, caution
        self.ladders = PackedLadders.of(sessions.library)

    @property
    def units(self) -> Floats:
        """(sessions,) what rewards are multiplied by to be relative."""
        state = self._sessions.state
        return np.asarray(self.ladders.unit[state.kind, state.video])

    @property
    def relative_mu(self) -> Floats:
        """(sessions,) what a second of stall costs in relative units."""
        return np.asarray(self._sessions.state.mu * self.units)

    def fill(self, vectors: Vectors | None = None) -> Vectors:
        """(sessions, WIDTH); zeros for sessions that are over.

        Args:
            vectors: written into and returned; a new array where None.
        """
        return self._filled(self._sessions.state, vectors)

    def before_first(self) -> Vectors:
        """(sessions, WIDTH) what was known when each session's first chunk was asked for."""
        nothing = np.zeros(len(self._sessions))
        began = self._sessions.state._replace(
            chunk=nothing.astype(np.int64), level=nothing.astype(np.int64) - 1, buffer_ms=nothing
        )
        return self._filled(began, None)

    def _filled(self, state: BatchState, vectors: Vectors | None) -> Vectors:
        sessions, ladders = self._sessions, self.ladders
        filled = np.empty((len(sessions), WIDTH), np.float32) if vectors is None else vectors
        packed = sessions.library.packed
        if self._caution != 1.0:
            state = state._replace(mu=state.mu * self._caution)

        def part(begin: int, end: int) -> None:
            _fill(packed, ladders, state, filled, begin, end)

        share(part, len(sessions), sessions.threads, SMALLEST_PART // 16)
        return filled


@compiled
def _rate(mbps: float) -> float:
    return math.log1p(RATE_SCALE * mbps)


@compiled
def _within(value: float, limit: float) -> float:
    return min(max(value, -limit), limit)


@compiled
def _fill(
    packed: PackedLibrary,
    ladders: PackedLadders,
    state: BatchState,
    vectors: Vectors,
    begin: int,
    end: int,
) -> None:
    room = room_for_view(state.past_s.shape[1])
    for session in range(begin, end):
        vector = vectors[session]
        chunk, chunks = state.chunk[session], state.chunks[session]
        if chunk >= chunks:
            vector[:] = 0.0
            continue
        video, kind = state.video[session], state.kind[session]
        fill_view(
            vector,
            packed.sizes_bytes[video, chunk : min(chunk + HORIZON, chunks)],
            packed.levels[video],
            packed.chunk_ms[video] / _MS_PER_S,
            ladders.scale[video],
            ladders.quality[kind, video],
            ladders.mbps[video],
            state.mu[session] * ladders.unit[kind, video],
            state.smooth[session],
            state.cap_ms[session] / _MS_PER_S,
            state.buffer_ms[session] / _MS_PER_S,
            state.level[session],
            chunks - chunk,
            chunk,
            state.past_mbps[session],
            state.past_s[session],
            state.past_rtt_ms[session],
            state.stall_ms[session] / _MS_PER_S,
            state.stalled_ms[session] / _MS_PER_S,
            room,
        )


@compiled
def room_for_view(chunks: int) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """What `fill_view` works in, for sessions of so many past chunks at most."""
    return (
        np.empty(_GUESSES),
        np.empty(MAX_LEVELS),
        np.empty((MOST, MAX_LEVELS)),
        np.empty(chunks),
        np.empty(chunks),
    )


@compiled
def fill_view(
    vector: Vectors,
    sizes: Floats,
    levels: int,
    chunk_s: float,
    scale: float,
    quality: Floats,
    mbps: Floats,
    mu: float,
    smooth: float,
    cap_s: float,
    buffer_s: float,
    last: int,
    left: int,
    chunk: int,
    past_mbps: Floats,
    past_s: Floats,
    past_rtt_ms: Floats,
    stall_s: float,
    stalled_s: float,
    room: tuple[Floats, Floats, Floats, Floats, Floats],
) -> None:
    """One session's.

    Args:
        vector: (WIDTH,), written into.
        sizes: (known chunks, levels or more) bytes, the asked one first.
        scale: what rates are multiplied by.
        quality, mu: relative.
        mbps: (levels,) nominal.
        last: the level before; below 0 before the first chunk.
        left: chunks still to come, the asked one among them.
        chunk: how many were downloaded; of `past_…` the first so many count.
        stall_s, stalled_s: of the last chunk, and of all.
        room: of `room_for_view`.
    """
    vector[:] = 0.0
    steps = min(max(min(math.ceil(PLAN_S / chunk_s), MOST), FEWEST), left)
    rows = vector[_OPTIONS_AT:].reshape(MAX_LEVELS, _ATTRIBUTES)
    rtt_s = 0.0 if chunk == 0 else past_rtt_ms[chunk - 1] / _MS_PER_S
    _fill_playback(
        vector[_PLAYBACK_AT:_ASKED_AT], buffer_s, cap_s, chunk_s, left, steps, chunk, stall_s, stalled_s
    )
    _fill_asked(vector[_ASKED_AT:_GUESSES_AT], mu, smooth, chunk_s, rtt_s, levels, last, quality, mbps, scale)
    _fill_levels(rows, sizes, levels, last, quality, mbps, scale, chunk_s)
    if chunk > 0:
        guesses, values, download_s, link_mbps, net_s = room
        for back in range(max(HISTORY - chunk, 0), HISTORY):
            past = chunk - HISTORY + back
            vector[back] = _rate(past_mbps[past] * scale)
            vector[_DOWNLOAD_AT + back] = math.log1p(past_s[past])
            mbit = past_mbps[past] * past_s[past]
            vector[_SIZE_AT + back] = mbit * scale / chunk_s / TOP_MBPS
        _link_rates(past_mbps, past_s, past_rtt_ms, chunk, link_mbps, net_s)
        low = _fill_memory(vector[_MEMORY_AT:_OPTIONS_AT], link_mbps, net_s, past_s, chunk, scale, chunk_s)
        _fill_guesses(guesses, past_mbps, link_mbps, net_s, low, chunk)
        for guess in range(_GUESSES):
            vector[_GUESSES_AT + guess] = _rate(guesses[guess] * scale)
            trip_s = rtt_s if guess >= LOW else 0.0
            for step in range(steps):
                for level in range(levels):
                    mbit = mbps[level] * chunk_s
                    if step < len(sizes):
                        mbit = 8.0 * sizes[step, level] / 1e6
                    download_s[step, level] = mbit / guesses[guess] + trip_s
            fill_plan_values(
                download_s, steps, levels, buffer_s, cap_s, chunk_s, last, quality, mu, smooth, values
            )
            best = values[:levels].max()
            for level in range(levels):
                rows[level, PLANNED + guess] = max(values[level] - best, WORST_VALUE)
            _fill_slack(rows, guess, download_s, levels, buffer_s, chunk_s, mu)
    for place in range(WIDTH):
        vector[place] = _within(vector[place], LIMIT)


@compiled
def _fill_playback(
    place: Vectors, buffer_s: float, cap_s: float, chunk_s: float, left: int, steps: int, chunk: int,
    stall_s: float, stalled_s: float,
) -> None:  # fmt: skip
    place[0] = buffer_s / 10.0
    place[1] = buffer_s / cap_s
    place[2] = buffer_s / chunk_s / 10.0
    place[3] = cap_s / 60.0
    place[4] = min(left / 48.0, 4.0)
    place[5] = min(left * chunk_s / 192.0, 4.0)
    place[6] = left / steps / 8.0 if left < 8 * steps else 1.0
    place[7] = 1.0 / left
    if chunk > 0:
        place[8] = math.log1p(stall_s)
        place[9] = math.log1p(stalled_s / (chunk * chunk_s))


@compiled
def _fill_asked(
    place: Vectors, mu: float, smooth: float, chunk_s: float, rtt_s: float, levels: int, last: int,
    quality: Floats, mbps: Floats, scale: float,
) -> None:  # fmt: skip
    """`asked`, and `ladder` after it."""
    at = max(last, 0)
    place[0] = math.log1p(mu)
    place[1] = mu / (mu + TOP_MBPS)
    place[2] = smooth
    place[3] = chunk_s / 4.0
    place[4] = math.log(chunk_s / 4.0)
    place[5] = math.log1p(10.0 * rtt_s)
    place[6] = levels / MAX_LEVELS
    place[7] = at / max(levels - 1, 1)
    place[8] = quality[at] / SPAN
    place[9] = mbps[at] * scale / TOP_MBPS
    place[10] = mbps[0] * scale / TOP_MBPS
    place[11] = math.log(mbps[levels - 1])
    place[12] = 1.0 if last >= 0 else 0.0


@compiled
def _fill_levels(
    rows: Vectors, sizes: Floats, levels: int, last: int, quality: Floats, mbps: Floats, scale: float,
    chunk_s: float,
) -> None:  # fmt: skip
    ahead = min(len(sizes), AHEAD)
    unit = 8.0 / 1e6 * scale / chunk_s / TOP_MBPS
    for level in range(levels):
        row = rows[level]
        row[EXISTS] = 1.0
        row[QUALITY] = quality[level] / SPAN
        row[RATE] = mbps[level] * scale / TOP_MBPS
        row[NEXT] = sizes[0, level] * unit
        row[MEAN_AHEAD] = sizes[:ahead, level].sum() / ahead * unit
        if last >= 0:
            row[CHANGE] = (quality[level] - quality[last]) / SPAN
    rows[levels - 1, IS_TOP] = 1.0
    if last >= 0:
        rows[last, IS_LAST] = 1.0


@compiled
def _link_rates(
    past_mbps: Floats, past_s: Floats, past_rtt_ms: Floats, chunk: int, link_mbps: Floats, net_s: Floats
) -> None:
    for past in range(chunk):
        took_s = past_s[past]
        net_s[past] = took_s - min(past_rtt_ms[past] / _MS_PER_S, ROUND_TRIP_SHARE * took_s)
        link_mbps[past] = max(past_mbps[past] * took_s / net_s[past], FLOOR_MBPS)


@compiled
def _fill_memory(
    place: Vectors, link_mbps: Floats, net_s: Floats, past_s: Floats, chunk: int, scale: float, chunk_s: float
) -> float:
    """Fill `memory`; the lowest of the quantiles, in Mbit/s."""
    total, squares, least, most, changes, before = 0.0, 0.0, np.inf, -np.inf, 0.0, 0.0
    bits, spent_s, late_bits, late_s = 0.0, 0.0, 0.0, 0.0
    longest_s, lately_s, faded_s, worst = 0.0, 0.0, 0.0, 0
    for past in range(chunk):
        value = _rate(link_mbps[past] * scale)
        total += value
        squares += value * value
        least, most = min(least, value), max(most, value)
        if past > 0:
            changes += abs(value - before)
        before = value
        mbit = link_mbps[past] * net_s[past]
        bits += mbit
        spent_s += net_s[past]
        if past_s[past] >= longest_s:
            longest_s, worst = past_s[past], past
        if past >= chunk - LONG:
            lately_s = max(lately_s, past_s[past])
            late_bits += mbit
            late_s += net_s[past]
        faded_s = max(faded_s, past_s[past] * 2.0 ** (-(chunk - 1 - past) * chunk_s / FADE_S))
    mean = total / chunk
    place[0] = mean
    place[1] = math.sqrt(max(squares / chunk - mean * mean, 0.0))
    place[2] = least
    place[3] = most
    place[4] = changes / max(chunk - 1, 1)
    ordered = np.sort(link_mbps[:chunk])
    for number in range(_QUANTILES):
        place[5 + number] = _rate(ordered[int(QUANTILES[number] * (chunk - 1))] * scale)
    place[9] = math.log1p(longest_s)
    place[10] = math.log1p(lately_s)
    place[11] = math.log1p(faded_s)
    place[12] = math.log1p((chunk - 1 - worst) * chunk_s)
    place[13] = _rate(bits / spent_s * scale)
    place[14] = _rate(late_bits / late_s * scale)
    place[15] = math.log1p(chunk) / 4.0
    return ordered[int(QUANTILES[0] * (chunk - 1))]


@compiled
def _average(link_mbps: Floats, net_s: Floats, chunk: int, half_life_s: float) -> float:
    value, weight = 0.0, 0.0
    for past in range(chunk):
        kept = 2.0 ** (-net_s[past] / half_life_s)
        value = kept * value + (1.0 - kept) * link_mbps[past]
        weight = kept * weight + (1.0 - kept)
    return value / weight


@compiled
def _fill_guesses(
    guesses: Floats, past_mbps: Floats, link_mbps: Floats, net_s: Floats, low: float, chunk: int
) -> None:
    mean = harmonic_mean_mbps(past_mbps, chunk)
    guesses[ROBUST] = robust_mbps(past_mbps, chunk)
    guesses[MEAN] = mean
    guesses[LAST] = max(past_mbps[chunk - 1], FLOOR_MBPS)
    guesses[LOWER] = LOWER_SHARE * mean
    guesses[HIGHER] = HIGHER_SHARE * mean
    guesses[LOW] = low
    guesses[LOWEST] = link_mbps[max(chunk - LONG, 0) : chunk].min()
    guesses[SLOW] = _average(link_mbps, net_s, chunk, SLOW_S)
    guesses[FAST] = _average(link_mbps, net_s, chunk, FAST_S)


@compiled
def _fill_slack(
    rows: Vectors, guess: int, download_s: Floats, levels: int, buffer_s: float, chunk_s: float, mu: float
) -> None:
    """Slack, stall and drain of the next chunk, at the guesses that show them."""
    slack = -1
    if guess == MEAN:
        slack = 0
    elif guess == SLOW:
        slack = 1
    elif guess == LOW:
        slack = 2
    elif guess == LOWEST:
        slack = 3
    if slack < 0:
        return
    for level in range(levels):
        took_s, row = download_s[0, level], rows[level]
        row[SLACK + slack] = _within((buffer_s - took_s) / 10.0, SLACK_LIMIT)
        if guess == LOW:
            stall_s = max(took_s - buffer_s, 0.0)
            row[STALL] = math.log1p(stall_s)
            row[STALL + 1] = math.log1p(mu * stall_s)
            row[DRAIN + 1] = _within(math.log(took_s / chunk_s), DRAIN_LIMIT)
        elif guess == SLOW:
            row[DRAIN] = _within(math.log(took_s / chunk_s), DRAIN_LIMIT)

"""`abr.features` for every session of a batch, compiled, and the levels that logits choose there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from player.compiled.compiled import compiled
from player.compiled.threads import share
from player.observation import HORIZON
from player.simulated.batch.library import Floats, PackedLibrary
from player.simulated.batch.sessions import SMALLEST_PART, BatchState, Sessions
from policies.llm.tasks.abr import features as abr
from policies.llm.tasks.abr.features import (
    AHEAD,
    ATTRIBUTES,
    BUFFER_UNIT_S,
    CHUNK_UNIT_S,
    CHUNKS_UNIT,
    GUESSES,
    HISTORY,
    LEVELS,
    LONG,
    PLACES,
    PLAN_CHUNKS,
    QUARTERS,
    RATE_SCALE,
    SHARES_OF_MEAN,
    SHORT,
    SIZE_UNIT_BYTES,
    SLACK_LIMIT,
    TRUSTED_GUESSES,
    WIDTH,
    WORST_VALUE,
    Vectors,
)
from policies.rules.batch_mpc import harmonic_mean_mbps, robust_mbps
from policies.rules.batch_planned_values import fill_planned_values
from policies.rules.throughput import FLOOR_MBPS

_MS_PER_S = 1000.0
_MU = abr.TRAINED_FOR.mu
_DOWNLOAD_AT = PLACES["download"].start
_AHEAD_AT = PLACES["ahead"].start
_LEVELS_AT = PLACES["levels"].start
_PLAYBACK_AT = PLACES["playback"].start
_LINK_AT = PLACES["link"].start


class Filler:
    """Makes a batch's vectors.

    Args:
        sessions: whose states are looked at.

    Raises:
        ValueError: a video whose ladder has another number of levels.
    """

    def __init__(self, sessions: Sessions) -> None:
        videos = [abr.VideoFacts.of(video) for video in sessions.library.videos]
        self._sessions = sessions
        self._scale = np.array([video.scale for video in videos])
        self._gains = np.stack([abr.gains_of(video.ladder_kbps) for video in videos])
        self._nominal = np.array([np.array(video.ladder_kbps) / video.ladder_kbps[-1] for video in videos])

    @property
    def scales(self) -> Floats:
        """(sessions,) what rates, sizes and QoE are multiplied by to be relative."""
        return np.asarray(self._scale[self._sessions.state.video])

    def fill(self, vectors: Vectors | None = None, goal: Floats | None = None) -> Vectors:
        """(sessions, WIDTH); of sessions that are over, zeros.

        Args:
            vectors: written into and returned; a new array where None.
            goal: (sessions,) as in `abr.features`; 0 where None.
        """
        sessions = self._sessions
        if vectors is None:
            vectors = np.empty((len(sessions), WIDTH), np.float32)
        packed, state, filled = sessions.library.packed, sessions.state, vectors

        def part(begin: int, end: int) -> None:
            _fill(packed, state, self._scale, self._gains, self._nominal, filled, begin, end)

        share(part, len(sessions), sessions.threads, SMALLEST_PART // 16)
        if goal is not None:
            vectors[:, abr.GOAL_AT] = goal
        return vectors

    def before_first(self) -> Vectors:
        """(sessions, WIDTH) what was known when each session's first chunk was asked for."""
        sessions = self._sessions
        nothing = np.zeros(len(sessions))
        state = sessions.state._replace(chunk=nothing.astype(np.int64), buffer_ms=nothing, stall_ms=nothing)
        vectors = np.empty((len(sessions), WIDTH), np.float32)
        packed = sessions.library.packed
        _fill(packed, state, self._scale, self._gains, self._nominal, vectors, 0, len(sessions))
        return vectors


def plan_values(
    sizes_bytes: Sequence[Sequence[int]] | Floats,
    mbps: float,
    buffer_s: float,
    last: int,
    video: abr.VideoFacts,
) -> Floats:
    """(LEVELS,) as `abr.plan_values`, compiled: for one client, in a tenth of the time."""
    download_s = 8.0 * np.asarray(sizes_bytes, np.float64) / 1e6 / mbps
    room, other = np.empty((2, 2, LEVELS ** (PLAN_CHUNKS - 1)))
    values = np.empty(LEVELS)
    gains, mu = abr.gains_of(video.ladder_kbps), _MU * video.scale
    fill_planned_values(
        download_s, float(buffer_s), float(video.chunk_s), int(last), gains, mu, room, other, values
    )
    return values


@compiled
def _fill(
    packed: PackedLibrary,
    state: BatchState,
    scales: Floats,
    all_gains: Floats,
    nominal: Floats,
    vectors: Vectors,
    begin: int,
    end: int,
) -> None:
    room = room_for_step()
    for session in range(begin, end):
        chunk, chunks, video = state.chunk[session], state.chunks[session], state.video[session]
        if chunk >= chunks:
            vectors[session] = 0.0
            continue
        fill_step(
            vectors[session],
            packed.sizes_bytes[video, chunk : min(chunk + HORIZON, chunks)],
            packed.chunk_ms[video] / _MS_PER_S,
            scales[video],
            all_gains[video],
            nominal[video],
            state.buffer_ms[session] / _MS_PER_S,
            state.level[session],
            chunks - chunk,
            chunk,
            state.past_mbps[session],
            state.past_s[session],
            state.stall_ms[session] / _MS_PER_S,
            room,
        )


@compiled
def room_for_step() -> tuple[Floats, Floats, Floats]:
    """What `fill_step` works in."""
    plans = LEVELS ** (PLAN_CHUNKS - 1)
    return np.empty((2, plans)), np.empty((2, plans)), np.empty(LEVELS)


@compiled
def fill_step(
    vector: Vectors,
    sizes: Floats,
    chunk_s: float,
    scale: float,
    gains: Floats,
    nominal: Floats,
    buffer_s: float,
    last: int,
    left: int,
    chunk: int,
    past_mbps: Floats,
    past_s: Floats,
    stall_s: float,
    all_room: tuple[Floats, Floats, Floats],
) -> None:
    """One session's; the goal left at 0.

    Args:
        vector: (WIDTH,), written into.
        sizes: (known chunks, LEVELS or more) bytes, the asked one first.
        scale: what rates are multiplied by.
        gains: of `abr.gains_of`.
        nominal: (LEVELS,) rates over the top's.
        last: the level before.
        left: chunks still to come, the asked one among them.
        chunk: how many were downloaded; of `past_…` the first so many count.
        stall_s: of the last chunk.
        all_room: of `room_for_step`.
    """
    room, other, values = all_room
    vector[:] = 0.0
    for back in range(HISTORY):
        past = chunk - HISTORY + back
        if past >= 0:
            vector[back] = np.log1p(RATE_SCALE * scale * past_mbps[past])
            vector[_DOWNLOAD_AT + back] = np.log1p(past_s[past])
    size_scale = scale * CHUNK_UNIT_S / chunk_s / SIZE_UNIT_BYTES
    for step in range(min(AHEAD, len(sizes))):
        for level in range(LEVELS):
            vector[_AHEAD_AT + level * AHEAD + step] = sizes[step, level] * size_scale
    steps = min(PLAN_CHUNKS, len(sizes))
    for level in range(LEVELS):
        vector[_LEVELS_AT + level * ATTRIBUTES + ATTRIBUTES - 1] = nominal[level]
    if chunk > 0:
        robust, mean = robust_mbps(past_mbps, chunk), harmonic_mean_mbps(past_mbps, chunk)
        for guess in range(GUESSES):
            mbps = max(past_mbps[chunk - 1], FLOOR_MBPS)
            if guess == 0:
                mbps = robust
            elif guess == 1:
                mbps = mean
            elif guess >= TRUSTED_GUESSES:
                mbps = SHARES_OF_MEAN[guess - TRUSTED_GUESSES] * mean
            download_s = 8.0 * sizes[:steps, :LEVELS] / 1e6 / mbps
            fill_planned_values(
                download_s, buffer_s, chunk_s, last, gains, _MU * scale, room, other, values
            )  # fmt: skip
            best = values.max()
            for level in range(LEVELS):
                vector[_LEVELS_AT + level * ATTRIBUTES + guess] = max(values[level] - best, WORST_VALUE)
        for level in range(LEVELS):
            slack = (8.0 * sizes[0, level] / 1e6 / mean - buffer_s) / BUFFER_UNIT_S
            at = _LEVELS_AT + level * ATTRIBUTES + GUESSES
            vector[at] = min(max(slack, -SLACK_LIMIT), SLACK_LIMIT)
        vector[_LEVELS_AT + last * ATTRIBUTES + GUESSES + 1] = 1.0
        vector[_LINK_AT] = np.log1p(RATE_SCALE * scale * robust)
        vector[_LINK_AT + 1] = np.log1p(RATE_SCALE * scale * mean)
        _session_logs(past_mbps[:chunk], past_s[:chunk], RATE_SCALE * scale, vector[_LINK_AT + 2 :])
        vector[_LINK_AT + 13] = 1.0
        vector[_PLAYBACK_AT + 4] = np.log1p(stall_s)
    vector[_PLAYBACK_AT] = buffer_s / BUFFER_UNIT_S
    vector[_PLAYBACK_AT + 1] = left / CHUNKS_UNIT
    vector[_PLAYBACK_AT + 2] = steps / PLAN_CHUNKS
    vector[_PLAYBACK_AT + 3] = chunk_s / CHUNK_UNIT_S
    vector[_PLAYBACK_AT + 5] = np.log1p(_MU * scale)


@compiled
def _session_logs(past_mbps: Floats, past_s: Floats, scale: float, numbers: Vectors) -> None:
    """Fill the first eleven of `numbers` as `abr._session_logs` returns them."""
    chunks = len(past_mbps)
    total, squares, least, most, changes = 0.0, 0.0, np.inf, -np.inf, 0.0
    short, long, megabits, seconds, before = 0.0, 0.0, 0.0, 0.0, 0.0
    for past in range(chunks):
        value = np.log1p(scale * past_mbps[past])
        total += value
        squares += value * value
        least, most = min(least, value), max(most, value)
        if past > 0:
            changes += abs(value - before)
        before = value
        if past >= chunks - SHORT:
            short += value
        if past >= chunks - LONG:
            long += value
        megabits += past_mbps[past] * past_s[past]
        seconds += past_s[past]
    centre = total / chunks
    numbers[0] = centre
    numbers[1] = np.sqrt(max(squares / chunks - centre * centre, 0.0))
    numbers[2], numbers[3] = least, most
    numbers[4] = changes / max(chunks - 1, 1)
    numbers[5] = short / min(chunks, SHORT)
    numbers[6] = long / min(chunks, LONG)
    ordered = np.sort(past_mbps)
    for quarter in range(len(QUARTERS)):
        numbers[7 + quarter] = np.log1p(scale * ordered[int(QUARTERS[quarter] * (chunks - 1))])
    numbers[10] = np.log1p(scale * megabits / seconds)

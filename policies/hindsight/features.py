"""What the network sees: one observation as a vector, the same in a batch and for one client.

`Features.of` makes it of one `Observation`, `Features.fill` of every session of a batch; the two are
equal to the last bit wherever the C library's `log1p` is the same. In this order, float32, with
log(x) for ln(1 + x), rates in Mbit/s, times in seconds:

    history x log(throughput)                oldest first; 0 where there was no chunk yet
    history x log(download time)             the same
    ahead x levels x size / 10^6 bytes       the next chunk first, lowest level first; 0 after the last
    3 x levels x planned value               what the best plan that begins with each level brings less
                                             what the best of all brings, at a constant throughput:
                                             RobustMPC's own, the harmonic mean, the last chunk's
    levels x (download time - buffer) / 10   of the next chunk, at the harmonic mean; within -3 to 3
    levels x 1 where it is the last level
    buffer / 10, chunks left / 48, chunks left of the plan / its length
    log(RobustMPC's prediction), log(harmonic mean)
    mean, deviation and minimum of log(throughput) over the whole session

A planned value is the linear QoE (mu 4.3) of the best plan of five chunks, all plans being searched as
RobustMPC does, less that of the best of all; clipped at -5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from player.observation import Observation, PastChunk
from player.qoe import QoE
from player.simulated.batch.compiled import compiled
from player.simulated.batch.library import Floats, PackedLibrary
from player.simulated.batch.sessions import SMALLEST_PART, BatchState, Sessions
from player.simulated.batch.threads import share
from policies.rules.batch_mpc import harmonic_mean_mbps, robust_mbps
from policies.rules.batch_planned_values import fill_planned_values
from policies.rules.planned_values import planned_values
from policies.rules.throughput import FLOOR_MBPS, observed_mbps
from policies.rules.throughput import harmonic_mean_mbps as harmonic_mean_of
from policies.rules.throughput import robust_mbps as robust_of

LADDER_KBPS = (300, 750, 1200, 1850, 2850, 4300)
"""The ladder that the network is made for (Mao et al., SIGCOMM 2017)."""
CHUNK_S = 4.0
TRAINED_FOR = QoE()
"""The QoE that is learned for, and that planned values count: linear, mu 4.3."""

LEVELS = len(LADDER_KBPS)
HISTORY = 10
AHEAD = 5
PLAN_CHUNKS = 5
GUESSES = 3
WORST_VALUE = -5.0
CHUNKS_UNIT = 48.0
SIZE_UNIT_BYTES = 1e6
BUFFER_UNIT_S = 10.0
SLACK_LIMIT = 3.0

SIZES_AT = 2 * HISTORY
PLANS_AT = SIZES_AT + AHEAD * LEVELS
SLACK_AT = PLANS_AT + GUESSES * LEVELS
LAST_AT = SLACK_AT + LEVELS
REST_AT = LAST_AT + LEVELS
WIDTH = REST_AT + 8

_MS_PER_S = 1000.0
_MU = TRAINED_FOR.mu
_Q = np.array(TRAINED_FOR.quality(LADDER_KBPS))
_GAINS = _Q[None, :] - TRAINED_FOR.smooth * np.abs(_Q[None, :] - _Q[:, None])
"""[level before][level] quality less what the change costs."""

Vectors = NDArray[np.float32]


def of(observation: Observation) -> Vectors:
    """(WIDTH,) of one client.

    Args:
        observation: with at least one chunk in its history and one still to come.
    """
    vector = np.zeros(WIDTH, np.float32)
    past = observation.history
    recent = past[-HISTORY:]
    for place, each in enumerate(recent, start=HISTORY - len(recent)):
        vector[place] = math.log1p(each.throughput_mbps)
        vector[HISTORY + place] = math.log1p(each.download_s)
    for step, row in enumerate(observation.next_sizes_bytes[:AHEAD]):
        place = SIZES_AT + step * LEVELS
        vector[place : place + LEVELS] = [size / SIZE_UNIT_BYTES for size in row]
    robust, mean = robust_of(past), harmonic_mean_of(past)
    sizes = observation.next_sizes_bytes[:PLAN_CHUNKS]
    last = past[-1].level
    for guess, mbps in enumerate((robust, mean, observed_mbps(past[-1]))):
        values = planned_values(sizes, mbps, observation.buffer_s, CHUNK_S, last, _GAINS, _MU)
        place = PLANS_AT + guess * LEVELS
        vector[place : place + LEVELS] = np.maximum(values - values.max(), WORST_VALUE)
    for level, size in enumerate(sizes[0]):
        slack = (8.0 * size / 1e6 / mean - observation.buffer_s) / BUFFER_UNIT_S
        vector[SLACK_AT + level] = min(max(slack, -SLACK_LIMIT), SLACK_LIMIT)
    vector[LAST_AT + last] = 1.0
    vector[REST_AT] = observation.buffer_s / BUFFER_UNIT_S
    vector[REST_AT + 1] = observation.chunks_left / CHUNKS_UNIT
    vector[REST_AT + 2] = len(sizes) / PLAN_CHUNKS
    vector[REST_AT + 3 :] = (math.log1p(robust), math.log1p(mean), *_session_logs(past))
    return vector


def _session_logs(past: Sequence[PastChunk]) -> tuple[float, float, float]:
    """Mean, deviation and minimum of log(throughput) so far."""
    total, squares, least = 0.0, 0.0, math.inf
    for each in past:
        value = math.log1p(each.throughput_mbps)
        total += value
        squares += value * value
        least = min(least, value)
    mean = total / len(past)
    return mean, math.sqrt(max(squares / len(past) - mean * mean, 0.0)), least


def sane(vectors: Vectors) -> NDArray[np.bool_]:
    """(batch, LEVELS) which levels may be taken: not those that all three plans hold `WORST_VALUE` worse.

    The best level of each plan always may. No network has seen every link; on one so slow that nothing
    like it was learned, this keeps it from a level that takes minutes to arrive.
    """
    planned = vectors[:, PLANS_AT:SLACK_AT].reshape(-1, GUESSES, LEVELS)
    return np.asarray(planned.max(axis=1) > WORST_VALUE)


def fill(sessions: Sessions, vectors: Vectors | None = None) -> Vectors:
    """(sessions, WIDTH) of a batch; zeros for sessions before their first chunk or after their last.

    Args:
        vectors: written into and returned; a new array where None.

    Raises:
        ValueError: a video of another ladder or chunk length.
    """
    check_videos(sessions)
    if vectors is None:
        vectors = np.empty((len(sessions), WIDTH), np.float32)
    packed, state, filled = sessions.library.packed, sessions.state, vectors

    def part(begin: int, end: int) -> None:
        _fill(packed, state, _GAINS, filled, begin, end)

    share(part, len(sessions), sessions.threads, SMALLEST_PART // 16)
    return vectors


def check_videos(sessions: Sessions) -> None:
    """Raise unless the network is made for every video of the batch.

    Raises:
        ValueError: names the video.
    """
    for video in sessions.library.videos:
        if reason := unfit(video.ladder_kbps, video.chunk_s):
            raise ValueError(f"{video.name}: {reason}")


def unfit(ladder_kbps: Sequence[int], chunk_s: float) -> str:
    """Why the network can't stream a video; empty when it can."""
    if tuple(ladder_kbps) != LADDER_KBPS:
        return f"ladder {tuple(ladder_kbps)}; trained for {LADDER_KBPS} kbit/s only; take robustmpc"
    if chunk_s != CHUNK_S:
        return f"chunks of {chunk_s:g} s; trained for {CHUNK_S:g} s only; take robustmpc"
    return ""


@compiled
def _fill(
    packed: PackedLibrary,
    state: BatchState,
    gains: Floats,
    vectors: Vectors,
    begin: int,
    end: int,
) -> None:
    room, other = np.empty((2, LEVELS ** (PLAN_CHUNKS - 1))), np.empty((2, LEVELS ** (PLAN_CHUNKS - 1)))
    values = np.empty(LEVELS)
    for session in range(begin, end):
        vector = vectors[session]
        vector[:] = 0.0
        chunk, chunks, video = state.chunk[session], state.chunks[session], state.video[session]
        if chunk == 0 or chunk >= chunks:
            continue
        past_mbps, past_s = state.past_mbps[session], state.past_s[session]
        for back in range(HISTORY):
            past = chunk - HISTORY + back
            if past >= 0:
                vector[back] = np.log1p(past_mbps[past])
                vector[HISTORY + back] = np.log1p(past_s[past])
        sizes = packed.sizes_bytes[video]
        for step in range(min(AHEAD, chunks - chunk)):
            for level in range(LEVELS):
                vector[SIZES_AT + step * LEVELS + level] = sizes[chunk + step, level] / SIZE_UNIT_BYTES
        steps = min(PLAN_CHUNKS, chunks - chunk)
        buffer_s, last = state.buffer_ms[session] / _MS_PER_S, state.level[session]
        robust, mean = robust_mbps(past_mbps, chunk), harmonic_mean_mbps(past_mbps, chunk)
        for guess in range(GUESSES):
            mbps = max(past_mbps[chunk - 1], FLOOR_MBPS)
            if guess == 0:
                mbps = robust
            elif guess == 1:
                mbps = mean
            download_s = 8.0 * sizes[chunk : chunk + steps, :LEVELS] / 1e6 / mbps
            fill_planned_values(download_s, buffer_s, CHUNK_S, last, gains, _MU, room, other, values)
            best = values.max()
            for level in range(LEVELS):
                vector[PLANS_AT + guess * LEVELS + level] = max(values[level] - best, WORST_VALUE)
        for level in range(LEVELS):
            slack = (8.0 * sizes[chunk, level] / 1e6 / mean - buffer_s) / BUFFER_UNIT_S
            vector[SLACK_AT + level] = min(max(slack, -SLACK_LIMIT), SLACK_LIMIT)
        vector[LAST_AT + last] = 1.0
        vector[REST_AT] = buffer_s / BUFFER_UNIT_S
        vector[REST_AT + 1] = (chunks - chunk) / CHUNKS_UNIT
        vector[REST_AT + 2] = steps / PLAN_CHUNKS
        vector[REST_AT + 3] = np.log1p(robust)
        vector[REST_AT + 4] = np.log1p(mean)
        total, squares, least = 0.0, 0.0, np.inf
        for past in range(chunk):
            value = np.log1p(past_mbps[past])
            total += value
            squares += value * value
            least = min(least, value)
        centre = total / chunk
        vector[REST_AT + 5] = centre
        vector[REST_AT + 6] = np.sqrt(max(squares / chunk - centre * centre, 0.0))
        vector[REST_AT + 7] = least

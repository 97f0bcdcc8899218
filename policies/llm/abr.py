"""The task: what one decision step of a bitrate controller looks like, and what may be answered.

Everything is relative to the ladder's top: rates and sizes are multiplied by `TOP_MBPS` over it, so that
the published ladder (300 to 4300 kbit/s) keeps its Mbit/s and another one, such as up to 40 Mbit/s, looks
alike. What does not scale along, the weight of a stall, is an input. With log(x) for ln(1 + x):

    throughput  10 x log(rate)              oldest first; 0 where there was no chunk yet
    download    10 x log(seconds)           the same
    ahead       levels x 5 x size           of the next chunks in units of 1 MB of 4-s chunks; 0 after the last
    levels      levels x (3 x planned value, slack, last, nominal rate): a planned value is what the best
                plan of five chunks that begins with this level brings less what the best of all brings,
                at RobustMPC's throughput, the harmonic mean and the last chunk's, clipped at -5; slack is
                (download time - buffer) / 10 at the harmonic mean, within -3 to 3
    playback    buffer / 10, chunks left / 48, chunks of the plan / 5, chunk length / 4, log(last stall),
                log(mu, relative), the return that is still to come (0 where no return is asked for)
    link        log(RobustMPC's prediction), log(harmonic mean), and of the session's log(rate) mean,
                deviation and minimum; 1 where there is a history

The previous action is part of the step that follows it (`last`, its throughput and its stall): one
forward a decision. `abr_batch.py` fills the same vectors for every session of a batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from player.observation import Observation, PastChunk
from player.qoe import QoE
from player.video import Video
from policies.llm.modality import OPTIONS, SCALAR, SERIES, Modality, places, width
from policies.throughput import harmonic_mean_mbps, observed_mbps, robust_mbps

LEVELS = 6
TOP_MBPS = 4.3
"""Of the published ladder: its numbers stay as they are."""
TRAINED_FOR = QoE()
"""Linear, mu 4.3: what planned values count and adapters are made for."""

HISTORY = 10
AHEAD = 5
PLAN_CHUNKS = 5
GUESSES = 3
ATTRIBUTES = GUESSES + 3
WORST_VALUE = -5.0
CHUNKS_UNIT = 48.0
CHUNK_UNIT_S = 4.0
SIZE_UNIT_BYTES = 1e6
BUFFER_UNIT_S = 10.0
SLACK_LIMIT = 3.0

MODALITIES = (
    Modality("throughput", SERIES, (1, HISTORY)),
    Modality("download", SERIES, (1, HISTORY)),
    Modality("ahead", SERIES, (LEVELS, AHEAD)),
    Modality("levels", OPTIONS, (LEVELS, ATTRIBUTES)),
    Modality("playback", SCALAR, (7,)),
    Modality("link", SCALAR, (6,)),
)
WIDTH = width(MODALITIES)
PLACES = places(MODALITIES)
GOAL_AT = PLACES["playback"].stop - 1
"""Where the return to go stands."""

Vectors = NDArray[np.float32]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class VideoFacts:
    """What of a video the task needs besides an observation.

    Raises:
        ValueError: a ladder of another length; the message says what else to take.
    """

    ladder_kbps: tuple[int, ...]
    chunk_s: float

    def __post_init__(self) -> None:
        if len(self.ladder_kbps) != LEVELS:
            raise ValueError(
                f"a ladder of {len(self.ladder_kbps)} levels; the adapters are made for {LEVELS}; take robustmpc"
            )

    @classmethod
    def of(cls, video: Video) -> VideoFacts:
        return cls(video.ladder_kbps, video.chunk_s)

    @property
    def scale(self) -> float:
        """What rates and sizes are multiplied by."""
        return TOP_MBPS / (self.ladder_kbps[-1] / 1000.0)


def features(observation: Observation, video: VideoFacts, goal: float = 0.0) -> Vectors:
    """(WIDTH,) one decision step.

    Args:
        observation: with one chunk or more still to come; it may be the first of all.
        goal: the mean return a chunk that is asked of the rest of the session, in relative units, for
            an adapter that was made with returns; else 0.
    """
    vector = np.zeros(WIDTH, np.float32)
    past, scale = observation.history, video.scale
    recent = past[-HISTORY:]
    begin = HISTORY - len(recent)
    throughput, download = vector[PLACES["throughput"]], vector[PLACES["download"]]
    for place, each in enumerate(recent, start=begin):
        throughput[place] = math.log1p(each.throughput_mbps * scale)
        download[place] = math.log1p(each.download_s)
    sizes = observation.next_sizes_bytes
    ahead = vector[PLACES["ahead"]].reshape(LEVELS, AHEAD)
    size_scale = scale * CHUNK_UNIT_S / video.chunk_s / SIZE_UNIT_BYTES
    for step, row in enumerate(sizes[:AHEAD]):
        ahead[:, step] = np.asarray(row) * size_scale
    steps = min(len(sizes), PLAN_CHUNKS)
    levels = vector[PLACES["levels"]].reshape(LEVELS, ATTRIBUTES)
    levels[:, -1] = np.asarray(video.ladder_kbps) / video.ladder_kbps[-1]
    link = vector[PLACES["link"]]
    stall_s = 0.0
    if past:
        robust, mean, last = robust_mbps(past), harmonic_mean_mbps(past), past[-1]
        for guess, mbps in enumerate((robust, mean, observed_mbps(last))):
            values = plan_values(sizes[:steps], mbps, observation.buffer_s, last.level, video)
            levels[:, guess] = np.maximum(values - values.max(), WORST_VALUE)
        slack = (8.0 * np.asarray(sizes[0]) / 1e6 / mean - observation.buffer_s) / BUFFER_UNIT_S
        levels[:, GUESSES] = np.clip(slack, -SLACK_LIMIT, SLACK_LIMIT)
        levels[last.level, GUESSES + 1] = 1.0
        link[:] = (math.log1p(robust * scale), math.log1p(mean * scale), *_session_logs(past, scale), 1.0)
        stall_s = last.stall_s
    vector[PLACES["playback"]] = (
        observation.buffer_s / BUFFER_UNIT_S,
        observation.chunks_left / CHUNKS_UNIT,
        steps / PLAN_CHUNKS,
        video.chunk_s / CHUNK_UNIT_S,
        math.log1p(stall_s),
        math.log1p(TRAINED_FOR.mu * scale),
        goal,
    )
    return vector


def plan_values(
    sizes_bytes: Sequence[Sequence[int]], mbps: float, buffer_s: float, last: int, video: VideoFacts
) -> Floats:
    """(LEVELS,) the most, relative, that a plan brings which begins with each level.

    Args:
        sizes_bytes: [step][level], the plan's chunks, 1 to PLAN_CHUNKS.
        mbps: the throughput, constant.
        last: the level before.
    """
    gains, mu = gains_of(video.ladder_kbps), TRAINED_FOR.mu * video.scale
    buffers, worths, before = np.array([buffer_s]), np.zeros(1), np.array([last])
    for row in sizes_bytes:
        late_s = 8.0 * np.asarray(row, dtype=np.float64)[None, :] / 1e6 / mbps - buffers[:, None]
        buffers = (np.maximum(-late_s, 0.0) + video.chunk_s).ravel()
        worths = (worths[:, None] + (gains[before] - mu * np.maximum(late_s, 0.0))).ravel()
        before = np.tile(np.arange(LEVELS), len(late_s))
    return np.asarray(worths.reshape(LEVELS, -1).max(axis=1))


def gains_of(ladder_kbps: Sequence[int]) -> Floats:
    """(LEVELS, LEVELS) [level before][level]: relative quality less what the change costs."""
    q = np.asarray(ladder_kbps) / ladder_kbps[-1] * TOP_MBPS
    return np.asarray(q[None, :] - TRAINED_FOR.smooth * np.abs(q[None, :] - q[:, None]))


def _session_logs(past: Sequence[PastChunk], scale: float) -> tuple[float, float, float]:
    """Mean, deviation and minimum of log(rate) so far."""
    logs = [math.log1p(each.throughput_mbps * scale) for each in past]
    mean = sum(logs) / len(logs)
    deviation = math.sqrt(max(sum(each * each for each in logs) / len(logs) - mean * mean, 0.0))
    return mean, deviation, min(logs)


def sane(vectors: Vectors) -> NDArray[np.bool_]:
    """(steps, LEVELS) which levels may be taken: not those that all three plans hold `WORST_VALUE` worse.

    No model has seen every link; on one so slow that nothing like it was learned, this keeps it from a
    level that takes minutes to arrive. The best level of each plan always may.
    """
    planned = vectors[:, PLACES["levels"]].reshape(-1, LEVELS, ATTRIBUTES)[:, :, :GUESSES]
    return np.asarray(planned.max(axis=2) > WORST_VALUE)


def allowed(logits: Vectors, vectors: Vectors) -> Vectors:
    """(steps, LEVELS) logits, -inf where `sane` forbids the level."""
    return np.where(sane(vectors), logits, np.float32(-np.inf))


def level(logits: Vectors, vector: Vectors) -> int:
    """The level that (LEVELS,) logits choose at the step (WIDTH,)."""
    return int(allowed(logits[None], vector[None])[0].argmax())


def margin(logits: Vectors, vector: Vectors) -> float:
    """Difference of the two best logits that may be chosen; inf where only one may."""
    second, best = np.sort(allowed(logits[None], vector[None])[0])[-2:]
    return float(best - second)

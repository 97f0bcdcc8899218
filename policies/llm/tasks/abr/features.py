"""The task: what one decision step of a bitrate controller looks like, and what may be answered.

Everything is relative to the ladder's top: rates and sizes are multiplied by `TOP_MBPS` over it, so that
the published ladder (300 to 4300 kbit/s) keeps its Mbit/s and another one, such as up to 40 Mbit/s, looks
alike. What does not scale along, the weight of a stall, is an input. With log(x) for ln(1 + 10 x) of a rate
and ln(1 + x) of all else:

    throughput  10 x log(rate)              oldest first; 0 where there was no chunk yet
    download    10 x log(seconds)           the same
    ahead       levels x 5 x size           of the next chunks in units of 1 MB a 4-s chunk; 0 after the last
    levels      levels x (5 x planned value, slack, last, nominal rate): a planned value is what the best
                plan of five chunks that begins with this level brings less what the best of all brings,
                at RobustMPC's throughput, the harmonic mean, the last chunk's, and 0.6 and 1.5 x the
                mean, clipped at -5; slack is (download time - buffer) / 10 at the mean, within -3 to 3
    playback    buffer / 10, chunks left / 48, chunks of the plan / 5, chunk length / 4, log(last stall),
                log(mu, relative), the return that is still to come (0 where no return is asked for)
    link        log(RobustMPC's prediction), log(harmonic mean); of the session's log(rate) mean, deviation,
                minimum, maximum, mean size of its changes, mean over the last 3 and the last 20 chunks;
                log of the rates that a quarter, a half and three quarters of the chunks had at most;
                log(all bytes over all download time); 1 where there is a history

The previous action is part of the step that follows it (`last`, its throughput and its stall): one
forward a decision. `batch.py` fills the same vectors for every session of a batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from player.observation import Observation, PastChunk
from player.qoe import QoE
from player.video.video import Video
from policies.llm.modality import OPTIONS, SCALAR, SERIES, Modality, places, width
from policies.rules.planned_values import planned_values
from policies.rules.throughput import harmonic_mean_mbps, observed_mbps, robust_mbps

LEVELS = 6
TOP_MBPS = 4.3
"""Of the published ladder: its numbers stay as they are."""
TRAINED_FOR = QoE()
"""Linear, mu 4.3: what planned values count and adapters are made for."""

HISTORY = 10
AHEAD = 5
PLAN_CHUNKS = 5
SHARES_OF_MEAN = (0.6, 1.5)
"""Of the harmonic mean, planned with besides it."""
TRUSTED_GUESSES = 3
"""Of the throughputs planned with, the first, which say what is sane."""
GUESSES = TRUSTED_GUESSES + len(SHARES_OF_MEAN)
RATE_SCALE = 10.0
"""So that the logarithm tells 0.1 from 0.3 Mbit/s as well as 1 from 3."""
QUARTERS = (0.25, 0.5, 0.75)
SHORT, LONG = 3, 20
"""Chunks of the two means over the last ones."""
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
    Modality("link", SCALAR, (14,)),
)
WIDTH = width(MODALITIES)
PLACES = places(MODALITIES)
GOAL_AT = PLACES["playback"].stop - 1
"""Where the return to go stands."""

Vectors = NDArray[np.float32]
Floats = NDArray[np.float64]
PlanValues = Callable[[Sequence[Sequence[int]] | Floats, float, float, int, "VideoFacts"], Floats]
"""What `plan_values` is."""


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
                f"a ladder of {len(self.ladder_kbps)} levels; the adapters are made for {LEVELS}; "
                "take robustmpc"
            )

    @classmethod
    def of(cls, video: Video) -> VideoFacts:
        return cls(video.ladder_kbps, video.chunk_s)

    @property
    def scale(self) -> float:
        """What rates and sizes are multiplied by."""
        return TOP_MBPS / (self.ladder_kbps[-1] / 1000.0)


def features(
    observation: Observation, video: VideoFacts, goal: float = 0.0, plans: PlanValues | None = None
) -> Vectors:
    """(WIDTH,) one decision step.

    Args:
        observation: with one chunk or more still to come; it may be the first of all.
        goal: the mean return a chunk that is asked of the rest of the session, in relative units, for
            an adapter that was made with returns; else 0.
        plans: `plan_values` where None; `batch.plan_values` is quicker once it is compiled.
    """
    plans = plans or plan_values
    vector = np.zeros(WIDTH, np.float32)
    past, scale = observation.history, video.scale
    recent = past[-HISTORY:]
    begin = HISTORY - len(recent)
    throughput, download = vector[PLACES["throughput"]], vector[PLACES["download"]]
    for place, each in enumerate(recent, start=begin):
        throughput[place] = rate_log(each.throughput_mbps * scale)
        download[place] = math.log1p(each.download_s)
    sizes = observation.next_sizes_bytes
    ahead = vector[PLACES["ahead"]].reshape(LEVELS, AHEAD)
    size_scale = scale * CHUNK_UNIT_S / video.chunk_s / SIZE_UNIT_BYTES
    for step, row in enumerate(sizes[:AHEAD]):
        ahead[:, step] = np.asarray(row) * size_scale
    steps = min(len(sizes), PLAN_CHUNKS)
    levels = vector[PLACES["levels"]].reshape(LEVELS, ATTRIBUTES)
    levels[:, -1] = np.asarray(video.ladder_kbps) / video.ladder_kbps[-1]
    if past:
        _fill_planned(levels, vector[PLACES["link"]], observation, video, plans)
    vector[PLACES["playback"]] = (
        observation.buffer_s / BUFFER_UNIT_S,
        observation.chunks_left / CHUNKS_UNIT,
        steps / PLAN_CHUNKS,
        video.chunk_s / CHUNK_UNIT_S,
        math.log1p(past[-1].stall_s if past else 0.0),
        math.log1p(TRAINED_FOR.mu * scale),
        goal,
    )
    return vector


def _fill_planned(
    levels: Vectors, link: Vectors, observation: Observation, video: VideoFacts, plans: PlanValues
) -> None:
    """What plans are worth, and `link`, once something was downloaded.

    Args:
        levels: (LEVELS, ATTRIBUTES), written into.
        link: written into.
    """
    past, sizes = observation.history, observation.next_sizes_bytes
    robust, mean, last = robust_mbps(past), harmonic_mean_mbps(past), past[-1]
    guesses = (robust, mean, observed_mbps(last), *(share * mean for share in SHARES_OF_MEAN))
    planned = np.asarray(sizes[:PLAN_CHUNKS], np.float64)
    for guess, mbps in enumerate(guesses):
        values = plans(planned, mbps, observation.buffer_s, last.level, video)
        levels[:, guess] = np.maximum(values - values.max(), WORST_VALUE)
    slack = (8.0 * np.asarray(sizes[0]) / 1e6 / mean - observation.buffer_s) / BUFFER_UNIT_S
    levels[:, GUESSES] = np.clip(slack, -SLACK_LIMIT, SLACK_LIMIT)
    levels[last.level, GUESSES + 1] = 1.0
    scale = video.scale
    link[:] = (rate_log(robust * scale), rate_log(mean * scale), *_session_logs(past, scale), 1.0)


def plan_values(
    sizes_bytes: Sequence[Sequence[int]] | Floats, mbps: float, buffer_s: float, last: int, video: VideoFacts
) -> Floats:
    """(LEVELS,) the most, relative, that a plan brings which begins with each level.

    Args:
        sizes_bytes: [step][level], the plan's chunks, 1 to PLAN_CHUNKS.
        mbps: the throughput, constant.
        last: the level before.
    """
    gains, mu = gains_of(video.ladder_kbps), TRAINED_FOR.mu * video.scale
    return planned_values(sizes_bytes, mbps, buffer_s, video.chunk_s, last, gains, mu)


@lru_cache(maxsize=64)
def gains_of(ladder_kbps: tuple[int, ...]) -> Floats:
    """(LEVELS, LEVELS) [level before][level]: relative quality less what the change costs. Read only."""
    q = np.asarray(ladder_kbps) / ladder_kbps[-1] * TOP_MBPS
    return np.asarray(q[None, :] - TRAINED_FOR.smooth * np.abs(q[None, :] - q[:, None]))


PACKED_NOMINAL = 2
PACKED_GAINS = PACKED_NOMINAL + LEVELS


@lru_cache(maxsize=64)
def packed(video: VideoFacts) -> Floats:
    """All of it as compiled code reads it: chunk length s, scale; from `PACKED_NOMINAL` on the levels' rates
    over the top's, from `PACKED_GAINS` on `gains_of`, row by row. Read only."""
    nominal = np.asarray(video.ladder_kbps) / video.ladder_kbps[-1]
    return np.concatenate(([video.chunk_s, video.scale], nominal, gains_of(video.ladder_kbps).ravel()))


def goal(observation: Observation, video: VideoFacts, target: float) -> float:
    """What is still to be gained for a mean return of `target` a chunk, as `features` wants it told.

    Args:
        target: relative QoE a chunk, of all chunks but the first.
    """
    gains, past = gains_of(video.ladder_kbps), observation.history
    gained = 0.0
    for before, now in pairwise(past):
        gained += gains[before.level, now.level] - TRAINED_FOR.mu * video.scale * now.stall_s
    counted = len(past) + observation.chunks_left - 1
    return target - gained / max(counted, 1)


def rate_log(mbps: float) -> float:
    """A relative rate's logarithm as the model sees it."""
    return math.log1p(RATE_SCALE * mbps)


def _session_logs(past: Sequence[PastChunk], scale: float) -> tuple[float, ...]:
    """What `link` says of the whole session, in its order."""
    rates = np.array([each.throughput_mbps for each in past]) * scale
    times = np.array([each.download_s for each in past])
    logs = np.log1p(RATE_SCALE * rates)
    mean, ordered = float(logs.mean()), np.sort(rates)
    return (
        mean,
        math.sqrt(max(float((logs * logs).mean()) - mean * mean, 0.0)),
        float(logs.min()),
        float(logs.max()),
        float(np.abs(np.diff(logs)).sum()) / max(len(past) - 1, 1),
        float(logs[-SHORT:].mean()),
        float(logs[-LONG:].mean()),
        *(rate_log(float(ordered[int(share * (len(past) - 1))])) for share in QUARTERS),
        rate_log(float((rates * times).sum() / times.sum())),
    )


def sane(vectors: Vectors) -> NDArray[np.bool_]:
    """(steps, LEVELS) which levels may be taken: not those that three plans all hold `WORST_VALUE` worse.

    No model has seen every link; on one so slow that nothing like it was learned, this keeps it from a
    level that takes minutes to arrive. The three are the first; the best level of each always may be taken.
    """
    planned = vectors[:, PLACES["levels"]].reshape(-1, LEVELS, ATTRIBUTES)[:, :, :TRUSTED_GUESSES]
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

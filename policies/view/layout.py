"""Where each number of the view stands, and in what units: a vector of `WIDTH` float32.

Everything is relative to the ladder. Rates and sizes are multiplied by `TOP_MBPS` over its top, so that
those of the published ladder (300 to 4300 kbit/s) keep their Mbit/s. Quality is (q - q of the lowest) /
(q of the top - q of the lowest) x `SPAN`, which leaves the published ladder's differences as they are, and
the weight of a stall is brought along: mu x `SPAN` / (q of the top - q of the lowest). With log(x) for
ln(1 + x), rate(x) for ln(1 + `RATE_SCALE` x), times in seconds, a size as the rate of a chunk that is
played in its own length:

    throughput  10 x rate(throughput)        oldest first; 0 where there was no chunk yet
    download    10 x log(download time)      the same
    size        10 x size / TOP_MBPS         the same
    playback    buffer / 10; of the cap; in chunks / 10; cap / 60; chunks left / 48, in seconds / 192, of
                the plan's; 1 / chunks left; log(last stall); log(stall for each second of media)
    asked       log(mu); mu / (mu + 4.3); smooth; chunk length / 4; ln(chunk length / 4); log(10 RTT)
    ladder      levels / MAX_LEVELS; the last one's place, quality / SPAN, rate / TOP_MBPS; the lowest
                rate / TOP_MBPS; ln(top in Mbit/s); 1 where there is a history
    guesses     rate of each throughput that is planned with, in the order of `GUESSES`
    memory      of the session's rate(link rate): mean, deviation, least, most, mean size of its changes;
                rate of the quantiles 10, 25, 50, 75 %; log of the longest download of the session, of the
                last LONG chunks, of the one that fades by half in FADE_S seconds of media; log of the
                seconds of media since the longest; rate of all bytes over all time, of the last LONG
                chunks; log(chunks so far) / 4
    options     MAX_LEVELS x what is known of choosing each level, in the order of `ATTRIBUTES`; rows of
                levels that the ladder lacks are 0

A *link rate* is a chunk's size over its download time less the round trip (a fifth of the time at least),
so that small chunks over long round trips don't make a link look slow; averages weigh it by time, so that
one fast short download does not wipe out what a long slow one has shown. `plans.py` says what a planned
value is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from player.observation import HORIZON

VERSION = 1
"""Of the view: weights name the one that they were made for."""

MAX_LEVELS = 12
TOP_MBPS = 4.3
SPAN = 4.0
HISTORY = 10
AHEAD = 5
"""Chunks of the mean size ahead."""
LONG = 20
"""Chunks that count as the recent past where outages are remembered."""
RATE_SCALE = 10.0
"""So that the logarithm tells 0.1 from 0.3 Mbit/s as well as 1 from 3."""
WORST_VALUE = -5.0
"""A planned value is clipped here."""
FAST_S, SLOW_S = 4.0, 20.0
"""Half-lives, in seconds of download, of the two running averages."""
FADE_S = 60.0
QUANTILES = (0.10, 0.25, 0.50, 0.75)
ROUND_TRIP_SHARE = 0.8
"""Of a download time: more is never taken off it as round trip."""
SHOWN = HORIZON
"""Chunks ahead whose sizes are known; nominal rates stand for those that follow."""

GUESSES = (
    "robust", "mean", "last", "mean x 0.6", "mean x 1.5", "quantile 10 %", "lowest lately", "slow average",
    "fast average",
)  # fmt: skip
"""Throughputs that are planned with. The first five count what was downloaded over the whole time, as
RobustMPC does; the others are link rates, to which the round trip is added."""
ROBUST, MEAN, LAST, LOWER, HIGHER, LOW, LOWEST, SLOW, FAST = range(len(GUESSES))
LOWER_SHARE, HIGHER_SHARE = 0.6, 1.5

ATTRIBUTES = (
    "there is such a level", "quality", "rate", "size of the next chunk", "mean size ahead",
    "change of quality", "the last level", "the top level",
    *(f"planned value, {guess}" for guess in GUESSES),
    "slack at the mean", "slack at the slow average", "slack at the 10 % quantile", "slack at the lowest",
    "stall at the 10 % quantile", "its cost", "drain at the slow average", "drain at the 10 % quantile",
)  # fmt: skip
"""Slack is (buffer - download time) / 10, within -`SLACK_LIMIT` to `SLACK_LIMIT`; a stall log(seconds),
its cost log(mu x seconds); a drain ln(download time / chunk length), within -`DRAIN_LIMIT` to that."""
EXISTS, QUALITY, RATE, NEXT, MEAN_AHEAD, CHANGE, IS_LAST, IS_TOP, PLANNED = range(9)
SLACK = PLANNED + len(GUESSES)
STALL = SLACK + 4
DRAIN = STALL + 2
SLACK_LIMIT, DRAIN_LIMIT = 3.0, 3.0
LIMIT = 10.0
"""No number of the view is further from 0, whatever a link or a caller does."""

_SIZES = (
    ("throughput", HISTORY), ("download", HISTORY), ("size", HISTORY), ("playback", 10), ("asked", 6),
    ("ladder", 7), ("guesses", len(GUESSES)), ("memory", 16), ("options", MAX_LEVELS * len(ATTRIBUTES)),
)  # fmt: skip


def _places() -> dict[str, slice]:
    begin, found = 0, {}
    for name, size in _SIZES:
        found[name] = slice(begin, begin + size)
        begin += size
    return found


PLACES = _places()
GLOBAL = PLACES["options"].start
"""How many numbers come before the options."""
WIDTH = PLACES["options"].stop

Vectors = NDArray[np.float32]


def options_of(vectors: Vectors) -> Vectors:
    """(..., MAX_LEVELS, attributes) of (..., WIDTH); a view into it."""
    return vectors[..., GLOBAL:].reshape(*vectors.shape[:-1], MAX_LEVELS, len(ATTRIBUTES))

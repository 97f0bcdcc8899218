"""What a scheduler looks at: a few figures of what the client knows, cheap enough for every chunk.

Half of them say what the link and the session are like. The others say what is at stake: how fast the
buffer falls, how much of it would be left if the link brought the light policy's chunk at this session's
bad rate, and what the light policy's level would lose against the level that would be right then. A
policy that is sure of itself may be sure of a level that a bad minute makes dear; only these see it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

from player.observation import Observation, PastChunk
from policies.rules.throughput import FLOOR_MBPS, harmonic_mean_mbps, observed_mbps
from policies.view.asked import Asked
from policies.view.layout import LOWER_SHARE, QUANTILES, ROUND_TRIP_SHARE

WINDOW = 8
"""Past chunks that variation and recent stall look back over."""
LEAD_LIMIT = 10.0
"""A lead counts as no more than this; one that is not told counts as this."""
FALL_WINDOW = 4
"""Past chunks that a falling buffer is looked for in."""
HELD = 5
"""Chunks that a level is held for where it is asked what it would cost."""
LOSS_LIMIT = 200.0
"""In units of relative quality, of which a ladder spans 4: 45 s of stall at the published weight."""
BAD, GOOD = QUANTILES[0], QUANTILES[-1]
"""Of the session's link rates so far: a bad one and a good one."""
BAD_SHARE = LOWER_SHARE
"""Of the mean of the last five throughputs: a bad rate is no better, however steady the link has been."""
DRAIN_LIMIT = 20.0


@dataclass(frozen=True, slots=True)
class Facts:
    """The client's state in the figures that a decision's difficulty is judged by."""

    buffer_s: float
    rate: float
    """Harmonic mean of the last five throughputs, in units of the ladder's top bitrate."""
    variation: float
    """Standard deviation of ln(throughput) over the last `WINDOW` chunks."""
    trend: float
    """ln(last throughput / harmonic mean of the last five): below 0 it falls."""
    stall_s: float
    """Over the last `WINDOW` chunks."""
    lead: float
    """How far the light policy's two best candidates are apart; at most `LEAD_LIMIT`."""
    rtt_ms: float
    last: float
    """The last chunk's level, of the top level."""
    left: float
    """Chunks to come, in units of 48; at most 1."""
    slack_s: float
    """What would be left of the buffer had the light policy's chunk come in at the bad rate; below 0 it
    would have stalled."""
    drain: float
    """Seconds of buffer lost with every second of media at the bad rate and the light policy's level; below
    0 the buffer would grow."""
    falling_s: float
    """By how much the buffer fell over the last `FALL_WINDOW` chunks, in all; 0 where it didn't."""
    risk: float
    """What the light policy's level loses against the best of those below it if the bad rate came and a level
    were held for `HELD` chunks: relative quality, stalls at what is asked for them."""
    missed: float
    """The same at the good rate, against the best of those above it: what is left lying."""


NAMES = tuple(each.name for each in fields(Facts))


def of(observation: Observation, asked: Asked, level: int, lead: float) -> Facts:
    """The facts of an observation with at least one chunk in its history.

    Args:
        asked: ladder, chunk length and weights of the session.
        level: the light policy's.
        lead: of the light policy's decision; inf where it is not told.
    """
    past = observation.history
    recent = past[-WINDOW:]
    mean_mbps, top_mbps = harmonic_mean_mbps(past), asked.ladder_kbps[-1] / 1000.0
    rates = sorted(map(_link_mbps, past))
    bad_mbps = min(rates[int(BAD * (len(rates) - 1))], BAD_SHARE * mean_mbps)
    bad = _Held(observation, asked, bad_mbps)
    good = _Held(observation, asked, rates[int(GOOD * (len(rates) - 1))])
    first_s = bad.first_s(level)
    return Facts(
        buffer_s=observation.buffer_s,
        rate=mean_mbps / top_mbps,
        variation=_deviation(recent),
        trend=math.log(observed_mbps(past[-1]) / mean_mbps),
        stall_s=math.fsum(each.stall_s for each in recent),
        lead=min(lead, LEAD_LIMIT),
        rtt_ms=past[-1].rtt_ms,
        last=past[-1].level / max(len(asked.ladder_kbps) - 1, 1),
        left=min(observation.chunks_left / 48.0, 1.0),
        slack_s=max(observation.buffer_s - first_s, -LOSS_LIMIT),
        drain=min(bad.mean_s(level) / asked.chunk_s - 1.0, DRAIN_LIMIT),
        falling_s=_fallen_s(past[-FALL_WINDOW - 1 :]),
        risk=bad.loss(level, range(level)),
        missed=good.loss(level, range(level + 1, asked.levels)),
    )


class _Held:
    """What comes of levels that are held for the next chunks at one link rate."""

    def __init__(self, observation: Observation, asked: Asked, mbps: float) -> None:
        last = observation.history[-1]
        self._trip_s = last.rtt_ms / 1000.0
        self._per_byte_s = 8.0 / 1e6 / mbps
        self._sizes = observation.next_sizes_bytes[:HELD]
        self._buffer_s, self._cap_s = observation.buffer_s, observation.buffer_cap_s
        self._chunk_s, self._mu, self._smooth = asked.chunk_s, asked.relative_mu, asked.smooth
        self._quality = asked.relative_quality.tolist()
        self._from = self._quality[last.level]

    def first_s(self, level: int) -> float:
        """The next chunk's download time."""
        return self._sizes[0][level] * self._per_byte_s + self._trip_s

    def mean_s(self, level: int) -> float:
        """The mean download time of the next chunks."""
        sizes = [row[level] for row in self._sizes]
        return sum(sizes) / len(sizes) * self._per_byte_s + self._trip_s

    def loss(self, level: int, others: Iterable[int]) -> float:
        """What a level loses against the best of others, 0 to `LOSS_LIMIT`."""
        mine = self._value(level)
        lost = max((self._value(each) - mine for each in others), default=0.0)
        return min(max(lost, 0.0), LOSS_LIMIT)

    def _value(self, level: int) -> float:
        buffer_s, stalled_s, quality = self._buffer_s, 0.0, self._quality[level]
        for row in self._sizes:
            left_s = buffer_s - row[level] * self._per_byte_s - self._trip_s
            if left_s < 0.0:
                stalled_s -= left_s
                left_s = 0.0
            buffer_s = min(left_s + self._chunk_s, self._cap_s)
        change = self._smooth * abs(quality - self._from)
        return len(self._sizes) * quality - self._mu * stalled_s - change


def _link_mbps(past: PastChunk) -> float:
    """A chunk's size over its download time less the round trip, as `policies/view` has it."""
    net_s = past.download_s - min(past.rtt_ms / 1000.0, ROUND_TRIP_SHARE * past.download_s)
    return max(8.0 * past.size_bytes / 1e6 / max(net_s, 1e-9), FLOOR_MBPS)


def _fallen_s(recent: Sequence[PastChunk]) -> float:
    return max(recent[0].buffer_s - recent[-1].buffer_s, 0.0)


def _deviation(recent: Sequence[PastChunk]) -> float:
    logs = [math.log(observed_mbps(each)) for each in recent]
    mean = math.fsum(logs) / len(logs)
    return math.sqrt(math.fsum((each - mean) ** 2 for each in logs) / len(logs))

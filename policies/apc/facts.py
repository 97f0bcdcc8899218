"""What a scheduler looks at: a few figures of what the client knows, cheap enough for every chunk."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

from player.observation import Observation, PastChunk
from policies.rules.throughput import harmonic_mean_mbps, observed_mbps

WINDOW = 8
"""Past chunks that variation and recent stall look back over."""
LEAD_LIMIT = 10.0
"""A lead counts as no more than this; one that is not told counts as this."""


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
    """How far the light policy's two best candidates are apart, in its own unit on a ladder that ends at
    `TOP_MBPS`; at most `LEAD_LIMIT`."""
    rtt_ms: float
    last: float
    """The last chunk's level, of the top level."""
    left: float
    """Chunks to come, in units of 48; at most 1."""


TOP_MBPS = 4.3
"""Of the published ladder: a lead on it stays as it is."""
NAMES = tuple(each.name for each in fields(Facts))


def of(observation: Observation, ladder_kbps: Sequence[int], lead: float) -> Facts:
    """The facts of an observation with at least one chunk in its history.

    Args:
        ladder_kbps: lowest first.
        lead: of the light policy's decision; inf where it is not told.
    """
    past = observation.history
    recent = past[-WINDOW:]
    mean_mbps, top_mbps = harmonic_mean_mbps(past), ladder_kbps[-1] / 1000.0
    return Facts(
        buffer_s=observation.buffer_s,
        rate=mean_mbps / top_mbps,
        variation=_deviation(recent),
        trend=math.log(observed_mbps(past[-1]) / mean_mbps),
        stall_s=math.fsum(each.stall_s for each in recent),
        lead=min(lead * TOP_MBPS / top_mbps, LEAD_LIMIT),
        rtt_ms=past[-1].rtt_ms,
        last=past[-1].level / max(len(ladder_kbps) - 1, 1),
        left=min(observation.chunks_left / 48.0, 1.0),
    )


def _deviation(recent: Sequence[PastChunk]) -> float:
    logs = [math.log(observed_mbps(each)) for each in recent]
    mean = math.fsum(logs) / len(logs)
    return math.sqrt(math.fsum((each - mean) ** 2 for each in logs) / len(logs))

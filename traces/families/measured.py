"""What was measured of traces, as plain values: whoever only holds them needs no arithmetic."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Statistics:
    """Figures of a set of traces; a rate counts as long as it holds."""

    traces: int
    """Blocks of one log count once."""
    duration_s: float
    mean_mbps: float
    deviation_mbps: float
    min_mbps: float
    p5_mbps: float
    p50_mbps: float
    p95_mbps: float
    max_mbps: float
    share_below_0_3: float
    """Share of the time below 0.3 Mbit/s."""
    deviation_of_means_mbps: float
    """How far traces of the set differ: deviation of the traces' own means; 0 for one trace."""
    autocorrelation_1s: float | None
    """Mean over the traces, each about its own mean; None where steps are longer than the lag."""
    autocorrelation_5s: float | None
    autocorrelation_20s: float | None
    outages: int
    """Stretches below 0.3 Mbit/s, one that a trace's end cuts included."""
    outage_mean_s: float | None
    outage_p95_s: float | None
    outage_max_s: float | None
    swings_2s: float | None = None
    """Share of the moments to which the rate 2 s later is at least double or half, rates below 0.3 counted as
    0.3; None where steps are longer than that, and in data files older than this figure."""

    def as_json(self) -> dict[str, float | int | None]:
        """Field by field, rounded to 4 decimals."""
        return {
            key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(self).items()
        }


@dataclass(frozen=True)
class Range:
    """What a column beside the rate holds over one pass."""

    least: float
    mean: float
    """Weighted by time."""
    most: float

    def as_json(self) -> dict[str, float]:
        """Field by field, rounded to 4 decimals."""
        return {key: round(value, 4) for key, value in asdict(self).items()}

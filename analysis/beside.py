"""What stands beside a difference of QoE: bitrate, stalls and switches, each with an interval of its own.

One number can hide what it is made of: over a ladder whose bitrates are high against the stall weight, a
policy may lead in QoE because it stalls more. So whoever is told a difference is told these three as well,
over the same pairs and the same resamples, and in words where the stalls point the other way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.bootstrap import Interval
from analysis.significance import LEVEL, SAME

AHEAD, BEHIND, TIE, UNKNOWN = "ahead", "behind", "tie", "unknown"
"""Verdicts of a difference of QoE."""
MORE, LESS = "more", "less"
"""Verdicts of the measures beside it, which are also `TIE` or `UNKNOWN`."""


@dataclass(frozen=True)
class BesideMeasure:
    """How a measure that stands beside QoE is shown."""

    name: str
    """As in `Figures`."""
    title: str
    scale: float
    """What is shown is so many times the value."""
    form: str


BESIDE = (
    BesideMeasure("bitrate_mbps", "bitrate Mbit/s", 1.0, "+.3f"),
    BesideMeasure("stall_ratio", "stall ratio, % points", 100.0, "+.2f"),
    BesideMeasure("switches", "switches", 1.0, "+.1f"),
)
_STALL = BESIDE[1]


def verdict_of(interval: Interval, above: str, below: str) -> str:
    """One of the words where the interval excludes 0, `TIE` where it holds it, `UNKNOWN` without one.

    An interval of nothing but rounding (`SAME`) is a tie, too.
    """
    if interval.low is None or interval.high is None:
        return UNKNOWN
    if interval.low <= SAME and interval.high >= -SAME:
        return TIE
    return above if interval.mean > 0 else below


def doubted(verdict: str, holm_p: float | None) -> bool:
    """Whether an interval excludes 0, and p, held against all that was asked, yet calls it chance."""
    return verdict in (AHEAD, BEHIND) and holm_p is not None and holm_p >= LEVEL


def beside_verdict(interval: Interval) -> str:
    """Whether a policy has more or less of a measure than the other one."""
    return verdict_of(interval, MORE, LESS)


def with_bounds(measure: BesideMeasure, interval: Interval) -> str:
    """`+0.142 [+0.100, +0.184]`."""
    mean = f"{measure.scale * interval.mean:{measure.form}}"
    if interval.low is None or interval.high is None:
        return mean
    low, high = (f"{measure.scale * bound:{measure.form}}" for bound in (interval.low, interval.high))
    return f"{mean} [{low}, {high}]"


def stall_against_qoe(verdict: str, beside: Mapping[str, Interval]) -> str | None:
    """`MORE` where a lead or a tie in QoE comes with more stall, `LESS` where a tie or what is behind comes
    with less; None where stalls say nothing else than QoE.

    Args:
        verdict: of the difference of QoE.
        beside: differences by the names of `BESIDE`.
    """
    stall = beside_verdict(beside[_STALL.name])
    if verdict in (AHEAD, TIE) and stall == MORE:
        return MORE
    return LESS if verdict in (BEHIND, TIE) and stall == LESS else None


def stall_words(verdict: str, beside: Mapping[str, Interval]) -> str:
    """What a reader of the verdict must be told of stalls; empty where there is nothing."""
    against = stall_against_qoe(verdict, beside)
    if against is None:
        return ""
    begin = {
        (AHEAD, MORE): "this lead comes with more stall",
        (BEHIND, LESS): "but it stalls less",
        (TIE, MORE): "but it stalls more",
        (TIE, LESS): "but it stalls less",
    }[verdict, against]
    return f"{begin}: stall ratio {with_bounds(_STALL, beside[_STALL.name])} percentage points"

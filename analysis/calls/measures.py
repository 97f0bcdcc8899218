"""The figures of calls that are compared: their names, titles and forms, and the verdict over two of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from analysis.beside import AHEAD, BEHIND, LESS, MORE, TIE, UNKNOWN, beside_verdict
from analysis.bootstrap import Interval
from analysis.calls.outcomes import CallFigures

TRADE = "trade"
"""More bitrate for more stall, or less for less: which is better is a choice of weights."""

BITRATE, STALL = "bitrate_mbps", "stall_ratio"
"""What the verdict is of."""


@dataclass(frozen=True)
class CallMeasure:
    """How a figure is shown."""

    name: str
    """As in `CallFigures`."""
    title: str
    form: str
    scale: float = 1.0
    """What is shown is so many times the value."""
    unit: str = ""

    @property
    def get(self) -> Callable[[CallFigures], float]:
        return lambda one: float(getattr(one, self.name))

    def shown(self, value: float | None, sign: str = "") -> str:
        """A value with its unit; a dash where there is none."""
        return "-" if value is None else f"{self.scale * value:{sign}{self.form}}{self.unit}"

    def with_bounds(self, interval: Interval) -> str:
        """`+0.142 [+0.100, +0.184]`."""
        mean = f"{self.scale * interval.mean:+{self.form}}"
        if interval.low is None or interval.high is None:
            return mean
        low, high = (f"{self.scale * bound:+{self.form}}" for bound in (interval.low, interval.high))
        return f"{mean} [{low}, {high}]"


MEASURES = (
    CallMeasure("qoe", "QoE", ".3f"),
    CallMeasure(BITRATE, "bitrate Mbit/s", ".3f"),
    CallMeasure(STALL, "stall ratio", ".2f", 100.0, " %"),
    CallMeasure("freezes_per_min", "freezes/min", ".2f"),
    CallMeasure("frame_delay_p50_ms", "frame delay ms p50", ".0f"),
    CallMeasure("frame_delay_p95_ms", "p95", ".0f"),
    CallMeasure("frame_delay_p99_ms", "p99", ".0f"),
    CallMeasure("loss_ratio", "loss", ".2f", 100.0, " %"),
    CallMeasure("rate_change", "rate change", ".3f"),
)
"""Each has an interval, of its mean and of the differences."""
LINK_SHARE = CallMeasure("link_share", "link used", ".1f", 100.0, " %")
"""Without interval: where the link carried nothing there is none."""
BY_NAME = {one.name: one for one in MEASURES}
GETTERS = {one.name: one.get for one in MEASURES}


def verdict_of(intervals: Mapping[str, Interval]) -> str:
    """Over bitrate and stall ratio together: `ahead` is better in one and not worse in the other, `behind`
    the reverse, `trade` where one is paid for with the other, `tie` where both intervals hold 0, `unknown`
    without intervals."""
    bitrate, stall = beside_verdict(intervals[BITRATE]), beside_verdict(intervals[STALL])
    if UNKNOWN in (bitrate, stall):
        return UNKNOWN
    if bitrate == stall:
        return TIE if bitrate == TIE else TRADE
    return AHEAD if bitrate == MORE or stall == LESS else BEHIND


def words_of(policy: str, baseline: str, intervals: Mapping[str, Interval], doubt: str = "") -> str:
    """The verdict as a sentence, with both differences; so a reader sees how much more stall a `not worse`
    still leaves room for."""
    verdict = verdict_of(intervals)
    begin = {
        AHEAD: f"{policy} is ahead of {baseline}",
        BEHIND: f"{policy} is behind {baseline}",
        TRADE: f"{policy} and {baseline}: a trade, {_traded(intervals)}",
        TIE: f"{policy} and {baseline}: a tie in bitrate and stall",
        UNKNOWN: f"{policy} against {baseline}, on one trace or line, so without interval",
    }[verdict]
    return (
        f"{begin}: bitrate {BY_NAME[BITRATE].with_bounds(intervals[BITRATE])} Mbit/s, stall ratio"
        f" {BY_NAME[STALL].with_bounds(intervals[STALL])} percentage points{doubt}"
    )


def _traded(intervals: Mapping[str, Interval]) -> str:
    more = beside_verdict(intervals[BITRATE]) == MORE
    return "more bitrate with more stall" if more else "less bitrate with less stall"


def carried_by(intervals: Mapping[str, Interval]) -> list[str]:
    """The measures that an `ahead` or a `behind` rests on: those whose intervals exclude 0."""
    if verdict_of(intervals) not in (AHEAD, BEHIND):
        return []
    return [name for name in (BITRATE, STALL) if beside_verdict(intervals[name]) in (MORE, LESS)]

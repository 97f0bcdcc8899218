"""How figures of traces are shown: tables, lines and a sparkline."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from traces.families.model import FamilyModel
from traces.families.statistics import Statistics, ranges
from traces.trace import Trace

_BARS = " ▁▂▃▄▅▆▇█"
_ASCII_BARS = " .:-=+*#%@"


def sparkline(rates: Sequence[float], encoding: str = "utf-8") -> str:
    """A character a rate, full height the highest; ASCII where the terminal's encoding has no blocks.

    Args:
        rates: Mbit/s; blank is (almost) dark.
    """
    try:
        _BARS.encode(encoding)
        bars = _BARS
    except (UnicodeEncodeError, LookupError):
        bars = _ASCII_BARS
    top = max(rates, default=0.0)
    if top <= 0:
        return " " * len(rates)
    steps = len(bars) - 1
    return "".join(bars[min(int(rate / top * steps + 0.5), steps)] for rate in rates)


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _hundredths(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _tenths(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


_ROWS: tuple[tuple[str, Callable[[Statistics], float | None], Callable[[float | None], str]], ...] = (
    ("mean, Mbit/s", lambda s: s.mean_mbps, _plain),
    ("deviation", lambda s: s.deviation_mbps, _plain),
    ("5th percentile", lambda s: s.p5_mbps, _plain),
    ("median", lambda s: s.p50_mbps, _plain),
    ("95th percentile", lambda s: s.p95_mbps, _plain),
    ("deviation of traces' means", lambda s: s.deviation_of_means_mbps, _plain),
    ("share below 0.3 Mbit/s", lambda s: s.share_below_0_3, _share),
    ("autocorrelation at 1 s", lambda s: s.autocorrelation_1s, _hundredths),
    ("autocorrelation at 5 s", lambda s: s.autocorrelation_5s, _hundredths),
    ("autocorrelation at 20 s", lambda s: s.autocorrelation_20s, _hundredths),
    ("outage length, mean, s", lambda s: s.outage_mean_s, _tenths),
    ("outage length, 95th percentile, s", lambda s: s.outage_p95_s, _tenths),
    ("rate twice or half 2 s later", lambda s: s.swings_2s, _share),
    ("outages an hour", lambda s: s.outages / s.duration_s * 3600, _tenths),
)


def statistics_lines(figures: Statistics) -> list[str]:
    """A line a figure."""
    lines = [f"{name}: {show(value(figures))}" for name, value, show in _ROWS]
    return [f"traces: {figures.traces}, {figures.duration_s:g} s in all", *lines]


def constant_line(trace: Trace) -> str:
    """That the trace is of one rate, if it is."""
    rates = set(trace.rate_mbps[1:])
    return f"a constant link of {rates.pop():g} Mbit/s" if len(rates) == 1 else ""


def more_lines(trace: Trace) -> list[str]:
    """A line each on the trace's delays and losses, if it has them."""
    found = ranges(trace)
    lines = []
    if (delay := found.get("delay_ms")) is not None:
        lines.append(
            f"delays of {delay.least:g} to {delay.most:g} ms, mean {_plain(delay.mean)}, on top of the link's"
            " RTT"
        )
    if (loss := found.get("loss_pct")) is not None:
        lines.append(
            f"loss of {loss.least:g} to {loss.most:g} %, mean {_plain(loss.mean)}, towards the player"
        )
    return lines


_COLUMNS = (
    "logs",
    "hours",
    "mean",
    "dev.",
    "p5",
    "median",
    "p95",
    "< 0.3",
    "ACF 1 s",
    "5 s",
    "20 s",
    "swings",
    "outage",
    "p95",
)
FIT_HEADER = "| family | set | " + " | ".join(_COLUMNS) + " |\n| --- | --- |" + " ---: |" * len(_COLUMNS)
"""Head of the table that shows generated beside measured; rates in Mbit/s, outages (below 0.3) in s."""


def fit_row(family: str, what: str, count: int, figures: Statistics) -> str:
    """A Markdown row under `FIT_HEADER`.

    Args:
        what: `fitted`, `held out` or `generated`.
        count: of logs, blocks or members.
    """
    cells = [
        family,
        what,
        str(count),
        _tenths(figures.duration_s / 3600),
        *(
            _plain(rate)
            for rate in (
                figures.mean_mbps,
                figures.deviation_mbps,
                figures.p5_mbps,
                figures.p50_mbps,
                figures.p95_mbps,
            )
        ),
        _share(figures.share_below_0_3),
        _hundredths(figures.autocorrelation_1s),
        _hundredths(figures.autocorrelation_5s),
        _hundredths(figures.autocorrelation_20s),
        _share(figures.swings_2s),
        _tenths(figures.outage_mean_s),
        _tenths(figures.outage_p95_s),
    ]
    return "| " + " | ".join(cells) + " |"


def fit_rows(model: FamilyModel, generated: Statistics, members: int) -> list[str]:
    """A family's rows: fitted, held out if there is any, generated."""
    rows = [fit_row(model.family, "fitted", model.fitted_logs, model.fitted)]
    if model.held_out is not None:
        rows.append(fit_row("", "held out", model.held_out_logs, model.held_out))
    return [*rows, fit_row("", "generated", members, generated)]

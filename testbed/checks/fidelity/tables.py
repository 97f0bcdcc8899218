"""What `fidelity.py` found, as tables: run by run, and over all runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table


def percent(value: float | None) -> str:
    """A share in per cent; a dash for none."""
    return "-" if value is None else f"{100 * value:.2f} %"


def _percents(values: Iterable[float | None], between: str = " / ") -> str:
    """Several in one cell, the unit once."""
    return between.join("-" if value is None else f"{100 * value:.2f}" for value in values) + " %"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def table(rows: Sequence[dict[str, Any]], backend: str, besides: Sequence[str]) -> Table:
    """What was found, against its bounds; `besides`, lines under it."""
    varying = any(row["delay_packets"] for row in rows)
    shown = Table(
        title=f"link fidelity, delay stage: {backend}", title_justify="left", box=None, pad_edge=False
    )
    for name in _cells(rows[0], varying):
        shown.add_column(name, justify="right")
    for row in rows:
        shown.add_row(*_cells(row, varying).values())
    if besides:
        shown.caption = "\n".join(besides)
        shown.caption_justify = "left"
    return shown


def _cells(row: dict[str, Any], varying: bool) -> dict[str, str]:
    """A row's cells by the names of their columns; `varying`, whether some run's delay varied."""
    late = f", filler {row['filler_late']} x late" if row["filler_late"] else ""
    not_full = f" (+{row['unsaturated_windows']} not full{late})" if row["unsaturated_windows"] else ""
    return {
        "lanes": str(row["lanes"]),
        "traces": str(row["traces"]),
        "Mbit/s in all": f"{row['mbps']:.1f}",
        f"{row['window_s']:g}-s windows": f"{row['windows']}{not_full}",
        "error median / p95 / max": _percents(row[key] for key in ("error_median", "error_p95", "error_max")),
        "beyond one frame: median / p95": _percents(
            row[key] for key in ("beyond_a_frame_median", "beyond_a_frame_p95")
        ),
        "bound": f"{100 * row['bound_median']:g} / {100 * row['bound_p95']:g} %",
        "late p99 / max ms": f"{_ms(row['late_p99_ms'])} / {_ms(row['late_max_ms'])}",
        "RTT off by ms": _ms(row["rtt_off_max_ms"]),
        **({"delay off by ms: median / p95 / max": _delays(row)} if varying else {}),
        "steal": percent(row["steal"]),
        "wait ms/s": _ms(row["wait_max_ms_per_s"]),
        "within": "yes" if row["within_bounds"] else "NO",
    }


def _delays(row: dict[str, Any]) -> str:
    return " / ".join(_ms(row[f"delay_off_{which}_ms"]) for which in ("median", "p95", "max"))


SUMMED = ("beyond_a_frame_median", "beyond_a_frame_p95", "steal", "wait_max_ms_per_s")
"""Figures of a run whose spread over several runs is told."""


@dataclasses.dataclass(frozen=True)
class RunSpread:
    """A figure over several runs; None where no run has it."""

    least: float | None
    median: float | None
    worst: float | None


def spread(values: Sequence[float | None]) -> RunSpread:
    """Of a figure of which more is worse; the median is one that a run had (the upper of two)."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return RunSpread(None, None, None)
    return RunSpread(known[0], known[len(known) // 2], known[-1])


def repeats(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """All runs of a number of lanes as one row, in the order of the numbers: one run proves nothing."""
    return [
        {
            "lanes": lanes,
            "runs": len(mine),
            "runs_within_bounds": sum(row["within_bounds"] for row in mine),
            **{name: dataclasses.asdict(spread([row[name] for row in mine])) for name in SUMMED},
        }
        for lanes in dict.fromkeys(row["lanes"] for row in rows)
        for mine in [[row for row in rows if row["lanes"] == lanes]]
    ]


def repeats_table(found: Sequence[dict[str, Any]]) -> Table:
    """A line a number of lanes: median and worst of the runs, and from where to where they went."""
    shown = Table(
        title="over all runs, error beyond one frame", title_justify="left", box=None, pad_edge=False
    )
    names = ("median: median, worst", "range", "p95: median, worst", "range", "steal", "wait ms/s", "within")
    for name in ("lanes", "runs", *names):
        shown.add_column(name, justify="right")
    for row in found:
        cells = []
        for name in SUMMED[:2]:
            one = row[name]
            cells.append(_percents((one["median"], one["worst"]), ", "))
            cells.append(_percents((one["least"], one["worst"]), " to "))
        steal, wait = row["steal"], row["wait_max_ms_per_s"]
        cells.append(_percents((steal["least"], steal["worst"]), " to "))
        cells.append(f"{_ms(wait['least'])} to {_ms(wait['worst'])}")
        shown.add_row(
            str(row["lanes"]), str(row["runs"]), *cells, f"{row['runs_within_bounds']} of {row['runs']}"
        )
    return shown

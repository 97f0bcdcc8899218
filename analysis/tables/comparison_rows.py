"""A comparison as two tables: a row a pair of policies, and a row a policy.

Intervals are `…_low` and `…_high`, of 95 %; null where one trace or line leaves nothing to resample. Units
are those of the table of sessions.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from analysis.beside import BESIDE, beside_verdict
from analysis.bootstrap import Interval
from analysis.comparison import MEASURES, Comparison, PairResult, PolicyMeans
from analysis.tables.table_file import NUMBER, TEXT, WHOLE, ending_of, write_table

BOUNDS = ("low", "high")

PAIR_COLUMNS: dict[str, str] = {
    "group": TEXT,  # of --by; null without
    "point": TEXT,  # the one of several that the group is over; null: all of them together
    "policy": TEXT,
    "baseline": TEXT,  # what is subtracted
    "pairs": WHOLE,
    "traces": WHOLE,
    "clusters": WHOLE,
    "qoe_difference": NUMBER,
    **{f"qoe_difference_{bound}": NUMBER for bound in BOUNDS},
    "verdict": TEXT,
    "wilcoxon_p": NUMBER,
    "holm_p": NUMBER,
    "won": NUMBER,  # share of traces
    "drawn": NUMBER,
    **{
        f"{one.name}_{what}": TEXT if what == "verdict" else NUMBER
        for one in BESIDE
        for what in ("difference", *(f"difference_{bound}" for bound in BOUNDS), "verdict")
    },
}
"""Column -> kind, in order."""

MEAN_COLUMNS: dict[str, str] = {
    "group": TEXT,
    "policy": TEXT,
    "cases": WHOLE,
    "sessions": WHOLE,
    "unfinished": WHOLE,
    "invalid": WHOLE,
    **{f"{name}{bound}": NUMBER for name in MEASURES for bound in ("", *(f"_{one}" for one in BOUNDS))},
    "stall_s": NUMBER,
    "utilisation": NUMBER,
}


def write_comparison(comparison: Comparison, path: Path) -> list[Path]:
    """Write the differences to `path`, and the means beside it.

    Returns:
        what was written: where no case is common to all, there are no means.

    Raises:
        TableFileError: a name that ends as no table does.
        OSError: one of them cannot be written.
    """
    means = means_beside(path)
    rows = {path: write_table(path, PAIR_COLUMNS, [list(_pair_rows(comparison))])}
    rows[means] = write_table(means, MEAN_COLUMNS, [list(_mean_rows(comparison))])
    return [written for written, count in rows.items() if count]


def means_beside(path: Path) -> Path:
    """Where means are written when differences are written to `path`.

    Raises:
        TableFileError: a name that ends as no table does.
    """
    ending = ending_of(path)
    return path.with_name(f"{path.name[: -len(ending)]}-means{path.name[-len(ending) :]}")


def _pair_rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    for group in comparison.groups:
        for pair in group.pairs:
            yield {"group": group.name, "point": None, **_pair_row(pair)}
        for point in group.points:
            for pair in point.pairs:
                yield {"group": group.name, "point": point.name, **_pair_row(pair)}


def _pair_row(pair: PairResult) -> dict[str, Any]:
    row = {
        "policy": pair.policy,
        "baseline": pair.baseline,
        "pairs": pair.cases,
        "traces": pair.traces,
        "clusters": pair.difference.clusters,
        **bounded("qoe_difference", pair.difference),
        "verdict": pair.verdict,
        "wilcoxon_p": pair.wilcoxon_p,
        "holm_p": pair.holm_p,
        "won": pair.won,
        "drawn": pair.drawn,
    }
    for name, interval in pair.beside.items():
        row |= bounded(f"{name}_difference", interval) | {f"{name}_verdict": beside_verdict(interval)}
    return row


def _mean_rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    for group in comparison.groups:
        for one in group.policies:
            yield {"group": group.name, **_mean_row(one)}


def _mean_row(one: PolicyMeans) -> dict[str, Any]:
    row: dict[str, Any] = {
        "policy": one.policy,
        "cases": one.cases,
        "sessions": one.sessions,
        "unfinished": one.unfinished,
        "invalid": one.invalid,
        "stall_s": one.figures.stall_s,
        "utilisation": one.figures.utilisation,
    }
    for name, interval in one.intervals.items():
        row |= bounded(name, interval)
    return row


def bounded(name: str, interval: Interval) -> dict[str, float | None]:
    """The columns of an interval: its mean under the name itself."""
    return {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}

"""An unpaired comparison as two tables: a row a pair of policies, and a row a policy.

Intervals are `…_low` and `…_high`, of 95 %, in the units of the table of sessions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from analysis.bootstrap import Interval
from analysis.tables.comparison_rows import BOUNDS, bounded, means_beside
from analysis.tables.table_file import NUMBER, TEXT, WHOLE, write_table

MEASURED = ("stall_ratio", "bitrate_mbps", "qoe", "switches")

DIFFERENCE_COLUMNS: dict[str, str] = {
    "policy": TEXT,
    "baseline": TEXT,  # what is subtracted
    **{
        f"{name}_{what}": TEXT if what == "verdict" else NUMBER
        for name in MEASURED
        for what in ("difference", *(f"difference_{bound}" for bound in BOUNDS), "verdict")
    },
}
POLICY_COLUMNS: dict[str, str] = {
    "policy": TEXT,
    "sessions": WHOLE,
    "watched_s": NUMBER,
    **{f"{name}{bound}": NUMBER for name in MEASURED for bound in ("", *(f"_{one}" for one in BOUNDS))},
}


class _MeasuredPolicy(Protocol):
    @property
    def policy(self) -> str: ...
    @property
    def sessions(self) -> int: ...
    @property
    def watched_s(self) -> float: ...


class _MeasuredDifference(Protocol):
    @property
    def policy(self) -> str: ...
    @property
    def baseline(self) -> str: ...
    @property
    def verdicts(self) -> dict[str, str]: ...


def write_unpaired(
    differences: Sequence[_MeasuredDifference], policies: Sequence[_MeasuredPolicy], path: Path
) -> list[Path]:
    """Write the differences to `path`, and the means beside it.

    Returns:
        what was written: of one policy there is no difference.

    Raises:
        TableFileError: a name that ends as no table does.
        OSError: one of them cannot be written.
    """
    means = means_beside(path)
    rows = {path: write_table(path, DIFFERENCE_COLUMNS, [list(map(_difference_row, differences))])}
    rows[means] = write_table(means, POLICY_COLUMNS, [list(map(_policy_row, policies))])
    return [written for written, count in rows.items() if count]


def _difference_row(one: _MeasuredDifference) -> dict[str, Any]:
    row: dict[str, Any] = {"policy": one.policy, "baseline": one.baseline}
    for name in MEASURED:
        interval: Interval = getattr(one, name)
        row |= bounded(f"{name}_difference", interval) | {f"{name}_verdict": one.verdicts[name]}
    return row


def _policy_row(one: _MeasuredPolicy) -> dict[str, Any]:
    row: dict[str, Any] = {"policy": one.policy, "sessions": one.sessions, "watched_s": one.watched_s}
    for name in MEASURED:
        row |= bounded(name, getattr(one, name))
    return row

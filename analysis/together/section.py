"""The part of a report on bottlenecks that were shared with others than players of the same policy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analysis.bootstrap import CONFIDENCE
from analysis.clusters import ClusterRule
from analysis.report.parts.blocks import Section
from analysis.report.parts.table_rendering import (
    LEFT,
    Cell,
    Column,
    RowGroup,
    Table,
    number,
    with_interval,
    word,
)
from analysis.together.lanes import FoundLanes, SharedMeans, read_lanes, shared_means

COLUMNS = (
    Column("lanes", ("lanes",)),
    Column("who", ("who",), LEFT),
    Column("Mbit/s", ("mbps", "mbps_low", "mbps_high")),
    Column("of link %", ("share", "share_low", "share_high")),
    Column("stall ratio %", ("stall_ratio", "stall_ratio_low", "stall_ratio_high")),
    Column("Jain's index", ("jain", "jain_low", "jain_high")),
)
NOTHING = Cell("", (None, None, None))
ONCE = Cell("", (None,))


def together_section(records: Sequence[str | Path], rule: ClusterRule) -> Section | None:
    """What each got, where bottlenecks were shared with others; None where none was.

    Raises:
        AnalysisError, OSError: a record that was there is gone.
    """
    if not records:
        return None
    found = read_lanes([Path(record) for record in records])
    means = list(shared_means(found.lanes, rule))
    return Section("together", "Together on a bottleneck", (_table(means, found),)) if means else None


def _table(means: Sequence[SharedMeans], found: FoundLanes) -> Table:
    groups = []
    for setting in dict.fromkeys(one.setting for one in means):
        rows = [row for one in means if one.setting == setting for row in _rows(one)]
        groups.append(RowGroup(setting or None, tuple(rows)))
    caption = (
        "Who shared a bottleneck, and what each got of it while all were there, from 5 s after the last one"
        " began: payload, its share of what the link carried with all headers, and Jain's index of the rates"
        f" (1: all had the same). Stall ratios are of whole sessions. Means over lanes with {CONFIDENCE:.0%}"
        " intervals over traces."
    )
    if found.invalid:
        caption += f" {found.invalid} records of untrue links are left out."
    return Table("together", caption, COLUMNS, tuple(groups), group_csv="setting", wide=True)


def _rows(group: SharedMeans) -> list[tuple[Cell, ...]]:
    return [
        (
            number(group.lanes, "d") if place == 0 else ONCE,
            word(one.words),
            with_interval(one.mbps),
            with_interval(one.share, ".1f", 100.0),
            NOTHING if one.stall_ratio is None else with_interval(one.stall_ratio, ".2f", 100.0),
            with_interval(group.jain) if place == 0 else NOTHING,
        )
        for place, one in enumerate(group.members)
    ]

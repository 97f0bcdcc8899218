"""Sessions over a real network, which nothing pairs: their figures in blocks of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.beside import AHEAD
from analysis.bootstrap import CONFIDENCE, Interval
from analysis.outcomes import NO_TRACE, LeftOut
from analysis.report.parts.blocks import Block, Bullets, Paragraph, Section
from analysis.report.parts.session_rows import SessionRow
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
from analysis.sessions import AnalysisError
from analysis.streams import FoundStreams, read_streams
from analysis.unpaired.command import (
    UNPAIRED,
    UnpairedComparison,
    UnpairedMeans,
    compared,
    head_words,
    notes_of,
)
from analysis.unpaired.options import HOURS
from analysis.unpaired.rows import MEASURED
from player.qoe import Scoring
from traces.words import counted

MEASURES = {
    "stall_ratio": ("stall ratio %", 100.0, ".2f"),
    "bitrate_mbps": ("bitrate Mbit/s", 1.0, ".3f"),
    "qoe": ("QoE", 1.0, ".3f"),
    "switches": ("switches", 1.0, ".1f"),
}
"""Name: what it is called, and how it is shown."""


@dataclass(frozen=True)
class RealSessions:
    """What is known of them."""

    found: FoundStreams
    comparison: UnpairedComparison | None
    """None where there are too few for an interval."""
    too_few: str
    """Why there is none."""


def is_real(row: SessionRow) -> bool:
    """Whether a session is left out of pairs because it ran over a real network."""
    return isinstance(row.outcome, LeftOut) and row.outcome.reason == NO_TRACE


def real_sessions(
    rows: Sequence[SessionRow], scoring: Scoring, baseline: str, *, interrupted: bool
) -> RealSessions | None:
    """Those among these; None where none counts.

    Args:
        baseline: the policy that is subtracted, where it is among them; else each from each.

    Raises:
        OSError: a record that was there can't be read.
    """
    paths = [Path(row.path) for row in rows if is_real(row)]
    try:
        found = read_streams(paths, scoring, interrupted=interrupted) if paths else None
    except AnalysisError:
        return None
    if found is None:
        return None
    subtracted = baseline if baseline in {one.policy for one in found.taken} else None
    try:
        return RealSessions(found, compared(found, HOURS, subtracted), "")
    except AnalysisError as error:
        return RealSessions(found, None, str(error))


def real_section(real: RealSessions) -> Section:
    """Their table, what is subtracted, and what it is worth."""
    comparison = real.comparison
    blocks: list[Block] = [Paragraph(f"{UNPAIRED}.", "warning")]
    if comparison is None:
        said = counted(len(real.found.taken), "session")
        blocks.append(Paragraph(f"{said} over a real network; no figures: {real.too_few}."))
        return Section("real", TITLE, tuple(blocks))
    blocks.append(Paragraph(f"{head_words(comparison)} As Puffer publishes them."))
    blocks.append(_means_table(comparison.policies))
    if comparison.differences:
        blocks.append(_differences_table(comparison))
    words = [one.words for one in comparison.differences if one.words]
    words += [note.removeprefix("note: ") for note in notes_of(comparison)]
    if words:
        blocks.append(Bullets(tuple(("", text) for text in words)))
    return Section("real", TITLE, tuple(blocks))


TITLE = "Over a real network, unpaired"


def _columns(prefix: str) -> list[Column]:
    found = []
    for name, (title, _, _) in MEASURES.items():
        key = f"{name}{prefix}"
        found.append(Column(title, (key, f"{key}_low", f"{key}_high")))
    return found


def _cell(name: str, interval: Interval, sign: str = "") -> Cell:
    _, scale, form = MEASURES[name]
    return with_interval(interval, f"{sign}{form}", scale)


def _means_table(policies: Sequence[UnpairedMeans]) -> Table:
    rows = tuple(
        (
            word(one.policy),
            number(one.sessions, "d"),
            number(one.watched_s / 3600, ".2f"),
            *(_cell(name, getattr(one, name)) for name in MEASURED),
        )
        for one in policies
    )
    columns = (
        Column("policy", ("policy",), LEFT),
        Column("sessions", ("sessions",)),
        Column("watched h", ("watched_h",)),
        *_columns(""),
    )
    caption = f"Sessions over a real network by policy, with {CONFIDENCE:.0%} intervals. Not paired."
    return Table("real", caption, columns, (RowGroup(None, rows),), wide=True)


def _differences_table(comparison: UnpairedComparison) -> Table:
    rows = []
    for one in comparison.differences:
        cells = [word(one.policy), word(one.baseline)]
        for name in MEASURED:
            cell, verdict = _cell(name, getattr(one, name), "+"), one.verdicts[name]
            kind = verdict if name == "qoe" else ""
            cells.append(Cell(cell.text, (*cell.values, verdict), f"{cell.small} {verdict}", kind))
        rows.append(tuple(cells))
    columns = [Column("policy", ("policy",), LEFT), Column("minus", ("baseline",), LEFT)]
    for column in _columns("_difference"):
        columns.append(Column(column.title, (*column.csv, f"{column.csv[0]}_verdict")))
    caption = (
        f"Differences between policies, with {CONFIDENCE:.0%} intervals and verdicts. The sessions are not"
        f" pairs: chance gave each its network. More, less, {AHEAD} …: the interval excludes 0."
    )
    return Table("real-differences", caption, tuple(columns), (RowGroup(None, tuple(rows)),), wide=True)

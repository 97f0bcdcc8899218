"""Were the links what they were asked to be? What the self-check found, session by session."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.report.parts.blocks import Block, Paragraph, Section, drawn
from analysis.report.parts.session_rows import LinkCheck, SessionRow
from analysis.report.parts.study import Study, invalid_rows
from analysis.report.parts.table_rendering import LEFT, Cell, Column, RowGroup, Table, number, word
from analysis.style import BLUE, FAINT_COLOUR, TEXT_IN, VERMILLION, log_x
from traces.words import counted

LOG_SPAN = 20
"""Values that span more than this are drawn on a logarithmic axis."""
REASONS = 12
"""So many kinds of reasons are named."""
UNTOLD = "no reason was recorded"


def checked(study: Study) -> list[tuple[SessionRow, LinkCheck]]:
    """The sessions over emulated links, with what was found."""
    return [(row, row.link) for row in study.rows if row.link is not None]


def fidelity_table(study: Study) -> Table | None:
    """Sessions by setting: valid, invalid, and how far the links were off; None where none was emulated."""
    by_setting: dict[str, list[tuple[SessionRow, LinkCheck]]] = {}
    for row, link in checked(study):
        case = row.outcome.case
        name = study.grouping.of(case) if case is not None else "no trace"
        by_setting.setdefault(name, []).append((row, link))
    if not by_setting:
        return None
    order = [name for name in study.grouping.order if name in by_setting]
    names = [*order, *(name for name in by_setting if name not in order)]
    rows = tuple(_fidelity_row(name, [link for _, link in by_setting[name]]) for name in names)
    caption = (
        "Links against their traces, by the kernel's own counters. Byte error: of a session's steps in"
        " which frames"
        " were waiting all the time; shown are the median of the sessions' medians and the 95th"
        " percentile of the"
        " sessions' 95th percentiles. Late: how long after its deadline a rate came into force; the"
        " median session's"
        " 99th percentile, and the worst step of all. Invalid sessions are in no other table or figure."
    )
    return Table("fidelity", caption, FIDELITY_COLUMNS, (RowGroup(None, rows),), wide=True)


FIDELITY_COLUMNS = (
    Column("setting", ("setting",), LEFT),
    Column("sessions", ("sessions",)),
    Column("valid", ("valid",)),
    Column("invalid", ("invalid",)),
    Column("steps", ("steps",)),
    Column("always backlogged", ("backlogged_steps",)),
    Column("byte error, median", ("error_median",)),
    Column("byte error, p95", ("error_p95",)),
    Column("late p99 ms", ("late_p99_ms",)),
    Column("late max ms", ("late_max_ms",)),
)


def _fidelity_row(name: str, links: Sequence[LinkCheck]) -> tuple[Cell, ...]:
    """One setting's."""
    busy = [link for link in links if link.backlogged_steps]
    return (
        word(name),
        number(len(links), "d"),
        number(sum(link.valid for link in links), "d"),
        _invalid(sum(not link.valid for link in links)),
        number(sum(link.steps for link in links), "d"),
        number(sum(link.backlogged_steps for link in links), "d"),
        _percent(np.median([link.error_median for link in busy]) if busy else None),
        _percent(np.quantile([link.error_p95 for link in busy], 0.95) if busy else None),
        number(float(np.median([link.late_p99_ms for link in links])), ".2f"),
        number(max(link.late_max_ms for link in links), ".1f"),
    )


def _invalid(count: int) -> Cell:
    return Cell(str(count), (count,), kind="bad" if count else "")


def _percent(value: float | None) -> Cell:
    return Cell("–", (None,)) if value is None else Cell(f"{100 * value:.2f} %", (float(value),))


def reasons_table(study: Study) -> Table | None:
    """Why sessions were invalid; None where none was. Reasons that differ only in numbers are one."""
    kinds: dict[str, list[tuple[str, str]]] = {}
    for row, link in checked(study):
        if not link.valid:
            for reason in link.reasons or (UNTOLD,):
                kinds.setdefault(re.sub(r"\d[\d.,]*", "#", reason), []).append((reason, row.path))
    kinds |= {"": [(UNTOLD, row.path) for row in invalid_rows(study) if row.link is None]}
    ordered = sorted(filter(None, kinds.values()), key=len, reverse=True)
    if not ordered:
        return None
    rows = tuple(
        (
            number(len({path for _, path in found}), "d"),
            word(found[0][0]),
            word(found[0][1].rpartition("/")[2]),
        )
        for found in ordered[:REASONS]
    )
    columns = (
        Column("sessions", ("sessions",)),
        Column("why, in the words of the first", ("reason",), LEFT),
        Column("for instance", ("record",), LEFT),
    )
    more = f" {len(ordered) - REASONS} rarer reasons are not shown." if len(ordered) > REASONS else ""
    caption = f"Why links were judged invalid; a session may have several reasons.{more}"
    return Table("invalid", caption, columns, (RowGroup(None, rows),))


def draw_fidelity(study: Study) -> Figure | None:
    """Sessions by their links' byte error and lateness, valid and invalid ones apart; None without any.

    To be called within `matplotlib.rc_context(style.RC)`.
    """
    links = [link for _, link in checked(study)]
    if not links:
        return None
    figure = Figure(figsize=(TEXT_IN, 2.3), layout="constrained")
    error, late = figure.subplots(1, 2)
    busy = [link for link in links if link.backlogged_steps]
    _cumulated(error, busy, [100 * link.error_p95 for link in busy])
    error.set_xlabel("95th percentile of a session's byte error (%)")
    error.set_ylabel("share of sessions")
    _cumulated(late, links, [link.late_max_ms for link in links])
    late.set_xlabel("latest rate change of a session (ms)")
    late.legend(loc="lower right")
    return figure


def _cumulated(axis: Axes, links: Sequence[LinkCheck], values: Sequence[float]) -> None:
    for valid, colour, name in ((True, BLUE, "valid"), (False, VERMILLION, "invalid")):
        mine = sorted(value for link, value in zip(links, values, strict=True) if link.valid is valid)
        if not mine:
            continue
        shares = np.arange(1, len(mine) + 1) / len(mine)
        axis.step(
            [mine[0], *mine],
            [0.0, *shares],
            where="post",
            color=colour,
            linestyle="solid" if valid else (0.0, (3.0, 1.5)),
            label=f"{name} (n = {len(mine)})",
        )
    if values and 0 < LOG_SPAN * min(values) < max(values):
        log_x(axis)
    axis.set_ylim(0, 1.01)
    axis.grid(color=FAINT_COLOUR, linewidth=0.3)


def fidelity(study: Study) -> Section:
    """Were the links true?"""
    table = fidelity_table(study)
    if table is None:
        text = "No session here ran over an emulated link, so there was no link to check."
        return Section("links", "Were the links true?", (Paragraph(text),))
    valid = sum(link.valid for _, link in checked(study))
    total = len(checked(study))
    blocks: list[Block] = [
        Paragraph(
            f"Of {counted(total, 'session')} over emulated links {total - valid} had an invalid link and"
            f" {valid} a valid one. Each session's link is held against its trace by the kernel's counters."
        ),
        table,
    ]
    reasons = reasons_table(study)
    if reasons is not None:
        blocks.append(reasons)
    blocks += drawn(
        "fidelity",
        lambda: draw_fidelity(study),
        f"How far the links of {total} sessions were off: byte error of steps in which frames were always"
        " waiting (left),"
        " and the latest change of a rate (right). Invalid sessions are drawn apart.",
        "Distributions of the links' byte errors and of the latest rate changes; the table has the numbers.",
    )
    return Section("links", "Were the links true?", tuple(blocks))

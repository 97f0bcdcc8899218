"""How long decisions took, and who made them: policy, language model, light policy or fallback."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from analysis.bootstrap import Interval, quantile_intervals
from analysis.clusters import ClusterRule
from analysis.figures import line
from analysis.outcomes import Outcome
from analysis.report.parts.blocks import Paragraph, Section, drawn
from analysis.report.parts.session_rows import FALLBACK, SessionRow
from analysis.report.parts.study import Study
from analysis.report.parts.table_rendering import LEFT, Cell, Column, RowGroup, Table, number, shown, word
from analysis.style import (
    FAINT_COLOUR,
    GREEN,
    GREY,
    INDIGO,
    LINK_COLOUR,
    SKY,
    TEXT_IN,
    VERMILLION,
    label,
    log_x,
)

PLAYER = "player"
"""Decides a first chunk whose level is fixed; that is no decision."""

DECIDERS = {"policy": GREY, "llm": INDIGO, "light": SKY, FALLBACK: VERMILLION, PLAYER: LINK_COLOUR}
"""Who may decide, and the colours of their shares; others share one."""
OTHER_COLOUR = GREEN

SHORTEST_MS = 1e-3
"""Where the axis of times begins: a clock tells no less."""

REASONS = 5
"""Of a fallback, so many are named."""


@dataclass(frozen=True)
class Timing:
    """How long a policy's decisions took, over all sessions that count."""

    decisions: int
    p50_ms: Interval
    p99_ms: Interval


def counted_rows(rows: Iterable[SessionRow], policy: str) -> list[SessionRow]:
    """A policy's sessions that count."""
    return [row for row in rows if isinstance(row.outcome, Outcome) and row.outcome.policy == policy]


def times_ms(rows: Sequence[SessionRow]) -> NDArray[np.float64]:
    """(decisions,) of all deciders but the player; empty where no clock ran, as in a simulated session."""
    parts = [np.asarray(times) for row in rows for by, times in row.decisions_ms.items() if by != PLAYER]
    every = np.concatenate(parts) if parts else np.empty(0)
    return every if every.any() else np.empty(0)


def timing(rows: Sequence[SessionRow], rule: ClusterRule) -> Timing | None:
    """Median and 99th percentile over all decisions, with intervals over traces; None where no clock ran."""
    every = times_ms(rows)
    if not len(every):
        return None
    clusters: list[str] = []
    for row in rows:
        assert isinstance(row.outcome, Outcome)
        count = sum(len(times) for by, times in row.decisions_ms.items() if by != PLAYER)
        clusters += [rule.key(row.outcome.case.trace)] * count
    p50, p99 = quantile_intervals(every.tolist(), clusters, (0.5, 0.99))
    return Timing(len(every), p50, p99)


def decided_by(rows: Sequence[SessionRow]) -> Counter[str]:
    """How many chunks each decider chose."""
    found: Counter[str] = Counter()
    for row in rows:
        found.update({by: len(times) for by, times in row.decisions_ms.items()})
    return found


def deciders_table(study: Study) -> Table:
    """Chunks by who decided them, and how long each decider took, policy by policy."""
    there = {by for row in study.rows for by in row.decisions_ms}
    every = [*(by for by in DECIDERS if by in there), *sorted(there - set(DECIDERS))]
    timed = any(len(times_ms(counted_rows(study.rows, policy))) for policy in study.policies)
    columns = [Column("policy", ("policy",), LEFT), Column("sessions", ("sessions",))]
    columns += [Column(f"by {by}", (f"chunks_by_{by}",)) for by in every]
    if timed:
        columns += [
            Column(f"{by}: p50 / p99 ms", (f"{by}_p50_ms", f"{by}_p99_ms")) for by in every if by != PLAYER
        ]
    rows = []
    for policy in study.policies:
        mine = counted_rows(study.rows, policy)
        shares, total = decided_by(mine), sum(decided_by(mine).values())
        cells = [word(policy), number(len(mine), "d")]
        cells += [_share(shares[by], total) for by in every]
        if timed:
            cells += [_both(mine, by) for by in every if by != PLAYER]
        rows.append(tuple(cells))
    caption = (
        f"Who decided: chunks of the sessions that count{_everywhere(study)}, first chunks included"
        " (those with a fixed level are the player's)."
    )
    if timed:
        caption += " Times are pooled over all chunks that the decider chose."
    else:
        caption += " Decisions took no time here: the simulated player does not run a clock."
    return Table("deciders", caption, tuple(columns), (RowGroup(None, tuple(rows)),), wide=True)


def _everywhere(study: Study) -> str:
    """That a row is over several settings or points."""
    return f", all {study.place}s together" if len(study.conditions) > 1 else ""


def _share(count: int, total: int) -> Cell:
    if not count:
        return Cell("0", (0,))
    return Cell(f"{count:d}", (count,), small=f"{shown(100 * count / total, '.1f')} %")


def _both(rows: Sequence[SessionRow], by: str) -> Cell:
    parts = [np.asarray(row.decisions_ms[by]) for row in rows if by in row.decisions_ms]
    if not parts or not np.concatenate(parts).any():
        return Cell("–", (None, None))
    p50, p99 = np.quantile(np.concatenate(parts), [0.5, 0.99])
    return Cell(f"{milliseconds(p50)} / {milliseconds(p99)}", (float(p50), float(p99)))


def milliseconds(value: float) -> str:
    """Three figures that matter."""
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def fallback_table(study: Study) -> Table | None:
    """Why the fallback decided; None where it never did."""
    rows = []
    for policy in study.policies:
        mine = counted_rows(study.rows, policy)
        reasons: Counter[str] = Counter()
        for row in mine:
            reasons.update(row.fallback_reasons)
        for reason, count in reasons.most_common(REASONS):
            sessions = sum(reason in row.fallback_reasons for row in mine)
            rows.append((word(policy), number(count, "d"), number(sessions, "d"), word(reason)))
        left = sum(count for _, count in reasons.most_common()[REASONS:])
        if left:
            rows.append((word(policy), number(left, "d"), number(None), word("other reasons")))
    if not rows:
        return None
    columns = (
        Column("policy", ("policy",), LEFT),
        Column("chunks", ("chunks",)),
        Column("sessions", ("sessions",)),
        Column("why the fallback decided", ("reason",), LEFT),
    )
    return Table(
        "fallback", "Decisions that the fallback made, by reason.", columns, (RowGroup(None, tuple(rows)),)
    )


def draw_deciding(study: Study) -> Figure | None:
    """Times of decisions (those that were timed), and shares of deciders; None where there is nothing to see.

    To be called within `matplotlib.rc_context(style.RC)`.
    """
    rows = {policy: counted_rows(study.rows, policy) for policy in study.policies}
    times = {policy: found for policy, mine in rows.items() if len(found := times_ms(mine))}
    shares = {policy: decided_by(mine) for policy, mine in rows.items() if mine}
    divided = any(len(set(found) - {PLAYER}) > 1 for found in shares.values())
    if not times and not divided:
        return None
    height_in = max(2.4, 0.9 + 0.17 * len(shares))
    figure = Figure(figsize=(TEXT_IN, height_in), layout="constrained")
    axes = figure.subplots(1, 2 if times and divided else 1, squeeze=False)[0]
    if times:
        _draw_times(axes[0], times)
    if divided:
        _draw_shares(axes[-1], shares)
    return figure


def _draw_times(axis: Axes, times: dict[str, NDArray[np.float64]]) -> None:
    for policy, every in times.items():
        ordered = np.maximum(np.sort(every), SHORTEST_MS)
        places = np.unique(np.linspace(0, len(ordered) - 1, 400).round().astype(int))
        axis.step(
            ordered[places], (places + 1) / len(ordered), where="post", **line(policy), label=label(policy)
        )
    log_x(axis)
    axis.set_ylim(0, 1.01)
    axis.set_xlabel("time of a decision (ms)")
    axis.set_ylabel("share of decisions")
    axis.grid(color=FAINT_COLOUR, linewidth=0.3)
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2)


def _draw_shares(axis: Axes, shares: dict[str, Counter[str]]) -> None:
    there = {by for found in shares.values() for by in found}
    order = [*(by for by in DECIDERS if by in there), *sorted(there - set(DECIDERS))]
    for row, found in enumerate(shares.values()):
        begin = 0.0
        for by in order:
            width = found[by] / max(sum(found.values()), 1)
            axis.barh(row, width, left=begin, height=0.65, color=DECIDERS.get(by, OTHER_COLOUR), linewidth=0)
            begin += width
    axis.set_yticks(range(len(shares)), [label(policy) for policy in shares])
    axis.set_ylim(len(shares) - 0.4, -0.6)
    axis.set_xlim(0, 1)
    axis.set_xlabel("share of chunks")
    axis.tick_params(axis="y", length=0)
    handles = [Patch(color=DECIDERS.get(by, OTHER_COLOUR), label=by) for by in order]
    axis.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=len(order), borderaxespad=0.2
    )


def decisions(study: Study) -> Section:
    """Who decided, and how fast."""
    count = sum(len(times) for row in study.rows for times in row.decisions_ms.values())
    blocks = drawn(
        "decisions",
        lambda: draw_deciding(study),
        "Time of decisions, where a clock ran, and who decided, where more than one did; chunks of all"
        " sessions that"
        f" count ({count:,} chunks).",
        "Distribution of decision times by policy, and shares of chunks by who decided; the table has"
        " the numbers.",
    )
    blocks.append(deciders_table(study))
    fallback = fallback_table(study)
    blocks.append(fallback if fallback is not None else Paragraph("The fallback decided nothing."))
    return Section("decisions", "Decisions: how long, and by whom", tuple(blocks))

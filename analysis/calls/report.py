"""The report of calls: the tables of `compare`, the plane, and one case over time, as a page and as files."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analysis.bootstrap import CONFIDENCE
from analysis.calls.comparison import CallComparison, CallMeans, CallPair, compare_calls, means_of
from analysis.calls.measures import BITRATE, LINK_SHARE, MEASURES, STALL
from analysis.calls.outcomes import CallOutcome, CallSession, FoundCalls
from analysis.calls.plane import draw_plane
from analysis.calls.repeat import missing_calls, repeating_calls
from analysis.calls.said import head_lines, notes
from analysis.calls.timeline import MOST_COLUMNS, draw_calls
from analysis.calls.written import as_json
from analysis.cases.case import Case
from analysis.clusters import ClusterRule
from analysis.compare import cells, common_cases
from analysis.report.files import Folder
from analysis.report.page import FIGURES, TABLES, Page, to_html
from analysis.report.parts.blocks import Block, Bullets, Paragraph, Section, drawn
from analysis.report.parts.pictures import written_as
from analysis.report.parts.planned import STATUSES, Sweep, read_sweep
from analysis.report.parts.table_rendering import (
    LEFT,
    Column,
    RowGroup,
    Table,
    number,
    to_csv,
    to_latex,
    with_interval,
    word,
)
from analysis.style import in_order
from analysis.together.section import together_section
from player.call.record import read_call
from traces.words import counted

PAGE, FACTS = "index.html", "report.json"
BASELINE = "gcc"
"""With whom calls are compared where nobody says else: what browsers run."""


def report_calls(
    found: FoundCalls, args: argparse.Namespace, rule: ClusterRule, comparable: bool
) -> dict[str, Any]:
    """Write the report; its facts.

    Args:
        comparable: whether two policies have a case in common.

    Raises:
        AnalysisError: a baseline that is not there.
        OSError: a file cannot be read or written.
    """
    place: Path = args.results[0]
    sweep = read_sweep(place) if place.is_dir() else None
    planned = sweep.baseline if sweep and sweep.baseline in found.policies else None
    baseline = args.baseline or planned or (BASELINE if BASELINE in found.policies else None)
    compared = compare_calls(found, baseline=baseline, rule=rule) if comparable else None
    out = args.out or (place if place.is_dir() else place.parent) / "report"
    with written_as(args.format):
        page = _page(found, compared, rule, args, sweep)
    folder = Folder(out, named=args.out is not None)
    for picture in page.pictures:
        for kind in page.formats:
            folder.write(f"{FIGURES}/{picture.name}.{kind}", picture.files[kind])
    for table in page.tables:
        folder.write(f"{TABLES}/{table.name}.csv", to_csv(table))
        folder.write(f"{TABLES}/{table.name}.tex", to_latex(table))
    folder.write(PAGE, to_html(page))
    facts = {
        "out": str(out),
        "page": str(out / PAGE),
        "title": page.title,
        "compared": None if compared is None else as_json(compared),
        "planned": None if sweep is None else {status: sweep.count(status) for status in STATUSES},
        "files": folder.files,
    }
    folder.finish(FACTS, json.dumps(facts, indent=2, allow_nan=False) + "\n")
    return facts


def _page(
    found: FoundCalls,
    compared: CallComparison | None,
    rule: ClusterRule,
    args: argparse.Namespace,
    sweep: Sweep | None,
) -> Page:
    means, place = means_of(found, rule), args.results[0]
    sections = [Section("results", "Results", tuple(_results(found, compared, means)))]
    shared = together_section([one.record for one in found.counted], rule)
    sections += [shared] if shared else []
    sections.append(Section("time", "One case over time", tuple(_over_time(found))))
    command = ["python", "-m", "analysis", "report", str(place), *_options(args)]
    sections += [missing_calls(found, sweep), repeating_calls(found, sweep, command)]
    return Page(
        title=(sweep.name if sweep else "") or (place if place.is_dir() else place.parent).absolute().name,
        question=sweep.question if sweep else "",
        facts=(
            ("Calls that count", f"{len(found.counted):,}"),
            ("Policies", str(len(found.policies))),
            ("Traces", rule.counted(found.traces)),
            ("QoE", found.qoe.in_words),
        ),
        formats=args.format,
        sections=tuple(sections),
        made=f"Made by Streambed on {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}.",
    )


def _options(args: argparse.Namespace) -> list[str]:
    """What was asked for besides."""
    words = [word for policy in args.policy for word in ("--policy", policy)]
    words += ["--interrupted"] if args.interrupted else []
    for name in ("baseline", "cluster", "qoe", "stall_weight", "delay_weight", "out"):
        if getattr(args, name) is not None:
            words += [f"--{name.replace('_', '-')}", str(getattr(args, name))]
    return words


def _results(found: FoundCalls, compared: CallComparison | None, means: Sequence[CallMeans]) -> list[Block]:
    blocks: list[Block] = []
    pairs = [pair for group in compared.groups for pair in group.pairs] if compared else []
    if pairs:
        blocks.append(Bullets(tuple((f"{pair.verdict}: ", f"{pair.words}.") for pair in pairs)))
    if means:
        blocks.append(_means_table(means))
        caption = (
            f"Mean bitrate and stall ratio of {counted(len(means), 'policy', 'policies')} over the"
            f" {counted(means[0].cases, 'case')} that all have. Better is up and to the right; whiskers are"
            f" {CONFIDENCE:.0%} intervals over traces."
        )
        alt = "; ".join(
            f"{one.policy} {one.intervals[BITRATE].mean:.3f} Mbit/s, {100 * one.intervals[STALL].mean:.2f} %"
            for one in means
        )
        blocks += drawn("plane", lambda: draw_plane(found, means), caption, alt)
    if pairs:
        blocks.append(_pairs_table(pairs))
    if compared:
        blocks += [Paragraph(line) for line in (*head_lines(compared), *notes(compared))]
    return blocks


def _means_table(means: Sequence[CallMeans]) -> Table:
    columns = [Column("policy", ("policy",), LEFT)]
    for one in MEASURES:
        columns.append(Column(f"{one.title}{one.unit}", (one.name, f"{one.name}_low", f"{one.name}_high")))
    columns += [Column("link used %", ("link_share",)), Column("calls", ("calls",))]
    rows = []
    for mean in means:
        share = mean.figures.link_share
        rows.append(
            (
                word(mean.policy),
                *(with_interval(mean.intervals[one.name], one.form, one.scale) for one in MEASURES),
                number(None if share is None else LINK_SHARE.scale * share, LINK_SHARE.form),
                number(mean.calls, "d"),
            )
        )
    caption = (
        f"Means over the {counted(means[0].cases, 'case')} that all policies have, with {CONFIDENCE:.0%}"
        " intervals over traces. Frame delays are from capture to the moment when the frame was seen."
    )
    return Table("calls", caption, tuple(columns), (RowGroup(None, tuple(rows)),), wide=True)


def _pairs_table(pairs: Sequence[CallPair]) -> Table:
    columns = [
        Column("policy", ("policy",), LEFT),
        Column("minus", ("baseline",), LEFT),
        Column("verdict", ("verdict",), LEFT),
    ]
    for one in MEASURES:
        unit = ", % points" if one.unit else ""
        names = tuple(f"{one.name}_difference{end}" for end in ("", "_low", "_high"))
        columns.append(Column(f"{one.title}{unit}", names))
    columns.append(Column("pairs", ("pairs",)))
    rows = tuple(
        (
            word(pair.policy),
            word(pair.baseline),
            word(pair.verdict, pair.verdict),
            *(with_interval(pair.intervals[one.name], f"+{one.form}", one.scale) for one in MEASURES),
            number(pair.cases, "d"),
        )
        for pair in pairs
    )
    caption = f"Differences over the pairs of calls, with {CONFIDENCE:.0%} intervals over traces."
    return Table("differences", caption, tuple(columns), (RowGroup(None, rows),), wide=True)


def _over_time(found: FoundCalls) -> list[Block]:
    """The case in the middle by its policies' mean QoE, so that it is neither picked nor extreme."""
    every = cells(found)
    common = common_cases(every)
    if not common:
        return [Paragraph("No case is common to all policies.")]
    ranked = sorted(
        common, key=lambda case: (sum(mine[case].qoe for mine in every.values()), case.trace, case.seed or 0)
    )
    middle = ranked[len(ranked) // 2]
    calls = _calls_of(found, middle)
    caption = (
        f"{middle}: the case in the middle of {len(ranked)} by the mean QoE of all policies"
        f"{'' if len(every) <= MOST_COLUMNS * 2 else '; the first six of them'}."
    )
    alt = f"Rate set, rate that came, queue and frame delays, frames seen of {len(calls)} calls"
    return drawn("timeline", lambda: draw_calls(calls), caption, alt)


def _calls_of(found: FoundCalls, case: Case) -> list[CallSession]:
    """A call of each policy in this case."""
    first: dict[str, CallOutcome] = {}
    for one in found.counted:
        if one.case == case:
            first.setdefault(one.policy, one)
    names = in_order(first)[: MOST_COLUMNS * 2]
    return [CallSession(read_call(Path(os.fspath(first[name].record)))) for name in names]

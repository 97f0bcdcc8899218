"""The report of jobs or viewports: means, pairs and boxes by setting, and by video, viewer and horizon."""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from analysis.report.files import Folder
from analysis.report.page import FIGURES, TABLES, Page, to_html
from analysis.report.parts.blocks import Block, Bullets, Paragraph, Section, drawn
from analysis.report.parts.pictures import written_as
from analysis.report.parts.table_rendering import to_csv, to_latex
from analysis.sessions import AnalysisError
from analysis.tasks.boxes import boxes_caption, draw_boxes
from analysis.tasks.figures import TaskFigures
from analysis.tasks.groups import HORIZON, JOIN, SETTING, Group, groups_of
from analysis.tasks.made import missing, repeating
from analysis.tasks.means import means_of
from analysis.tasks.pairs import TaskPair, pair_json, pairs_of
from analysis.tasks.read import TaskCase
from analysis.tasks.report_tables import means_table, paired_table
from traces.words import meant

PAGE, FACTS = "index.html", "report.json"
Paired = tuple[str, list[TaskPair]]
"""What pairs are over, and they."""


def report_task(figures: TaskFigures, cases: Sequence[TaskCase], args: argparse.Namespace) -> dict[str, Any]:
    """Write the report; its facts.

    Raises:
        AnalysisError: a baseline that is not there, a cluster or a setting that is none.
        OSError: a file cannot be read or written.
    """
    baseline = _baseline(figures, cases, args.baseline)
    groups = groups_of(figures, cases, SETTING, args.cluster, args.seen)
    paired = list(_paired(figures, groups, baseline))
    place: Path = args.results[0]
    out = args.out or (place if place.is_dir() else place.parent) / "report"
    with written_as(args.format):
        page = _page(figures, cases, groups, paired, baseline, args)
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
        "task": figures.records.task,
        "baseline": baseline,
        "settings": [{"setting": group.title, "seen": group.seen} for group in groups],
        "pairs": [pair_json(figures, pair) | {"over": over} for over, pairs in paired for pair in pairs],
        "files": folder.files,
    }
    folder.finish(FACTS, json.dumps(facts, indent=2, allow_nan=False) + "\n")
    return facts


def _baseline(figures: TaskFigures, cases: Sequence[TaskCase], asked: str | None) -> str | None:
    """With whom all are compared; None: each with each.

    Raises:
        AnalysisError: one that is not there.
    """
    policies = {case.policy for case in cases}
    if asked is not None and asked not in policies:
        there = ", ".join(sorted(policies))
        raise AnalysisError(f"--baseline {asked}{meant(asked, policies)}: there are {there}")
    return asked or (figures.baseline if figures.baseline in policies else None)


def _paired(figures: TaskFigures, groups: Sequence[Group], baseline: str | None) -> Iterator[Paired]:
    """Of each group that has pairs."""
    for group in groups:
        with contextlib.suppress(AnalysisError):  # one policy alone, or nothing in common
            yield group.shown, pairs_of(figures, group, baseline)


def _page(
    figures: TaskFigures,
    cases: Sequence[TaskCase],
    groups: Sequence[Group],
    paired: Sequence[Paired],
    baseline: str | None,
    args: argparse.Namespace,
) -> Page:
    place: Path = args.results[0]
    words = ["python", "-m", "analysis", "report", *map(str, args.results), *_options(args)]
    sections = [
        Section("results", "Results", tuple(_results(figures, groups, paired, baseline))),
        *_by_parts(figures, groups, baseline, args),
        missing(figures, cases),
        repeating(figures, cases, words),
    ]
    policies = dict.fromkeys(case.policy for case in cases)
    return Page(
        title=(place if place.is_dir() else place.parent).absolute().name,
        question="",
        facts=(
            ("Records", f"{len(cases):,}"),
            ("Policies", str(len(policies))),
            (figures.points.capitalize(), f"{_most_points(cases):,}"),
            ("Settings", str(len(groups))),
        ),
        formats=args.format,
        sections=tuple(sections),
        made=f"Made by Streambed on {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}.",
    )


def _most_points(cases: Sequence[TaskCase]) -> int:
    counts: dict[str, int] = {}
    for case in cases:
        counts[case.policy] = counts.get(case.policy, 0) + len(case.points)
    return max(counts.values())


def _results(
    figures: TaskFigures, groups: Sequence[Group], paired: Sequence[Paired], baseline: str | None
) -> Iterator[Block]:
    if verdicts := [(over, pair) for over, pairs in paired for pair in pairs]:
        yield Bullets(tuple((f"{pair.verdict}: ", _sentence(pair, over)) for over, pair in verdicts))
    yield means_table(
        figures, [(group.shown, means_of(figures, group.cases, group.by[0])) for group in groups]
    )
    yield from drawn(
        "boxes",
        lambda: draw_boxes(figures, groups, baseline),
        boxes_caption(figures, groups, baseline),
        f"Box plots of {figures.first.heading} by policy and setting; the table above has the means.",
    )
    if paired:
        yield paired_table("pairs", figures, paired)
    if len(groups) > 1 and all(group.seen is None for group in groups):
        yield Paragraph("Nobody said in which of these settings policies have learned; --seen names them.")


def _sentence(pair: TaskPair, over: str) -> str:
    where = f"{over}: " if over else ""
    return (
        f"{where}{pair.policy} against {pair.baseline}, {pair.mean:+{pair.figure.form}} {pair.figure.heading}"
        f" ({pair.share:+.1%})."
    )


def _by_parts(
    figures: TaskFigures, groups: Sequence[Group], baseline: str | None, args: argparse.Namespace
) -> Iterator[Section]:
    """A section for what else cases are parted by; a setting's parts stand together."""
    for by in (*figures.parts, *((HORIZON,) if figures.horizons else ())):
        if by == args.cluster:
            continue
        parts = [
            replace(part, title=_within(group.title, part.title))
            for group in groups
            for part in groups_of(figures, group.cases, by, args.cluster)
        ]
        blocks: list[Block] = []
        if by == HORIZON:
            blocks += drawn(
                f"by-{by}",
                lambda parts=parts: draw_boxes(figures, parts, baseline),  # type: ignore[misc]
                boxes_caption(figures, parts, baseline),
                "Box plots by policy, further and further ahead.",
            )
        if pairs := list(_paired(figures, parts, baseline)):
            blocks.append(paired_table(f"pairs-by-{by}", figures, pairs))
        if blocks:
            yield Section(f"by-{by}", f"By {by}", tuple(blocks))


def _within(setting: str, part: str) -> str:
    """The title of a setting's part; a video of a family or folder is named after it."""
    return part if not setting or part.startswith(f"{setting}/") else f"{setting}{JOIN}{part}"


def _options(args: argparse.Namespace) -> list[str]:
    """What was asked for besides."""
    words = [word for policy in args.policy for word in ("--policy", policy)]
    words += [word for said in args.seen for word in ("--seen", said)]
    for name in ("baseline", "cluster", "out"):
        if getattr(args, name) is not None:
            words += [f"--{name}", str(getattr(args, name))]
    return words

"""`python -m analysis report`: from a folder of records to a page, figures and tables."""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from analysis.clusters import ClusterRule
from analysis.knowable.bound_file import read_bounds
from analysis.options import BASELINE, scoring_of
from analysis.outcomes import Outcome
from analysis.reading import WORTH_PROCESSES, each, processes_here
from analysis.report.files import Folder
from analysis.report.page import FIGURES, TABLES, Page, to_html
from analysis.report.parts.pictures import written_as
from analysis.report.parts.planned import MISSING, STATUSES, Sweep, read_sweep
from analysis.report.parts.session_rows import SessionRow, Unreadable, row_of
from analysis.report.parts.study import Study, study_of
from analysis.report.parts.table_rendering import to_csv, to_latex
from analysis.report.real_only import policies_of, real_facts, real_page
from analysis.report.section_order import in_order
from analysis.report.sections import extremes
from analysis.report.sections.knowable import bound_json, with_bounds, without_bound
from analysis.report.sections.missing import state_sentence
from analysis.report.sections.real import RealSessions, real_sessions
from analysis.report.sections.repeat import checksums
from analysis.report.sections.setting import facts
from analysis.sessions import (
    NOT_ALL,
    AnalysisError,
    each_once,
    record_files,
    refuse_other_schemas,
    refuse_unknown,
)
from analysis.style import USUAL_FORMATS
from player.qoe import Scoring, scored_json
from traces.bound_processes import worker_pool
from traces.commands import next_step, tell_line
from traces.words import counted

PAGE, FACTS, CHECKSUMS = "index.html", "report.json", "records.sha256"
WORTH_DRAWING_APART = 4
"""Fewer timelines are drawn before a second process has started."""


def report(args: argparse.Namespace) -> int:
    """Make the report; returns the exit status.

    Raises:
        AnalysisError: what is wrong and the way out.
        OSError: a file cannot be read or written.
    """
    begun = time.monotonic()
    if args.jobs is not None and args.jobs < 1:
        raise AnalysisError(f"--jobs {args.jobs}: must be 1 or more")
    jobs = min(args.jobs or processes_here(), processes_here())  # more only cost memory: each draws pictures
    paths, copies = each_once(record_files([args.results]))
    sweep = read_sweep(args.results) if args.results.is_dir() else None
    scoring = _scoring(args, sweep)
    rule = _rule(args)
    bounds = () if args.bound is None else read_bounds(args.bound)
    out = args.out or (args.results if args.results.is_dir() else args.results.parent) / "report"
    with ExitStack() as stack:
        pool = stack.enter_context(worker_pool(jobs)) if jobs > 1 else None
        read = partial(row_of, scoring=scoring, interrupted=args.interrupted)
        rows, unreadable = _read(paths, read, pool if len(paths) >= WORTH_PROCESSES else None)
        unreadable += [Unreadable(str(path), fault.removeprefix(f"{path}: ")) for path, fault in copies]
        chosen = _chosen(rows, args.policy, sweep)
        baseline = args.baseline or (sweep.baseline if sweep and sweep.baseline else BASELINE)
        real = real_sessions(chosen, scoring, baseline, interrupted=args.interrupted)
        if real is not None and not any(isinstance(row.outcome, Outcome) for row in chosen):
            return _report_real(real, chosen, unreadable, out, args)
        study = study_of(
            chosen,
            unreadable,
            scoring,
            sweep=sweep,
            baseline=baseline,
            baseline_asked=args.baseline is not None,
            rule=rule,
        )
        study = with_bounds(study, bounds)
        page = _page(study, _command(args), pool, args.format, real)
    found = _write(study.rows, page, out, partial(_facts, study, page), named=args.out is not None)
    spent = _spent(begun, jobs)
    if args.json:
        print(json.dumps({**found, **spent}, allow_nan=False))
    else:
        _say(study, found, spent)
    return NOT_ALL if unreadable else 0


def _report_real(
    real: RealSessions,
    rows: Sequence[SessionRow],
    unreadable: Sequence[Unreadable],
    out: Path,
    args: argparse.Namespace,
) -> int:
    """The report where all that counts ran over a real network; the exit status."""
    policies = policies_of(real, args.baseline)
    page = real_page(
        real, rows, unreadable, _command(args), title=_title(rows), formats=args.format, made=_made()
    )
    found = _write(
        rows, page, out, lambda: real_facts(real, page, rows, unreadable), named=args.out is not None
    )
    if args.json:
        print(json.dumps(found, allow_nan=False))
    else:
        for one in unreadable:
            tell_line(f"left out: {one.path}: {one.reason}")
        counts = f"{counted(found['sessions'], 'session')}, {counted(len(policies), 'policy', 'policies')}"
        tell_line(f"{counts}, over a real network and unpaired: {os.fspath(found['page'])}")
        print(next_step("-m", "webbrowser", os.fspath(found["page"])))
    return NOT_ALL if unreadable else 0


def _spent(begun: float, jobs: int) -> dict[str, float]:
    """Of time and memory."""
    return {
        "seconds": round(time.monotonic() - begun, 2),
        "cpu_seconds": _cpu_seconds(),
        "peak_memory_mb": _peak_memory_mb(jobs),
    }


def _write(
    rows: Sequence[SessionRow], page: Page, out: Path, facts_of: Callable[[], dict[str, Any]], *, named: bool
) -> dict[str, Any]:
    """Write all files of the report, the facts last; the facts.

    Raises:
        OSError: a file cannot be written.
    """
    folder = Folder(out, named=named)
    for picture in page.pictures:
        for kind in page.formats:
            folder.write(f"{FIGURES}/{picture.name}.{kind}", picture.files[kind])
    folder.write(CHECKSUMS, checksums(rows, out))
    for table in page.tables:
        folder.write(f"{TABLES}/{table.name}.csv", to_csv(table))
        folder.write(f"{TABLES}/{table.name}.tex", to_latex(table))
    folder.write(PAGE, to_html(page))
    found = {"out": str(out), "page": str(out / PAGE), **facts_of(), "files": folder.files}
    folder.finish(FACTS, json.dumps(found, indent=2, allow_nan=False) + "\n")
    return found


def _scoring(args: argparse.Namespace, sweep: Sweep | None) -> Scoring:
    """What is asked for, else what the sweep asked for."""
    theirs = sweep.scoring if sweep else None
    asked = (args.qoe, args.mu, args.smooth, args.quality, args.viewing)
    if theirs is not None and all(one is None for one in asked):
        return theirs
    return scoring_of(args, args.qoe or (theirs.kind if theirs else "linear"))


def _rule(args: argparse.Namespace) -> ClusterRule:
    try:
        return ClusterRule(args.cluster)
    except ValueError as error:
        raise AnalysisError(str(error)) from None


def _read(
    paths: Sequence[Path],
    read: Callable[[Path], SessionRow | Unreadable],
    pool: ProcessPoolExecutor | None,
) -> tuple[list[SessionRow], list[Unreadable]]:
    rows: list[SessionRow] = []
    unreadable: list[Unreadable] = []
    for found in each(read, paths, pool):
        if isinstance(found, SessionRow):
            rows.append(found)
        else:
            unreadable.append(found)
    refuse_other_schemas([(Path(one.path), one.reason) for one in unreadable], len(paths))
    return rows, unreadable


def _chosen(rows: Sequence[SessionRow], policies: Sequence[str], sweep: Sweep | None) -> list[SessionRow]:
    """The rows of these policies, or of all, in the sweep's order of policies."""
    there = dict.fromkeys(row.outcome.policy for row in rows)
    refuse_unknown(policies, list(there))
    order = [one.label for one in sweep.policies] if sweep else []
    place = {policy: order.index(policy) if policy in order else len(order) for policy in there}
    wanted = [row for row in rows if not policies or row.outcome.policy in policies]
    return sorted(wanted, key=lambda row: place[row.outcome.policy])


def _page(
    study: Study,
    command: Sequence[str],
    pool: ProcessPoolExecutor | None,
    formats: tuple[str, ...],
    real: RealSessions | None,
) -> Page:
    """Draw everything, and put the page together."""
    lines = extremes.timelines(study)
    apart = pool if len(lines) >= WORTH_DRAWING_APART else None
    draw = partial(extremes.draw, formats=formats)
    drawn = map(draw, lines) if apart is None else apart.map(draw, lines)
    with written_as(formats):
        sections = in_order(study, drawn, command, CHECKSUMS, real)
    return Page(
        title=(study.sweep.name if study.sweep else "") or _title(study.rows),
        question=study.sweep.question if study.sweep else "",
        facts=facts(study),
        formats=formats,
        sections=sections,
        made=_made(),
    )


def _made() -> str:
    return f"Made by Streambed {_version()} on {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}."


def _title(rows: Sequence[SessionRow]) -> str:
    """The folder's name."""
    return Path(rows[0].path).absolute().parent.name


def _command(args: argparse.Namespace) -> list[str]:
    """What was typed, with nothing that a default would have given."""
    words = ["python", "-m", "analysis", "report", str(args.results)]
    for policy in args.policy:
        words += ["--policy", policy]
    if args.interrupted:
        words.append("--interrupted")
    if args.format != USUAL_FORMATS:
        words += ["--format", ",".join(args.format)]
    for name in ("baseline", "bound", "cluster", "qoe", "mu", "smooth", "out"):
        if getattr(args, name) is not None:
            words += [f"--{name}", str(getattr(args, name))]
    return words


def _version() -> str:
    try:
        return version("streambed")
    except PackageNotFoundError:
        return "of an unknown version"


def _facts(study: Study, page: Page) -> dict[str, Any]:
    """The object of `--json`, which also lies beside the page."""
    sweep = study.sweep
    return {
        "title": page.title,
        "qoe": scored_json(study.outcomes.scored),
        "baseline": study.baseline,
        "clusters": str(study.rule),
        "policies": study.policies,
        "sessions": len(study.outcomes.counted),
        "records": len(study.rows) + len(study.unreadable),
        "invalid": len(study.outcomes.invalid),
        "unfinished": len(study.outcomes.unfinished),
        "unreadable": [asdict(one) for one in study.unreadable],
        "settings": [
            {
                "setting": one.name,
                "group": one.group,
                "axis": dict(one.axis),
                "seen": one.seen,
                "stress": one.stress,
                "traces": one.traces,
                "sessions": len(one.outcomes.counted),
                "verdicts": {policy: pair.verdict for policy, pair in one.pairs.items()},
                "bound": bound_json(study, one),
            }
            for one in study.conditions
        ],
        "planned": None if sweep is None else {status: sweep.count(status) for status in STATUSES},
        "complete": None if sweep is None else sweep.complete and not sweep.count(MISSING),
    }


def _cpu_seconds() -> float:
    """Of this process and those that it started, which are more than one at a time."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return round(sum(one.ru_utime + one.ru_stime for one in spent), 2)


def _peak_memory_mb(jobs: int) -> int:
    """At most so much at once: this process's peak, and the largest other one's as often as there are."""
    unit = 1024 if sys.platform == "linux" else 1024 * 1024
    mine = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    others = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss if jobs > 1 else 0
    return round((mine + jobs * others) / unit)


def _say(study: Study, found: dict[str, Any], spent: dict[str, Any]) -> None:
    tell_line(state_sentence(study))
    for what in ("invalid", "unfinished"):
        if found[what]:
            print(f"{what}: {counted(found[what], 'session')}")
    for one in study.unreadable:
        tell_line(f"left out: {one.path}: {one.reason}")
    for why in without_bound(study):
        tell_line(f"no bound drawn: {why}")
    settings = counted(study.settings, "setting") + (f" at {study.points} points" if study.points else "")
    tell_line(
        f"{counted(found['sessions'], 'session')}, {counted(len(found['policies']), 'policy', 'policies')},"
        f" {settings};"
        f" {spent['seconds']} s, {spent['peak_memory_mb']} MB of memory: {os.fspath(found['page'])}"
    )
    print(next_step("-m", "webbrowser", os.fspath(found["page"])))

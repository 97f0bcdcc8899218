"""The commands of `python -m analysis` where the records are of jobs or viewports."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from analysis.sessions import AnalysisError, tell_next, tell_unreadable
from analysis.style import RC, save
from analysis.tables.table_file import write_table
from analysis.tasks.figures import EVERY, TaskFigures
from analysis.tasks.groups import SETTING, Group, groups_of
from analysis.tasks.means import as_json, mean_json, means_of, table
from analysis.tasks.pairs import TaskPair, pair_json, pairs_of, pairs_table
from analysis.tasks.read import TaskCase, read_cases
from analysis.tasks.written import PAIR_COLUMNS, pair_rows
from traces.commands import PIPE_COLUMNS, tell_line
from traces.console import VisibleConsole
from traces.words import counted

BOX = "box"
OF_OTHERS = {
    "interrupted": "an episode that was cut short has no job time",
    "bound": "it is of videos",
    "mu": "it weighs videos",
    "smooth": "it weighs videos",
    "quality": "it is of videos",
    "stall_weight": "it weighs calls",
    "delay_weight": "it weighs calls",
}
"""Options that these records have no use for, and why."""


def command_of(task: str, name: str) -> Callable[[argparse.Namespace], int]:
    """The command of this name for a task.

    Raises:
        AnalysisError: there is none.
    """
    figures = EVERY[task]
    if name not in COMMANDS:
        known = ", ".join(COMMANDS)
        raise AnalysisError(
            f"{name}: these records are of {figures.records.task}, for which there is {known}"
        )
    return lambda args: COMMANDS[name](figures, args)


def _refuse_others(figures: TaskFigures, args: argparse.Namespace) -> None:
    """Raises AnalysisError for an option that means nothing here."""
    for name, why in OF_OTHERS.items():
        if getattr(args, name, None) not in (None, False):
            option = f"--{name.replace('_', '-')}"
            raise AnalysisError(f"{option}: these records are of {figures.records.task}; {why}")


def _read(figures: TaskFigures, args: argparse.Namespace, by: str | None) -> tuple[list[TaskCase], int]:
    """The cases, and the exit status that damaged records are worth."""
    _refuse_others(figures, args)
    cases, faults = read_cases(figures, args.results, args.policy, mixed=by == SETTING)
    return cases, tell_unreadable(faults)


def _compare(figures: TaskFigures, args: argparse.Namespace) -> int:
    cases, status = _read(figures, args, args.by)
    groups = groups_of(figures, cases, args.by, args.cluster)
    pairs = _pairs(figures, groups, args.baseline)
    written = _written(figures, groups, pairs, args.csv)
    if args.json:
        print(json.dumps(_compared_json(figures, groups, pairs, args.by) | {"tables": written}))
        return status
    console = VisibleConsole(width=None if sys.stdout.isatty() else PIPE_COLUMNS)
    for group, found in zip(groups, pairs, strict=True):
        if group.title:
            console.print()
            console.print(group.title, markup=False, highlight=False)
        console.print(table(figures, means_of(figures, group.cases, group.by[0])))
        console.print()
        if found:
            console.print(pairs_table(figures, found))
        else:
            console.print("nothing can be paired here", markup=False)
    for path in written:
        tell_line(f"differences: {path}")
    tell_next(args.results, "report")
    return status


def _pairs(figures: TaskFigures, groups: Sequence[Group], baseline: str | None) -> list[list[TaskPair]]:
    """Of each group; none where it has a policy alone.

    Raises:
        AnalysisError: nothing can be paired in any.
    """
    found: list[list[TaskPair]] = []
    faults = []
    for group in groups:
        try:
            found.append(pairs_of(figures, group, baseline))
        except AnalysisError as error:
            found.append([])
            faults.append(error)
    if not any(found):
        raise faults[0]
    return found


def _written(
    figures: TaskFigures, groups: Sequence[Group], pairs: Sequence[Sequence[TaskPair]], path: Path | None
) -> list[str]:
    """What was written for `--csv`."""
    if path is None:
        return []
    write_table(path, PAIR_COLUMNS[figures.records.task], [list(pair_rows(figures, groups, pairs))])
    return [str(path)]


def _compared_json(
    figures: TaskFigures, groups: Sequence[Group], pairs: Sequence[Sequence[TaskPair]], by: str | None
) -> dict[str, Any]:
    means = [means_of(figures, group.cases, group.by[0]) for group in groups]
    if by is None:
        return as_json(figures, means[0]) | {"pairs": [pair_json(figures, pair) for pair in pairs[0]]}
    return {
        "task": figures.records.task,
        "simulated": True,
        "by": by,
        "groups": [
            {
                by: group.title,
                "intervals_by": group.by[0],
                "policies": [mean_json(figures, one) for one in mine],
                "pairs": [pair_json(figures, pair) for pair in found],
            }
            for group, mine, found in zip(groups, means, pairs, strict=True)
        ],
    }


def _plot(figures: TaskFigures, args: argparse.Namespace) -> int:
    import matplotlib

    from analysis.tasks.boxes import draw_boxes

    if args.what != BOX:
        raise AnalysisError(f"--what {args.what}: these records are of {figures.records.task}; draw {BOX}")
    by = args.by or SETTING
    cases, status = _read(figures, args, by)
    groups = groups_of(figures, cases, by, args.cluster, args.seen)
    there = {case.policy for case in cases}
    baseline = figures.baseline if figures.baseline in there else None
    with matplotlib.rc_context(RC):
        save(draw_boxes(figures, groups, baseline), args.out)
    names = list(dict.fromkeys(case.policy for case in cases))
    if args.json:
        facts = {"what": BOX, "out": str(args.out), "task": figures.records.task, "policies": names, "by": by}
        print(json.dumps(facts | {"groups": [{by: one.title, "seen": one.seen} for one in groups]}))
        return status
    tell_line(f"{BOX} of {', '.join(names)}, {counted(len(groups), 'group')} by {by}: {args.out}")
    tell_next(args.results, "report")
    return status


def _report(figures: TaskFigures, args: argparse.Namespace) -> int:
    from analysis.tasks.report import report_task

    cases, status = _read(figures, args, SETTING)
    facts = report_task(figures, cases, args)
    if args.json:
        print(json.dumps(facts, allow_nan=False))
        return status
    tell_line(f"{counted(len(cases), 'record')} of {figures.records.task}:")
    tell_line(f"{facts['page']}")
    return status


COMMANDS: dict[str, Callable[[TaskFigures, argparse.Namespace], int]] = {
    "compare": _compare,
    "plot": _plot,
    "report": _report,
}
"""What there is for these tasks."""

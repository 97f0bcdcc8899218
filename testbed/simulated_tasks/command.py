"""Carries out `testbed/simulate.py --task jobs|viewport`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from rich.text import Text

from analysis.tasks.means import as_json, means_of, table
from analysis.tasks.read import TaskCase, case_of
from player.record import RecordError
from player.registry import PolicyError
from player.tasks.record import TaskRecord, is_of, read_task, write_task
from testbed.process.console import person_console
from testbed.process.errors import TestbedError
from testbed.process.signals import exit_status
from testbed.simulated.kept_records import as_written, first_difference
from testbed.simulated.record_names import whose
from testbed.simulated_tasks.jobs import JobsTask
from testbed.simulated_tasks.plan import CaseToPlay, TaskPlan, of_options, plan_task
from testbed.simulated_tasks.task import Task
from testbed.simulated_tasks.viewport import ViewportTask
from testbed.simulating.tasks import JOBS
from traces.commands import carried_out, next_step, tell_line
from traces.console import VisibleConsole
from traces.files import DAMAGED, put_aside
from traces.ownership import make_directory
from traces.trace import TraceError
from traces.words import counted

NOT_ALL_GOOD = 1
FALLBACK_ALONE = {"fallback"}


def simulate_task(name: str, args: argparse.Namespace, words: Sequence[str]) -> int:
    """Plan, play and report; what goes wrong is a line on stderr. Returns the exit status."""
    task: Task = JobsTask() if name == JOBS else ViewportTask()

    def work() -> int:
        plan = plan_task(task, args, words)
        return _report(plan, list(_played(plan)), args.json)

    return carried_out(
        "simulate.py",
        work,
        (TestbedError, PolicyError, TraceError, *task.errors),
        after="; nothing more was recorded",
        interrupted="interrupted; the same command with --out goes on from there",
        status_of=exit_status,
    )


def _played(plan: TaskPlan) -> Iterator[TaskCase]:
    """What came of all cases, in order; those whose records are there are not played again."""
    try:
        make_directory(plan.out)
    except OSError as error:
        raise TestbedError(f"--out {plan.out}: {error.strerror}; name a folder that can be written") from None
    progress = _Progress(len(plan.cases))
    kept = 0
    for _, of_policy in groupby(plan.cases, lambda case: case.policy):
        cases = list(of_policy)
        records = [_kept(plan, case) for case in cases]
        played = _recorded(plan, [case for case, held in zip(cases, records, strict=True) if held is None])
        for record in records:
            kept += record is not None
            yield case_of(plan.task.figures, next(played) if record is None else record)
            progress.one_more()
    if kept:
        tell_line(f"note: {kept} of {len(plan.cases)} were recorded already", sys.stderr)


def _kept(plan: TaskPlan, case: CaseToPlay) -> TaskRecord[Any] | None:
    """The case's whole record, if it is there.

    Raises:
        TestbedError: a record of the same name by other options.
        OSError: a damaged one cannot be put aside.
    """
    if not os.path.lexists(case.record):
        return None
    fault = ""
    try:
        record = read_task(case.record, plan.task.records)
        if not is_of(plan.task.records, record.manifest) or whose(case.record.name, record.manifest):
            fault = f"{case.record}: another's"
    except RecordError as error:
        fault = str(error)
    if fault:
        place = put_aside(case.record, DAMAGED)
        tell_line(
            f"note: played again, for its record is damaged: {fault}; it is {place.name} now", sys.stderr
        )
        return None
    wanted = of_options(as_written(plan.manifest_of(case)))
    if (difference := first_difference(of_options(record.manifest), wanted)) is not None:
        raise TestbedError(
            f"{case.record} is of other options: {difference}; remove it, or name another --out"
        )
    return record


def _recorded(plan: TaskPlan, cases: Sequence[CaseToPlay]) -> Iterator[TaskRecord[Any]]:
    """Play cases of one policy; each record is written, then read back."""
    if not cases:
        return
    policy = plan.policies[cases[0].policy].policy
    played = plan.task.play([case.playable for case in cases], plan.facts, policy, plan.seed)
    for case, (rows, end) in zip(cases, played, strict=True):
        write_task(case.record, plan.task.records, plan.manifest_of(case), rows, end)
        yield read_task(case.record, plan.task.records)


class _Progress:
    """How many are done: on a terminal one line that is overwritten, elsewhere nothing."""

    def __init__(self, total: int) -> None:
        self._total, self._done = total, 0
        self._terminal = VisibleConsole(stderr=True).is_terminal

    def one_more(self) -> None:
        self._done += 1
        if self._terminal:
            end = "\n" if self._done == self._total else "\r"
            print(f"played {self._done} of {self._total}", end=end, file=sys.stderr, flush=True)


def _report(plan: TaskPlan, cases: Sequence[TaskCase], as_object: bool) -> int:
    means = means_of(plan.task.figures, cases)
    for mean in means:
        if stood_in := mean.decided_by.get("fallback", 0):
            total = sum(mean.decided_by.values())
            tell_line(
                f"note: {mean.policy}: {plan.task.figures.fallback} decided {stood_in} of {total} times in"
                f" its place; the first time: {mean.because}",
                sys.stderr,
            )
        if mean.unfinished:
            tell_line(f"note: {mean.policy}: {counted(mean.unfinished, 'case')} did not finish", sys.stderr)
    if as_object:
        print(json.dumps(as_json(plan.task.figures, means) | {"out": str(plan.out)}), flush=True)
    else:
        console = person_console(sys.stdout, as_object=False)
        console.print(table(plan.task.figures, means))
        console.print(Text(f"records: {plan.out}"), soft_wrap=True)
        if len(means) > 1:
            console.print(Text(next_step("-m", "analysis", "compare", str(plan.out))), soft_wrap=True)
    alone = any(mean.decided_by and set(mean.decided_by) <= FALLBACK_ALONE for mean in means)
    return NOT_ALL_GOOD if alone else 0

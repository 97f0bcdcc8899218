"""Carries out `testbed/simulate.py --task call`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from rich.text import Text

from player.registry import PolicyError
from testbed.process.console import person_console
from testbed.process.errors import TestbedError
from testbed.process.signals import exit_status
from testbed.simulated_calls.carrying_out import LostCall, SimulatedCall, compute, kept
from testbed.simulated_calls.plan import CallsPlan, plan_calls
from testbed.simulated_calls.summary import all_good, as_json, remarks_on, table
from traces.commands import carried_out, tell_line
from traces.console import VisibleConsole
from traces.ownership import make_directory
from traces.trace import TraceError
from traces.words import counted

NOT_ALL_GOOD = 1
LINES = 10
"""Of progress on a pipe, at most."""


def simulate_calls(args: argparse.Namespace, words: Sequence[str]) -> int:
    """Plan, compute and report; what goes wrong is a line on stderr. Returns the exit status."""

    def work() -> int:
        plan = plan_calls(args, words)
        made, lost = _made(plan)
        return _report(plan, made, lost, args.json)

    return carried_out(
        "simulate.py",
        work,
        (TestbedError, PolicyError, TraceError),
        after="; nothing more was recorded",
        interrupted="interrupted; the same command with --out goes on from there",
        status_of=exit_status,
    )


def _made(plan: CallsPlan) -> tuple[list[SimulatedCall], list[LostCall]]:
    """What came of all calls, in the plan's order, and those that came to nothing; those whose records are
    there are not computed again."""
    found, damaged = kept(plan)
    for note in (*plan.notes, *(f"computed again, for its record is damaged: {fault}" for fault in damaged)):
        tell_line(f"note: {note}", sys.stderr)
    if found:
        tell_line(f"note: {len(found)} of {len(plan.calls)} calls are recorded already", sys.stderr)
    try:
        make_directory(plan.out)
    except OSError as error:
        raise TestbedError(f"--out {plan.out}: {error.strerror}; name a folder that can be written") from None
    left = [call for call in plan.calls if call not in found]
    progress = _Progress(len(left))
    lost: list[LostCall] = []
    for one in compute(plan, left):
        if isinstance(one, LostCall):
            lost.append(one)
        else:
            found[one.call] = one
        progress.one_more()
    if not found:
        raise TestbedError(f"no call came to its end: {lost[0].why}")
    return [found[call] for call in plan.calls if call in found], lost


class _Progress:
    """How many calls are done, on stderr: on a terminal one line that is overwritten."""

    def __init__(self, total: int) -> None:
        self._total, self._done = total, 0
        self._terminal = VisibleConsole(stderr=True).is_terminal
        if total:
            print(f"simulating {counted(total, 'call')}", file=sys.stderr, flush=True)

    def one_more(self) -> None:
        self._done += 1
        before, now = ((done * LINES) // self._total for done in (self._done - 1, self._done))
        if self._terminal:
            end = "\n" if self._done == self._total else "\r"
            print(f"simulated {self._done} of {self._total}", end=end, file=sys.stderr, flush=True)
        elif now > before:
            print(f"simulated {self._done} of {counted(self._total, 'call')}", file=sys.stderr, flush=True)


def _report(plan: CallsPlan, made: Sequence[SimulatedCall], lost: Sequence[LostCall], as_object: bool) -> int:
    report = as_json(plan, made, lost)
    for line in remarks_on(report):
        tell_line(f"note: {line}", sys.stderr)
    if as_object:
        print(json.dumps(report), flush=True)
    else:
        console = person_console(sys.stdout, as_object=False)
        console.print(table(plan, report))
        console.print(Text(f"records: {plan.out}"), soft_wrap=True)
    return 0 if all_good(report) else NOT_ALL_GOOD

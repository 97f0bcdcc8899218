"""Sessions without a network: each policy over each trace, computed by the simulated player.

    python testbed/simulate.py --traces 4g[0:100] --policy bba,robustmpc --out results/simulated python
    testbed/simulate.py --task call --traces 4g[0:100] --policy gcc,copa --out results/calls python
    testbed/simulate.py --task jobs --traces tpch[0:48] --policy fifo,fair,sjf:cap=20,sqrt:c=0.7 python
    testbed/simulate.py --task viewport --traces heads[0:20] --policy static,velocity,linear,small,crowd

Nothing here needs root. Records and manifests are the emulator's, with `"simulated": true` and the
link model in them. The same command again goes on from the records that are there. Exit status: 0
done, 1 a policy was played by the fallback alone or killed its process, 2 bad input or a session that
cannot be computed, 130 or 143 when interrupted.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from traces.handover import hand_over

    hand_over()

    from testbed.simulated_tasks.parsers import parser_of

    parser_of(sys.argv[1:]).parse_args()  # help and mistakes don't wait for the imports that follow

import argparse
import contextlib
import json
import signal
import sys
from collections import Counter
from collections.abc import Sequence

from rich.text import Text

from player.qoe import scored_words
from player.real.live import silence
from player.registry import PolicyError
from player.video.video import VideoError
from testbed.process.console import person_console
from testbed.process.errors import TestbedError
from testbed.process.signals import exit_status, terminated_by
from testbed.simulated.computing_pace import remembered
from testbed.simulated.jobs import JobSummaries, SimulationJob, plan_jobs, run_jobs
from testbed.simulated.progress import ComputedForecast, SessionsProgress
from testbed.simulated_tasks.parsers import parser_of
from testbed.simulating.simulated_summary import (
    SimulatedOutcome,
    all_good,
    as_json,
    next_command,
    remarks_on,
    scored_in,
    table,
)
from testbed.simulating.simulation_plan import SimulationPlan, plan_simulation
from testbed.simulating.tasks import CALL, VIDEO, task_of
from traces.commands import carried_out, exit_with, next_step, tell_line
from traces.console import VisibleConsole
from traces.ownership import make_directory
from traces.trace import TraceError
from traces.words import counted

NOT_ALL_GOOD = 1


def carry_out(plan: SimulationPlan) -> list[SimulatedOutcome]:
    """Compute what is not there; all outcomes in the plan's order.

    Raises:
        TestbedError: see `plan_jobs` and `run_jobs`.
        OSError: a record cannot be written.
    """
    with contextlib.redirect_stdout(sys.stderr):
        jobs, summaries, damaged = plan_jobs(plan.sessions, plan.facts, plan.processes)
    for note in (*plan.notes, *(f"played again, for its record is damaged: {fault}" for fault in damaged)):
        tell_line(f"note: {note}", sys.stderr)
    if summaries:
        print(
            f"note: {len(summaries)} of {len(plan.sessions)} sessions are recorded already", file=sys.stderr
        )
    try:
        make_directory(plan.out)
    except OSError as error:
        raise TestbedError(f"--out {plan.out}: {error.strerror}; name a folder that can be written") from None
    found = {**summaries, **_computed(jobs, plan.processes)}
    return [SimulatedOutcome(session, found[session.record]) for session in plan.sessions]


def _computed(jobs: Sequence[SimulationJob], processes: int) -> JobSummaries:
    """What came of them, while a person sees on stderr how far they are.

    Raises:
        TestbedError: see `run_jobs`.
        OSError: a record cannot be written.
    """
    chunks: Counter[str] = Counter()
    for job in jobs:
        chunks[job.sessions[0].policy] += job.chunks
    pace, total = remembered(), sum(len(job.sessions) - sum(job.kept) for job in jobs)
    forecast = ComputedForecast(pace, chunks, processes)
    found: JobSummaries = {}
    try:
        with SessionsProgress(VisibleConsole(stderr=True), forecast) as progress:
            progress.begin(total)
            if total:
                progress.say(f"simulating {counted(total, 'session')}: {pace.words(chunks, processes)}")
            for job, done in run_jobs(jobs, processes):
                found |= done.written
                forecast.ended(job.sessions[0].policy, job.chunks, done.took_s, len(job.sessions))
                progress.ended(len(done.written))
    finally:
        pace.keep()
    return found


def _report(plan: SimulationPlan, outcomes: Sequence[SimulatedOutcome], as_object: bool) -> int:
    """Show what came of it; the exit status."""
    report = as_json(outcomes, str(plan.out))
    for line in remarks_on(outcomes, report):
        tell_line(f"note: {line}", sys.stderr)
    if as_object:
        print(json.dumps(report), flush=True)
    else:
        console = person_console(sys.stdout, as_object=False)
        console.print(table(report, scored_words(scored_in(outcomes))))
        console.print(Text(f"records: {plan.out}"), soft_wrap=True)
        what = next_command(outcomes)
        console.print(Text(next_step("-m", "analysis", what, str(plan.out))), soft_wrap=True)
    return 0 if all_good(report) else NOT_ALL_GOOD


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    args, task = parser_of(words).parse_args(words), task_of(words)
    with terminated_by(signal.SIGTERM):
        return _carried_out(args, words) if task == VIDEO else _of_task(task, args, words)


def _of_task(task: str, args: argparse.Namespace, words: Sequence[str]) -> int:
    """The same for other tasks, whose modules are imported only then."""
    if task == CALL:
        from testbed.simulated_calls.command import simulate_calls

        return simulate_calls(args, words)
    from testbed.simulated_tasks.command import simulate_task

    return simulate_task(task, args, words)


def _carried_out(args: argparse.Namespace, words: Sequence[str]) -> int:
    """Plan, simulate and report; what goes wrong is a line on stderr. Returns the exit status."""

    def work() -> int:
        plan = plan_simulation(args, words)
        return _report(plan, carry_out(plan), args.json)

    try:
        return carried_out(
            "simulate.py",
            work,
            (TestbedError, PolicyError, TraceError, VideoError),
            after="; nothing more was recorded",
            interrupted="interrupted; the same command with --out goes on from there",
            status_of=exit_status,
        )
    except BrokenPipeError:  # the reader left; the records are there
        silence(sys.stdout)
        return 0


if __name__ == "__main__":
    exit_with(main)

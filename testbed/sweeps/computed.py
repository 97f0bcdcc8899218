"""Run a sweep's sessions in the simulated player, in processes of this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import sys
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from player.decide import DEADLINE_S
from player.policy import BY_FALLBACK
from player.qoe import SessionSummary
from player.record import FINISHED
from testbed.process.errors import StrictStop, TestbedError
from testbed.simulated.simulation import RunFacts, SessionToSimulate, SimulationJob, begin_worker, run_job
from testbed.sweeps.experiment.plan import SweepPlan, Unit, simulated_link
from testbed.sweeps.folder import ALL_BY_FALLBACK, Attempt
from testbed.sweeps.state import DONE, FAILED, manifest_facts
from testbed.sweeps.work import SweepWork

AHEAD = 4
"""Sessions handed out for each process."""


def computed_session(plan: SweepPlan, unit: Unit, out: Path, attempt: int) -> SessionToSimulate:
    """A unit as the simulator knows it. The policy chooses the first chunk too, as it does emulated."""
    return SessionToSimulate(
        policy=unit.policy.spec,
        start=unit.start,
        trace_spec=unit.swept.spec,
        video=unit.whole,
        chunks=unit.chunks,
        first_level=None,
        link_name=plan.link_model or "",
        link=simulated_link(plan.link_model or "", unit.setting),
        qoe=plan.qoe,
        run_seed=unit.seed,
        record=out / unit.records[0],
        facts=manifest_facts(plan, unit, 0, attempt),
        fallback=unit.policy.fallback,
        strict=plan.strict,
    )


def compute(session: SessionToSimulate, facts: RunFacts, deadline_s: float = DEADLINE_S) -> Attempt:
    """Compute one session and write its record.

    Args:
        deadline_s: by which a real player would want a decision.

    Raises:
        OSError: it cannot be written.
        StrictStop: a policy's fault, where it is to stop everything.
    """
    try:
        (summary,) = run_job(SimulationJob((session,), (False,), facts)).values()
    except StrictStop:
        raise
    except TestbedError as error:  # it would be so again
        return Attempt(FAILED, (str(error),), for_good=True)
    return dataclasses.replace(_judged(session, summary), said=_said_of(summary, deadline_s))


def _said_of(summary: SessionSummary, deadline_s: float) -> str:
    """What a person should hear of a session whose figures are good."""
    longest_s = (summary.longest_decision_ms or 0.0) / 1000.0
    if longest_s > deadline_s:
        late = f"a decision took {longest_s:.1f} s, and decision_deadline_s is {deadline_s:g}"
        return f"{late}: a real player would have let the fallback decide"
    if summary.fallback_because is not None and not summary.by_fallback_alone:
        count = f"{summary.decided_by[BY_FALLBACK]} of {summary.chunks} chunks"
        return f"the fallback decided {count}, first because {summary.fallback_because}"
    return ""


def _judged(session: SessionToSimulate, summary: SessionSummary) -> Attempt:
    length_s = summary.startup_s + summary.stall_s + summary.chunks * session.video.chunk_s
    if summary.outcome != FINISHED:
        return Attempt(FAILED, (summary.outcome,), for_good=True, session_s=length_s)
    if summary.by_fallback_alone:
        why = f"{ALL_BY_FALLBACK}, first because {summary.fallback_because}"
        return Attempt(FAILED, (why,), for_good=True, session_s=length_s)
    return Attempt(DONE, session_s=length_s)


def run_computed(work: SweepWork, processes: int, facts: RunFacts) -> None:
    """Compute all that is left. A process that dies costs what it was at, which is tried again alone.

    Raises:
        OSError: a record cannot be written.
    """
    if processes == 1:
        while (taken := work.take()) is not None:
            unit, number = taken
            session = computed_session(work.folder.plan, unit, work.out, number)
            with contextlib.redirect_stdout(sys.stderr):  # a user's policy may print
                work.end(unit, compute(session, facts, work.folder.plan.file.decision_deadline_s))
        return
    lonely: list[Unit] = []
    while not work.finished:
        lonely = _until_broken(work, processes, facts, len(lonely))


def _until_broken(work: SweepWork, processes: int, facts: RunFacts, alone: int) -> list[Unit]:
    """Compute in a pool of processes until nothing is left or one of them dies.

    Args:
        alone: the first so many are computed one at a time: one of them may be what kills.

    Returns:
        what was at work when a process died, given back; empty at the end.
    """
    workers = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), initializer=begin_worker)
    deadline_s = work.folder.plan.file.decision_deadline_s
    flying: dict[Future[Attempt], Unit] = {}
    try:
        while True:
            most = 1 if alone > 0 else AHEAD * processes
            while len(flying) < most and (taken := work.take()) is not None:
                unit, number = taken
                session = computed_session(work.folder.plan, unit, work.out, number)
                flying[workers.submit(compute, session, facts, deadline_s)] = unit
            if not flying:
                return []
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                result = future.result()
                work.end(flying.pop(future), result)
                alone -= 1
    except BrokenProcessPool:
        died = [unit for future, unit in flying.items() if _died(future)]
        for future, unit in flying.items():
            if unit not in died:
                work.end(unit, future.result())
        if alone > 0:
            for unit in died:
                work.end(unit, Attempt(FAILED, ("its process died (is memory short?)",)))
            return []
        for unit in reversed(died):
            work.give_back(unit)
        return died
    finally:
        workers.shutdown(wait=True, cancel_futures=True)


def _died(future: Future[Attempt]) -> bool:
    return not future.done() or isinstance(future.exception(), BrokenProcessPool)

"""Simulated sessions as jobs of processes: what is to be computed, and what came of it.

Somebody's code runs in no process but a worker's.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from player.fallback import StandIn
from player.foreign.shown_output import ShownOutput, write_there
from player.foreign.undoing import undone
from player.policy import DecidesTogether
from player.qoe import SessionSummary
from player.registry import LoadedPolicy, is_foreign, load_policy
from player.seeding import seed_generators
from player.simulated.session import simulate
from testbed.process.errors import StrictStop, TestbedError
from testbed.simulated.first_use import telling_s, working_s
from testbed.simulated.kept_records import kept_summary
from testbed.simulated.simulation import (
    RunFacts,
    SessionToSimulate,
    carries_state,
    course_of,
    load_together,
    manifest,
    session_fault,
    side_by_side,
    simulate_together,
    write_record,
)
from traces.bound_processes import worker_pool
from traces.commands import tell_line
from traces.escaping import VisibleStream
from traces.files import partial_of


@dataclass(frozen=True)
class SimulationJob:
    """Sessions of one policy that one process computes: one, a chain in order, or several side by side."""

    sessions: tuple[SessionToSimulate, ...]
    kept: tuple[bool, ...]
    """Of each session: its record is there. In a chain it is computed all the same, for what it leaves."""
    facts: RunFacts
    together: bool = False
    """Side by side: their policy decides for all at once (`DecidesTogether`)."""

    @property
    def chunks(self) -> int:
        """Of all its sessions."""
        return sum(session.chunks for session in self.sessions)


def plan_jobs(
    sessions: Sequence[SessionToSimulate], facts: RunFacts, processes: int = 1
) -> tuple[list[SimulationJob], dict[Path, SessionSummary], list[str]]:
    """What is to be computed, and what is there already.

    Args:
        sessions: in order; those of one policy and seed make its chain.
        processes: that will share the work.

    Returns:
        the jobs, those of several sessions first, as they take longest; the figures of the records that
        are kept; and the faults of those that can't be read any more, which were put aside: their sessions
        are computed again.

    Raises:
        TestbedError: a record of another session is in the way.
        PolicyError: a policy that cannot be had.
        OSError: a damaged record cannot be put aside.
    """
    done: dict[Path, SessionSummary] = {}
    damaged: list[str] = []
    several: list[SimulationJob] = []
    singles: list[SimulationJob] = []
    for policy_sessions in _by_policy_and_seed(sessions):
        policy = load_policy(policy_sessions[0].policy)
        chained = carries_state(policy)
        for place, session in enumerate(policy_sessions):
            earlier = policy_sessions[:place] if chained else ()
            found = kept_summary(session, manifest(session, policy, earlier, facts), damaged)
            if found is not None:
                done[session.record] = found
        left = [place for place, session in enumerate(policy_sessions) if session.record not in done]
        if chained and left:
            needed = policy_sessions[: left[-1] + 1]
            several.append(SimulationJob(needed, tuple(one.record in done for one in needed), facts))
        elif not chained:
            wanted = [policy_sessions[place] for place in left]
            for part in side_by_side(wanted, together(policy), processes):
                job = SimulationJob(part, (False,) * len(part), facts, together=len(part) > 1)
                (several if job.together else singles).append(job)
    return several + singles, done, damaged


def together(policy: LoadedPolicy) -> int:
    """How many sessions of a policy can be decided at once; 1 where it takes them one by one."""
    if carries_state(policy) or not isinstance(policy.policy, DecidesTogether):
        return 1
    return policy.policy.together()


def _by_policy_and_seed(sessions: Sequence[SessionToSimulate]) -> list[tuple[SessionToSimulate, ...]]:
    groups: dict[tuple[str, int], list[SessionToSimulate]] = {}
    for session in sessions:
        groups.setdefault((session.policy, session.run_seed), []).append(session)
    return [tuple(group) for group in groups.values()]


def run_job(job: SimulationJob) -> dict[Path, SessionSummary]:
    """Compute the sessions of a job and write the records that are not there.

    Returns:
        the figures of each record that was written.

    Raises:
        StrictStop: a policy's fault, where it is to stop everything.
        TestbedError: a session that cannot be computed.
        OSError: a record cannot be written.
    """
    if job.together:
        return _run_together(job)
    written: dict[Path, SessionSummary] = {}
    first = job.sessions[0]
    policy, fallback = load_policy(first.policy, seed=first.seed), StandIn(first.fallback)
    for place, session in enumerate(job.sessions):
        summary = _simulated(session, policy, fallback, job, place)
        if summary is not None:
            written[session.record] = summary
    return written


def _run_together(job: SimulationJob) -> dict[Path, SessionSummary]:
    """As `run_job`; where sessions can't be computed, the others are, and the first one's fault is raised:
    at once where it is to stop everything."""
    written: dict[Path, SessionSummary] = {}
    faults: list[TestbedError] = []
    for session, came_of_it in simulate_together(job.sessions, job.facts):
        if isinstance(came_of_it, StrictStop):
            raise came_of_it
        if isinstance(came_of_it, TestbedError):
            faults.append(came_of_it)
        else:
            written[session.record] = came_of_it
    if faults:
        raise faults[0]
    return written


def _simulated(
    session: SessionToSimulate, policy: LoadedPolicy, fallback: StandIn, job: SimulationJob, place: int
) -> SessionSummary | None:
    """One session; its figures if it was recorded, None if its record was there."""
    seed_generators(session.seed)
    try:
        with undone():
            rows, end = simulate(
                session.video,
                session.start.trace,
                policy.policy,
                fallback=fallback,
                strict=session.strict,
                **course_of(session, policy),
            )
    except Exception as error:
        raise session_fault(session, error) from None
    if job.kept[place]:
        return None
    return write_record(session, manifest(session, policy, job.sessions[:place], job.facts), rows, end)


JobSummaries = dict[Path, SessionSummary | None]
"""The figures of each record that a job wrote; None for a session that killed its process."""


@dataclass(frozen=True)
class JobDone:
    """What came of a job."""

    written: JobSummaries
    took_s: float
    """Of the process that did it, what it loaded and compiled first left out; 0 where it died, or where that
    tells nothing of other jobs (`telling_s`)."""


def timed_job(job: SimulationJob) -> JobDone:
    """See `run_job`."""
    if job.together:
        load_together(job.sessions[0].policy)
    begun_s = working_s()
    written: JobSummaries = dict(run_job(job))
    first = job.sessions[0]
    took_s = telling_s(first.policy, first.link_name, working_s() - begun_s, len(job.sessions))
    return JobDone(written, took_s)


def run_jobs(jobs: Sequence[SimulationJob], processes: int) -> Iterator[tuple[SimulationJob, JobDone]]:
    """Carry out all jobs; yields each as it is done. Somebody's code runs in no process but a worker's.

    A process that dies costs the jobs that were at work; each is done again in a process of its own, and the
    one that dies with it has no record.

    Raises:
        StrictStop: a policy's fault, where it is to stop everything.
        TestbedError: a session cannot be computed; what is recorded stays.
        OSError: a record cannot be written.
    """
    foreign = any(has_foreign(job.sessions[0]) for job in jobs)
    if not foreign and (processes == 1 or len(jobs) < 2):
        for job in jobs:
            with _waited_for([job]), contextlib.redirect_stdout(sys.stderr):
                done = timed_job(job)
            yield job, done
        return
    left = list(jobs)
    yield from _until_death(left, processes)
    for job in list(left):
        alone = [job]
        yield from _until_death(alone, 1)
        if alone:
            lost = {one.record: None for one, kept in zip(job.sessions, job.kept, strict=True) if not kept}
            yield job, JobDone(dict(lost), 0.0)


PATIENCE_S = 60.0
"""Without a session ending: then it is said who is waited for. A policy that never answers is asked for ever:
nobody can tell it from one that thinks."""


def waiting_line(whom: str, patience_s: float) -> str:
    """What is said then."""
    return f"no session has ended for {patience_s:g} s: waiting for {whom}"


@contextlib.contextmanager
def _waited_for(jobs: Sequence[SimulationJob]) -> Iterator[None]:
    """Say once for whom the context waits, where it waits for long."""
    policies = ", ".join(dict.fromkeys(job.sessions[0].policy for job in jobs))
    sessions = [one for job in jobs for one in job.sessions]
    more = f" and {len(sessions) - 1} more" if len(sessions) > 1 else ""
    line = waiting_line(f"policy {policies} in session {sessions[0].name}{more}", PATIENCE_S)
    timer = threading.Timer(PATIENCE_S, tell_line, (f"note: {line}", sys.stderr))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _ended(
    flying: Mapping[Future[JobDone], SimulationJob], processes: int
) -> Iterator[tuple[Future[JobDone], SimulationJob]]:
    """Each with its job, as they end."""
    left = dict(flying)
    while left:
        with _waited_for(list(left.values())[:processes]):  # the oldest are at work
            ended = wait(left, return_when=FIRST_COMPLETED).done
        yield from [(future, left.pop(future)) for future in ended]


def _until_death(left: list[SimulationJob], processes: int) -> Iterator[tuple[SimulationJob, JobDone]]:
    """Carry out jobs until all are done, or one of the processes dies; what is done is taken off the list."""
    try:
        with policy_workers(min(processes, len(left))) as workers:
            jobs = {workers.submit(timed_job, job): job for job in left}
            for future, job in _ended(jobs, processes):
                done = future.result()
                left.remove(job)
                yield job, done
    except BrokenProcessPool:
        return
    except (KeyboardInterrupt, GeneratorExit):  # who was at work was killed
        for session in itertools.chain.from_iterable(job.sessions for job in left):
            partial_of(session.record).unlink(missing_ok=True)
        raise


def has_foreign(session: SessionToSimulate) -> bool:
    """Whether code decides in it that may end the process: somebody's own."""
    return is_foreign(session.policy) or is_foreign(session.fallback)


@contextlib.contextmanager
def policy_workers(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Processes in which policies decide. What these write, by whatever way, stays off the command's stdout
    and is shown on its stderr, visible (`traces.escaping`)."""
    with (
        ShownOutput() as shown,
        worker_pool(processes, functools.partial(_begin_worker, shown.place)) as workers,
    ):
        yield workers


def _begin_worker(place: str) -> None:
    write_there(place)
    sys.stdout, sys.stderr = VisibleStream(sys.stdout), VisibleStream(sys.stderr)

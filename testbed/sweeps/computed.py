"""Run a sweep's sessions in the simulated player, in processes of this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from player.defaults import DEADLINE_S
from player.qoe import SessionSummary
from player.real.live import fallback_decided
from player.record import FINISHED
from player.registry import is_foreign, only_simulated
from testbed.process.errors import StrictStop, TestbedError
from testbed.simulated.first_use import telling_s, working_s
from testbed.simulated.jobs import PATIENCE_S, SimulationJob, policy_workers, run_job, together, waiting_line
from testbed.simulated.simulation import RunFacts, SessionToSimulate, load_together, simulate_together
from testbed.sweeps.experiment.deciders import loaded
from testbed.sweeps.experiment.grid import simulated_link
from testbed.sweeps.experiment.plan import SweepPlan
from testbed.sweeps.experiment.units import Unit
from testbed.sweeps.folder import Attempt
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
        qoe=plan.qoe_of(unit),
        run_seed=unit.seed,
        record=out / unit.records[0],
        thresholds=unit.setting.thresholds,
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
    except TestbedError as error:
        return _in_vain(error)
    return _judged(session, summary, deadline_s)


def _in_vain(error: TestbedError) -> Attempt:
    if isinstance(error, StrictStop):
        raise error
    return Attempt(FAILED, (str(error),), for_good=True)  # it would be so again


def compute_all(
    sessions: Sequence[SessionToSimulate], facts: RunFacts, deadline_s: float = DEADLINE_S
) -> list[Attempt]:
    """Compute sessions of one policy, side by side where there are several, and write their records.

    Args:
        deadline_s: by which a real player would want a decision.

    Raises:
        OSError: one cannot be written.
        StrictStop: a policy's fault, where it is to stop everything.
    """
    several = len(sessions) > 1
    if several:
        load_together(sessions[0].policy)
    begun_s = working_s()
    if several:
        attempts = _side_by_side(sessions, facts, deadline_s)
    else:
        attempts = [compute(sessions[0], facts, deadline_s)]
    first = sessions[0]
    took_s = telling_s(first.policy, first.link_name, working_s() - begun_s, len(sessions)) / len(sessions)
    return [dataclasses.replace(attempt, took_s=took_s) for attempt in attempts]


def _side_by_side(sessions: Sequence[SessionToSimulate], facts: RunFacts, deadline_s: float) -> list[Attempt]:
    found = {
        session.record: _in_vain(made)
        if isinstance(made, TestbedError)
        else _judged(session, made, deadline_s)
        for session, made in simulate_together(sessions, facts)
    }
    return [found[session.record] for session in sessions]


def _judged(session: SessionToSimulate, summary: SessionSummary, deadline_s: float) -> Attempt:
    length_s = summary.startup_s + summary.stall_s + summary.chunks * session.video.chunk_s
    if summary.outcome != FINISHED:
        return Attempt(FAILED, (summary.outcome,), for_good=True, session_s=length_s)
    if summary.by_fallback_alone:
        why = fallback_decided(session.fallback, summary.decided_by, summary.fallback_because)
        return Attempt(FAILED, (why,), for_good=True, session_s=length_s)
    return Attempt(DONE, session_s=length_s, said=_said_of(session, summary, deadline_s))


def _said_of(session: SessionToSimulate, summary: SessionSummary, deadline_s: float) -> str:
    """What a person should hear of a session whose figures count."""
    longest_s = (summary.longest_decision_ms or 0.0) / 1000.0
    if longest_s > deadline_s and not only_simulated(session.policy):
        late = f"a decision took {longest_s:.1f} s, and decision_deadline_s is {deadline_s:g}"
        return f"{late}: a real player would have let the fallback decide"
    if summary.fallback_because is not None:
        return fallback_decided(session.fallback, summary.decided_by, summary.fallback_because)
    return ""


class _Parts:
    """Hands out what is left: a session, or several that are decided together."""

    def __init__(self, work: SweepWork, processes: int, facts: RunFacts) -> None:
        self._work, self._processes, self.facts = work, processes, facts
        self.deadline_s = work.folder.plan.file.decision_deadline_s
        self._most: dict[str, int] = {}

    def take(self, alone: bool = False) -> tuple[list[Unit], list[SessionToSimulate]] | None:
        """The next units and their sessions; None when there is none now.

        Args:
            alone: no more than one.
        """
        taken = self._work.take()
        if taken is None:
            return None
        unit = taken[0]
        most = 1 if alone else self._share(unit)
        units = [taken, *(self._work.take_like(unit, most - 1) if most > 1 else ())]
        plan, out = self._work.folder.plan, self._work.out
        return [one for one, _ in units], [computed_session(plan, one, out, number) for one, number in units]

    def _share(self, unit: Unit) -> int:
        """How many sessions like this one a process gets: every process some."""
        spec = unit.policy.spec
        if spec not in self._most:
            mine = math.ceil((self._work.waiting(spec) + 1) / self._processes)
            self._most[spec] = min(together(loaded(spec)), mine)
        return self._most[spec]

    def end(self, units: Sequence[Unit], attempts: Sequence[Attempt]) -> None:
        for unit, attempt in zip(units, attempts, strict=True):
            self._work.end(unit, attempt)


def run_computed(work: SweepWork, processes: int, facts: RunFacts) -> None:
    """Compute all that is left. A process that dies costs what it was at, which is tried again alone.

    Raises:
        OSError: a record cannot be written.
    """
    parts = _Parts(work, processes, facts)
    if processes == 1 and not any(is_foreign(spec) for spec in _deciders(work.folder.plan)):
        while (taken := parts.take()) is not None:
            units, sessions = taken
            with (
                _waited_for(work, units),
                contextlib.redirect_stdout(sys.stderr),
            ):  # a user's policy may print
                parts.end(units, compute_all(sessions, facts, parts.deadline_s))
        return
    lonely: list[Unit] = []
    while not work.finished:
        lonely = _until_broken(work, parts, processes, len(lonely))


def _deciders(plan: SweepPlan) -> set[str]:
    """The specs of policies and of who stands in for them."""
    return {spec for unit in plan.units for spec in (unit.policy.spec, unit.policy.fallback)}


def _until_broken(work: SweepWork, parts: _Parts, processes: int, alone: int) -> list[Unit]:
    """Compute in a pool of processes until nothing is left or one of them dies.

    Args:
        alone: the first so many are computed one at a time: one of them may be what kills.

    Returns:
        what was at work when a process died, given back; empty at the end.
    """
    flying: dict[Future[list[Attempt]], list[Unit]] = {}
    try:
        with policy_workers(processes) as workers:
            while True:
                most = 1 if alone > 0 else AHEAD * processes
                while len(flying) < most and (taken := parts.take(alone > 0)) is not None:
                    units, sessions = taken
                    flying[workers.submit(compute_all, sessions, parts.facts, parts.deadline_s)] = units
                if not flying:
                    return []
                for future in _ended(work, flying, processes):
                    result = future.result()
                    parts.end(flying.pop(future), result)
                    alone -= 1
    except BrokenProcessPool:
        died = [units for future, units in flying.items() if _died(future)]
        for future, units in flying.items():
            if units not in died:
                parts.end(units, future.result())
        if alone > 0:
            for unit in itertools.chain(*died):
                work.end(unit, Attempt(FAILED, ("its process died (is memory short?)",)))
            return []
        lonely = list(itertools.chain(*died))
        for unit in reversed(lonely):
            work.give_back(unit)
        return lonely


def _ended(
    work: SweepWork, flying: Mapping[Future[list[Attempt]], list[Unit]], processes: int
) -> set[Future[list[Attempt]]]:
    """What has ended, once something has."""
    with _waited_for(work, *itertools.islice(flying.values(), processes)):  # the oldest are at work
        return wait(flying, return_when=FIRST_COMPLETED).done


@contextlib.contextmanager
def _waited_for(work: SweepWork, *parts: Sequence[Unit]) -> Iterator[None]:
    """Say once for whom the context waits, where it waits for long.

    Args:
        parts: what is at work, each a session or several side by side; the oldest first.
    """
    patience_s = max(PATIENCE_S, work.folder.plan.file.decision_deadline_s)
    units = [part[0] for part in parts]
    policies = ", ".join(dict.fromkeys(unit.policy.label for unit in units))
    more = f" and {sum(map(len, parts)) - 1} more" if sum(map(len, parts)) > 1 else ""
    whom = f"policy {policies} in session {units[0].name}{more}"
    timer = threading.Timer(patience_s, work.say, (waiting_line(whom, patience_s),))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _died(future: Future[list[Attempt]]) -> bool:
    return not future.done() or isinstance(future.exception(), BrokenProcessPool)

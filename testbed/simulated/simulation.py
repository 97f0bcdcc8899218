"""Sessions computed from traces: planned, carried out in processes, recorded as emulated ones are.

Every session is a function of its plan alone: its policy is a new object, its seed comes from the
run's seed, the trace and the start. So the records do not depend on how many processes there are. The
exception is a policy that carries state from session to session (one that hears of a session's
end, such as `mpc-published`): its sessions are a *chain*, run in order in one process by one object,
and each manifest says what came before.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import json
import math
import os
import platform
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from player.buffer import USUAL_THRESHOLDS, BufferThresholds
from player.fallback import FALLBACK, StandIn
from player.faults import PolicyFault, one_line
from player.foreign.undoing import undone
from player.manifest import Manifest, PlayerSection
from player.policy import DecidesTogether, HearsEnd
from player.provenance import code_section, decided_by, user_file_sha256
from player.qoe import QoE, SessionSummary, summarise
from player.record import ChunkRow, EndRow, OtherVersionError, RecordError, RecordWriter, read_record
from player.registry import LoadedPolicy, PolicyError, is_foreign, load_policy
from player.sections import link_section, policy_section, trace_section, video_section
from player.seeding import seed_generators
from player.simulated.session import Chooser, Link, session_course, simulate
from player.simulated.together import SessionInCompany, play_together
from player.video.video import Video, VideoError
from testbed.process.errors import StrictStop, TestbedError
from testbed.simulated.first_use import telling_s, working_s
from testbed.simulated.record_names import whose
from testbed.simulated.starts import Start
from traces.bound_processes import worker_pool
from traces.commands import said_of, tell_line
from traces.escaping import VisibleStream
from traces.files import DAMAGED, partial_of, put_aside
from traces.trace import TraceError
from traces.versions import CodeVersion, code_version, typed_in

_OF_A_RUN = ("run_id", "started_at", "command_line", "directory", "host", "versions", "code")
"""What a manifest says of the run, not of the session."""


@dataclass(frozen=True)
class SessionToSimulate:
    """One session to compute."""

    policy: str
    start: Start
    trace_spec: str
    video: Video
    """As the policy is told it; `chunks` of it are streamed."""
    chunks: int
    first_level: int | None
    link_name: str
    link: Link
    qoe: QoE
    run_seed: int
    record: Path
    facts: dict[str, Any] = field(default_factory=dict)
    """What the manifest says besides."""
    fallback: str = FALLBACK
    """The spec of who decides where the policy can't."""
    thresholds: BufferThresholds = USUAL_THRESHOLDS
    """When its player asks for more, and when it plays."""
    strict: bool = False
    """Nobody: the policy's first fault stops everything."""

    @property
    def seed(self) -> int:
        """Of the policy and of the link's noise: the same for all policies over this start."""
        text = f"{self.run_seed}/{self.start.trace.sha256}/{self.start.index}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.policy} on {self.start.trace.name} from {self.start.at_s:g} s"


@dataclass(frozen=True)
class RunFacts:
    """What all manifests of a run have in common."""

    run_id: str
    started_at: str
    command_line: tuple[str, ...]
    directory: str = field(default_factory=typed_in)
    """Where it was typed."""
    code: CodeVersion = field(default_factory=code_version)
    """The tree of the command, which may have workers elsewhere."""


@dataclass(frozen=True)
class SimulationJob:
    """Sessions of one policy that one process computes: one, a chain in order, or several side by side."""

    sessions: tuple[SessionToSimulate, ...]
    kept: tuple[bool, ...]
    """Of each session: its record is there. In a chain it is computed all the same, for what it leaves."""
    facts: RunFacts
    together: bool = False
    """Side by side: their policy decides for all at once (`DecidesTogether`)."""


def carries_state(policy: LoadedPolicy) -> bool:
    """Whether a policy takes something from one session into the next."""
    return isinstance(policy.policy, HearsEnd)


def manifest(
    session: SessionToSimulate,
    policy: LoadedPolicy,
    earlier: Sequence[SessionToSimulate],
    facts: RunFacts,
) -> dict[str, Any]:
    """A record's manifest, with an emulated one's fields where they make sense.

    Args:
        earlier: in a chain, the sessions before this one.
    """
    decided = decided_by(policy.spec, policy.policy)
    start, streamed = session.start, session.video.first(session.chunks)
    whole = Manifest(
        run_id=facts.run_id,
        started_at=facts.started_at,
        simulated=True,
        video=dataclasses.replace(video_section(streamed), told_chunks=session.video.chunks),
        policy=dataclasses.replace(
            policy_section(policy, decided),
            more=_chain_facts(earlier) if carries_state(policy) else {},
        ),
        told_qoe=dataclasses.asdict(session.qoe),
        seed=session.seed,
        run_seed=session.run_seed,
        player=PlayerSection(
            **session.thresholds.recorded,
            fallback=session.fallback,
            fallback_sha256=user_file_sha256(session.fallback),
            first_level=session.first_level,
            more={"first_level": None},  # said where the policy is asked for it, too
        ),
        trace=trace_section(start.trace, session.trace_spec, start.at_s, start_index=start.index),
        link=link_section({"model": session.link_name, **_settings(session.link)}),
        command_line=tuple(facts.command_line),
        directory=facts.directory,
        host=platform.platform(),
        versions=decided.versions,
        code=code_section(facts.code),
    )
    return {**whole.to_json(), **session.facts}


def _settings(link: Link) -> dict[str, Any]:
    """A link model's settings; models are dataclasses."""
    if not dataclasses.is_dataclass(link) or isinstance(link, type):
        return {}
    settings = dataclasses.asdict(link)
    if settings.get("loss_pct") == 0.0:  # as in records of before there was such a setting
        del settings["loss_pct"]
    return settings


def _chain_facts(earlier: Sequence[SessionToSimulate]) -> dict[str, Any]:
    """What a policy that carries state has behind it: how many sessions, and a hash that tells which."""
    digest = hashlib.sha256()
    for one in earlier:
        digest.update(f"{one.start.trace.sha256} {one.start.index} {one.video.sha256} {one.seed}\n".encode())
    return {"earlier_sessions": len(earlier), "earlier_sha256": digest.hexdigest()}


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
            found = _kept(session, manifest(session, policy, earlier, facts), damaged)
            if found is not None:
                done[session.record] = found
        left = [place for place, session in enumerate(policy_sessions) if session.record not in done]
        if chained and left:
            needed = policy_sessions[: left[-1] + 1]
            several.append(SimulationJob(needed, tuple(one.record in done for one in needed), facts))
        elif not chained:
            wanted = [policy_sessions[place] for place in left]
            for part in _side_by_side(wanted, together(policy), processes):
                job = SimulationJob(part, (False,) * len(part), facts, together=len(part) > 1)
                (several if job.together else singles).append(job)
    return several + singles, done, damaged


def together(policy: LoadedPolicy) -> int:
    """How many sessions of a policy can be decided at once; 1 where it takes them one by one."""
    if carries_state(policy) or not isinstance(policy.policy, DecidesTogether):
        return 1
    return policy.policy.together()


def _side_by_side(
    sessions: Sequence[SessionToSimulate], most: int, processes: int
) -> list[tuple[SessionToSimulate, ...]]:
    """The sessions in as few parts of nearly the same size as can be, every process with one."""
    if not sessions:
        return []
    parts = math.ceil(len(sessions) / most)
    parts = min(max(parts, processes), len(sessions)) if most > 1 else parts
    bounds = [len(sessions) * part // parts for part in range(parts + 1)]
    return [tuple(sessions[begin:end]) for begin, end in pairwise(bounds)]


def _by_policy_and_seed(sessions: Sequence[SessionToSimulate]) -> list[tuple[SessionToSimulate, ...]]:
    groups: dict[tuple[str, int], list[SessionToSimulate]] = {}
    for session in sessions:
        groups.setdefault((session.policy, session.run_seed), []).append(session)
    return [tuple(group) for group in groups.values()]


def _kept(session: SessionToSimulate, asked: dict[str, Any], damaged: list[str]) -> SessionSummary | None:
    """The figures of a session whose complete record is there; None if there is none, or one that is damaged
    or another session's, whose fault is added to `damaged`.

    Raises:
        TestbedError: a record of the session by other options, or of another version of us.
        OSError: a damaged one cannot be put aside.
    """
    if not os.path.lexists(session.record):
        return None
    way_out = "remove it, or name another --out"
    try:
        record = read_record(session.record)
    except OtherVersionError as error:
        raise TestbedError(f"{error}; {way_out}") from None
    except (RecordError, OSError) as error:
        _put_aside(session.record, said_of(error) if isinstance(error, OSError) else str(error), damaged)
        return None
    if stranger := whose(session.record.name, record.manifest):
        _put_aside(session.record, f"{session.record}:1: the record of another session, {stranger}", damaged)
        return None
    there = {
        key: value for key, value in record.manifest.items() if key not in ("line", "schema", *_OF_A_RUN)
    }
    wanted = json.loads(json.dumps({key: value for key, value in asked.items() if key not in _OF_A_RUN}))
    for both in (there, wanted):
        both["trace"] = {key: value for key, value in both.get("trace", {}).items() if key != "spec"}
    if "sources" not in _object(there.get("policy")):  # older records name the policy's own file alone
        wanted["policy"].pop("sources", None)
    _object(there.get("policy")).pop("arithmetic", None)  # known once a session has begun
    difference = _other_values(there, wanted) or first_difference(there, wanted)
    if difference is not None:
        way_out = _to_go_on(difference, there) or way_out
        raise TestbedError(f"{session.record} is of another session: {difference}; {way_out}")
    return summarise(record.chunks, record.end, record.ladder_kbps, session.qoe)


def _other_values(there: dict[str, Any], wanted: dict[str, Any]) -> str | None:
    """That the trace isn't the same, which seeds and all the rest follow from; None where it is."""
    if _object(there.get("trace")).get("sha256") == wanted["trace"]["sha256"]:
        return None
    return (
        f"trace {wanted['trace']['name']} has other values now, by another file or other options of reading"
    )


def _to_go_on(difference: str, there: dict[str, Any]) -> str | None:
    """Where a default was another one when the record was made: the option that goes on with it."""
    option = None
    if difference.startswith("player.fallback "):
        option = f"--fallback {there['player']['fallback']}"
    elif difference.startswith("told_qoe.mu ") and isinstance(mu := there["told_qoe"]["mu"], int | float):
        option = f"--mu {mu!r}"
    return None if option is None else f"add {option} to go on with it, or name another --out"


def _put_aside(record: Path, fault: str, damaged: list[str]) -> None:
    place = put_aside(record, DAMAGED)
    damaged.append(f"{fault}; it is {place.name} now")


def _object(held: Any) -> dict[str, Any]:
    return held if isinstance(held, dict) else {}


def first_difference(there: Any, wanted: Any, place: str = "") -> str | None:
    """Where two JSON values differ first, in words; None when they are equal."""
    if isinstance(there, dict) and isinstance(wanted, dict):
        for key in dict.fromkeys((*wanted, *there)):
            here = f"{place}.{key}" if place else key
            if there.get(key) is None and wanted.get(key) is None:
                continue  # not known: said as null, or not at all
            if key not in wanted or key not in there:
                return f"its manifest has {'no ' if key in wanted else ''}{here}"
            found = first_difference(there[key], wanted[key], here)
            if found is not None:
                return found
        return None
    if there == wanted:
        return None
    short = [text if len(text) <= 60 else f"{text[:57]}…" for text in map(json.dumps, (there, wanted))]
    return f"{place} is {short[0]}, asked for {short[1]}"


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


def simulate_together(
    sessions: Sequence[SessionToSimulate], facts: RunFacts
) -> Iterator[tuple[SessionToSimulate, SessionSummary | TestbedError]]:
    """Compute sessions of one policy side by side; yields each with its figures once its record is written,
    or with why it can't be computed.

    Args:
        sessions: any number; as many at once as the policy takes.

    Raises:
        OSError: a record cannot be written.
    """
    policy = load_policy(sessions[0].policy, seed=sessions[0].seed)
    for part in _side_by_side(sessions, _ready_together(policy), 1):
        seats = {place: _seat(session, policy) for place, session in enumerate(part)}
        for place, recorded in play_together(seats):
            session = part[place]
            if isinstance(recorded, Exception):
                yield session, _fault(session, recorded)
            else:
                yield session, _write(session, manifest(session, policy, (), facts), *recorded)


def load_together(policy: str) -> None:
    """Have a policy's model in this process, so that it isn't loaded while sessions are timed."""
    _ready_together(load_policy(policy))


def _ready_together(policy: LoadedPolicy) -> int:
    assert isinstance(policy.policy, DecidesTogether)
    try:
        return max(policy.policy.ready_together(), 1)
    except Exception:  # each session's reset will say it again, and of which session it is
        return 1


def _seat(session: SessionToSimulate, policy: LoadedPolicy) -> SessionInCompany:
    """A session with a policy and a stand-in of its own."""
    assert isinstance(policy.policy, DecidesTogether)
    mine = dataclasses.replace(policy, policy=policy.policy.another())
    chooser = Chooser(mine.policy, StandIn(session.fallback), session.video.levels, session.strict)
    course = session_course(session.video, session.start.trace, chooser, **_course_of(session, mine))
    return SessionInCompany(course, chooser)


def _course_of(session: SessionToSimulate, policy: LoadedPolicy) -> dict[str, Any]:
    """What `simulate` and `session_course` are told of a session besides what is streamed and who decides."""
    return {
        "seed": session.seed,
        "qoe": session.qoe,
        "link": session.link,
        "start_index": session.start.index,
        "chunks": session.chunks,
        "first_level": session.first_level,
        "delay_ms": policy.delay_ms,
        "cap_ms": session.thresholds.buffer_cap_s * 1000.0,
        "startup_ms": session.thresholds.startup_s * 1000.0,
        "resume_ms": session.thresholds.resume_s * 1000.0,
    }


def _fault(session: SessionToSimulate, error: Exception) -> TestbedError:
    """Why a session can't be computed; the way out is in its text."""
    if isinstance(error, PolicyFault):
        return StrictStop(f"{session.name}: {error}", error.shown)
    known = isinstance(error, TraceError | VideoError | PolicyError)
    return TestbedError(f"{session.name}: {error if known else one_line(error)}")


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
                **_course_of(session, policy),
            )
    except Exception as error:
        raise _fault(session, error) from None
    if job.kept[place]:
        return None
    return _write(session, manifest(session, policy, job.sessions[:place], job.facts), rows, end)


def _write(
    session: SessionToSimulate, head: dict[str, Any], rows: Sequence[ChunkRow], end: EndRow
) -> SessionSummary:
    """Write a session's record; its figures."""
    with RecordWriter(session.record, head) as writer:
        try:
            for row in rows:
                writer.chunk(row)
            writer.finish(end)
        except BaseException:
            writer.abandon()
            raise
    return summarise(rows, end, session.video.ladder_kbps, session.qoe)


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
        with worker_pool(min(processes, len(left)), begin_worker) as workers:
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


def begin_worker() -> None:
    """Keep what a policy prints off the command's stdout, and have it visible (`traces.escaping`)."""
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.stdout, sys.stderr = VisibleStream(sys.stdout), VisibleStream(sys.stderr)

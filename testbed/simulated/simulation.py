"""Sessions computed from traces: planned, carried out in processes, recorded as emulated ones are.

Every session is a function of its plan alone: its policy is a new object, its seed comes from the
run's seed, the trace and the start. So the records do not depend on how many processes there are. The
exception is a policy that carries state from session to session (one that hears of a session's
end, such as `mpc-published`): its sessions are a *chain*, run in order in one process by one object,
and each manifest says what came before.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from player.buffer import USUAL_THRESHOLDS, BufferThresholds
from player.defaults import FALLBACK
from player.fallback import StandIn
from player.faults import PolicyFault, one_line
from player.manifest import Manifest, PlayerSection
from player.policy import DecidesTogether, HearsEnd
from player.provenance import code_section, decided_by, user_file_sha256
from player.qoe import QoE, SessionSummary, summarise
from player.record import ChunkRow, EndRow, RecordWriter
from player.registry import LoadedPolicy, PolicyError, load_policy
from player.sections import link_section, policy_section, trace_section, video_section
from player.simulated.session import Chooser, Link, session_course
from player.simulated.together import SessionInCompany, play_together
from player.video.video import Video, VideoError
from testbed.process.errors import StrictStop, TestbedError
from testbed.simulated.starts import Start
from traces.trace import TraceError
from traces.versions import CodeVersion, code_version, typed_in


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


def side_by_side(
    sessions: Sequence[SessionToSimulate], most: int, processes: int
) -> list[tuple[SessionToSimulate, ...]]:
    """The sessions in as few parts of nearly the same size as can be, every process with one."""
    if not sessions:
        return []
    parts = math.ceil(len(sessions) / most)
    parts = min(max(parts, processes), len(sessions)) if most > 1 else parts
    bounds = [len(sessions) * part // parts for part in range(parts + 1)]
    return [tuple(sessions[begin:end]) for begin, end in pairwise(bounds)]


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
    for part in side_by_side(sessions, _ready_together(policy), 1):
        seats = {place: _seat(session, policy) for place, session in enumerate(part)}
        for place, recorded in play_together(seats):
            session = part[place]
            if isinstance(recorded, Exception):
                yield session, session_fault(session, recorded)
            else:
                yield session, write_record(session, manifest(session, policy, (), facts), *recorded)


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
    course = session_course(session.video, session.start.trace, chooser, **course_of(session, mine))
    return SessionInCompany(course, chooser)


def course_of(session: SessionToSimulate, policy: LoadedPolicy) -> dict[str, Any]:
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
        "abandon": session.thresholds.abandon,
    }


def session_fault(session: SessionToSimulate, error: Exception) -> TestbedError:
    """Why a session can't be computed; the way out is in its text."""
    if isinstance(error, PolicyFault):
        return StrictStop(f"{session.name}: {error}", error.shown)
    known = isinstance(error, TraceError | VideoError | PolicyError)
    return TestbedError(f"{session.name}: {error if known else one_line(error)}")


def write_record(
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

"""What `testbed/simulate.py` is to compute: its command line, checked and turned into sessions."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from player.buffer import BufferThresholds
from player.defaults import CHUNKS, PUBLISHED
from player.fallback import fallback_spec
from player.policy import ToldFuture
from player.qoe import Scoring
from player.registry import LoadedPolicy, load_policy
from player.simulated.link_published import PublishedLink, refuse_loss
from player.simulated.session import Future, Link
from player.video.built_in import load_video
from player.video.video import Video
from testbed.process.errors import TestbedError
from testbed.session.options import asked_policies, playing_thresholds, scoring_of
from testbed.session.trace_notes import trace_notes, video_notes
from testbed.session.video_to_play import VideoToPlay
from testbed.simulated.record_names import record_name
from testbed.simulated.simulation import RunFacts, SessionToSimulate, carries_state
from testbed.simulated.starts import Start, Starts, read_starts
from testbed.simulating.command_line import LINKS
from traces.families.catalogue import default_video, resolve_many
from traces.trace import Trace

RESULTS = Path("results")
LONGEST_NAME = 200
"""Characters of a record's name; file systems take 255 bytes."""


@dataclass(frozen=True)
class SimulationPlan:
    """All sessions of a command."""

    sessions: tuple[SessionToSimulate, ...]
    facts: RunFacts
    out: Path
    processes: int
    notes: tuple[str, ...]
    """What a person should know before."""


def plan_simulation(args: argparse.Namespace, arguments: Sequence[str]) -> SimulationPlan:
    """Check everything that can be checked before anything is made.

    Raises:
        TestbedError, PolicyError, TraceError, VideoError: what is wrong and the way out.
    """
    traces = named_traces(args.traces, args.format)
    starts = read_starts(args.starts, [trace for _, trace in traces])
    videos = {trace.name: load_video(args.video or default_video(trace.family)) for _, trace in traces}
    scoring = scoring_of(args, videos.values())
    thresholds = playing_thresholds(args, videos.values())
    link = LINKS[args.link](args)
    if thresholds.abandon and args.link != PUBLISHED:
        raise TestbedError(f"--abandon: the {args.link} link has chunks whole; take --link {PUBLISHED}")
    with contextlib.redirect_stdout(sys.stderr):  # a user's file may print; stdout is for --json
        loaded = {name: load_policy(name) for name in _unique(asked_policies(args))}
        _refuse_unplayable(args, list(loaded.values()), [trace for _, trace in traces], scoring)
        _refuse_futures(loaded.values(), starts.starts, link, thresholds)
    seeds = _seeds(args.seed)
    out = args.out or RESULTS / f"simulated-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    _refuse_loss(link, (trace for _, trace in traces))
    spec_of = {trace.name: spec for spec, trace in traces}
    asked = {"link": link, "link_name": args.link, "strict": args.strict, "thresholds": thresholds}
    sessions = tuple(
        SessionToSimulate(
            **asked,
            policy=policy,
            start=start,
            trace_spec=spec_of[start.trace.name],
            **_of_video(args, videos[start.trace.name], scoring),
            run_seed=seed,
            record=out / record_name(start.trace.name, start.index, policy, seed if len(seeds) > 1 else None),
            fallback=fallback_spec(found.policy, args.fallback),
        )
        for policy, found in loaded.items()
        for seed in seeds
        for start in starts.starts
    )
    _check_names(sessions)
    notes = (
        *_notes(args, starts, [name for name, found in loaded.items() if carries_state(found)]),
        *trace_notes((trace for _, trace in traces), [args.rtt_ms], "--rtt-ms"),
        *video_notes(videos.values()),
    )
    return SimulationPlan(sessions, _facts(out, arguments), out, processes_of(args.jobs), notes)


def _of_video(args: argparse.Namespace, video: Video, scoring: Scoring) -> dict[str, Any]:
    """What a session's video decides of it."""
    return {
        "video": video,
        "qoe": scoring.on(video.ladder_kbps),
        "chunks": _chunks(args.chunks, video),
        "first_level": _first_level(args.first_level, video),
    }


def _facts(out: Path, arguments: Sequence[str]) -> RunFacts:
    return RunFacts(
        run_id=out.name,
        started_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        command_line=("testbed/simulate.py", *arguments),
    )


def _refuse_unplayable(
    args: argparse.Namespace, policies: Sequence[LoadedPolicy], traces: Sequence[Trace], scoring: Scoring
) -> None:
    """Raises PolicyError for a policy, or a fallback, that can't play one of the videos."""
    for spec in dict.fromkeys(args.video or default_video(trace.family) for trace in traces):
        video = load_video(spec)
        to_play = VideoToPlay(video, spec, 0, scoring.on(video.ladder_kbps))
        for policy in policies:
            to_play.refuse(policy)
        to_play.refuse_fallbacks(policies, args.fallback)


def _refuse_futures(
    policies: Iterable[LoadedPolicy], starts: Sequence[Start], link: Link, thresholds: BufferThresholds
) -> None:
    """Raises TestbedError for a policy to which a future that is to be told is of no use."""

    def told(start: Start) -> Future:
        cap_ms, startup_ms, resume_ms = thresholds.times_ms
        return Future(
            start.trace, start.index, link, CHUNKS, cap_ms, 0, startup_ms, resume_ms, thresholds.abandon
        )

    for loaded in policies:
        policy = loaded.policy
        if not isinstance(policy, ToldFuture):
            continue
        for start in starts:
            try:
                policy.tell(told(start))
            except ValueError as error:
                raise TestbedError(f"policy {loaded.spec} can't play {start.trace.name}: {error}") from None


def _refuse_loss(link: Link, traces: Iterable[Trace]) -> None:
    """Raises TestbedError where a trace loses frames, which the `published` link can't."""
    for trace in traces if isinstance(link, PublishedLink) else ():
        refuse_loss(trace)


def named_traces(specs: Sequence[str], format: str | None) -> list[tuple[str, Trace]]:
    """(spec, trace) of all; names differ, because records, starts and pairs go by them.

    Raises:
        TestbedError: two of one name.
        TraceError: one that can't be had.
    """
    found: dict[str, tuple[str, Trace]] = {}
    for spec in specs:
        for trace in resolve_many(spec, format):
            if trace.name in found:
                raise TestbedError(
                    f"two traces are named {trace.name} (of {found[trace.name][0]} and {spec});"
                    " simulate them into folders of their own, and compare the folders together"
                )
            found[trace.name] = spec, trace
    return list(found.values())


def _unique(policies: list[str]) -> list[str]:
    for policy in policies:
        if policies.count(policy) > 1:
            raise TestbedError(f"policy {policy} is given twice; a computed session comes out the same")
    return policies


def _seeds(text: str) -> list[int]:
    seeds = text.split(",")
    if not all(re.fullmatch(r"\s*\d{1,18}\s*", seed) for seed in seeds) or len(set(seeds)) < len(seeds):
        raise TestbedError(f"--seed {text}: expected whole numbers that differ, such as 0 or 0,1,2")
    return [int(seed) for seed in seeds]


def _chunks(asked: int | None, video: Video) -> int:
    chunks = min(CHUNKS, video.chunks) if asked is None else asked
    if chunks < 2:
        raise TestbedError(f"--chunks {chunks}: must be 2 or more, as the first does not count")
    return video.first(chunks).chunks


def _first_level(text: str, video: Video) -> int | None:
    if text == "policy":
        return None
    if not re.fullmatch(r"\d{1,9}", text) or int(text) >= video.levels:
        raise TestbedError(f"--first-level {text}: {video.name} has 0 to {video.levels - 1}; or `policy`")
    return int(text)


def processes_of(asked: int | None) -> int:
    """How many at once, every core if nothing is said.

    Raises:
        TestbedError: fewer than 1.
    """
    if asked is None:
        return len(os.sched_getaffinity(0))
    if asked < 1:
        raise TestbedError(f"--jobs {asked}: must be 1 or more")
    return asked


def _check_names(sessions: Sequence[SessionToSimulate]) -> None:
    names: dict[Path, SessionToSimulate] = {}
    for session in sessions:
        other = names.setdefault(session.record, session)
        if other is not session:
            raise TestbedError(
                f"{other.name} and {session.name} would share the file {session.record.name};"
                " simulate them into folders of their own"
            )
        if len(session.record.name) > LONGEST_NAME:
            raise TestbedError(
                f"{session.name}: its file's name is over {LONGEST_NAME} characters; rename it"
            )


def _notes(args: argparse.Namespace, starts: Starts, carrying: Sequence[str]) -> tuple[str, ...]:
    notes = [
        f"{name} carries state from session to session: its sessions run in order, in one process"
        for name in carrying
    ]
    if starts.unused:
        notes.append(
            f"{args.starts}: {len(starts.unused)} of its traces are not among --traces"
            f" ({', '.join(starts.unused[:3])}{', …' if starts.unused[3:] else ''})"
        )
    return tuple(notes)

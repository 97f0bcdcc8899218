"""What a run is to do: its command line, checked and turned into sessions, and its folder."""

from __future__ import annotations

import argparse
import contextlib
import errno
import fcntl
import math
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from player.fallback import fallback_spec
from player.policy import Served, ServerCommand
from player.qoe import QoE
from player.registry import LoadedPolicy, PolicyError, load_policy, split_policies
from player.simulated.session import CHUNKS
from player.video.built_in import load_video
from player.video.video import Video
from testbed.link.lane import check_congestion_control, delay_backend, require_tools
from testbed.link.settings import LinkSettings, check_carried
from testbed.machine.readings import MachineReading, read_machine
from testbed.process.errors import TestbedError
from testbed.session.command_line import DEFAULT_POLICIES
from testbed.session.options import (
    link_settings,
    load_trace,
    playing_thresholds,
    scoring_of,
)
from testbed.session.session_plan import LOGS, SessionPlan
from testbed.session.trace_notes import run_notes, trace_notes, video_notes
from testbed.session.video_to_play import VideoToPlay
from traces.families.catalogue import default_video
from traces.ownership import give_to_caller, make_directory, make_within
from traces.trace import Trace

RESULTS = Path("results")
MOST_RETRIES = 100
NEEDED_BYTES = 64 * 1024 * 1024
"""Free disk that a run wants before it begins."""


@dataclass(frozen=True)
class RunPlan:
    """All sessions of a run."""

    sessions: tuple[SessionPlan, ...]
    out: Path
    qoe: QoE
    named: bool
    """Whether the user named the folder; else it is ours to remove when nothing came of the run."""
    device: str = "auto"
    """For the servers that policies ask."""
    left_out: tuple[str, ...] = ()
    """Why policies that nobody asked for by name are not among them."""
    notes: tuple[str, ...] = ()
    """What a person should know before."""
    lanes: int | None = None
    """How many stream at once; None for as many as the machine holds."""
    retries: int = 0
    """How often a session whose link was not true is streamed again."""
    begun: MachineReading | None = None
    """The machine when planning began; None for nobody who wants to know how busy it has been since."""

    @property
    def servers(self) -> tuple[ServerCommand, ...]:
        """What has to be started for the policies."""
        return tuple(dict.fromkeys(one.server for one in self.sessions if one.server is not None))


def plan_run(args: argparse.Namespace, arguments: Sequence[str]) -> RunPlan:
    """Check everything that can be checked before anything is made.

    Raises:
        TestbedError, PolicyError, VideoError: what is wrong and the way out.
    """
    begun = read_machine()
    trace = load_trace(args.trace, args.format, args.cap_mbps)
    _check_numbers(args)
    video_spec = args.video or default_video(trace.family)
    whole = load_video(video_spec)
    video = whole.first(min(CHUNKS, whole.chunks) if args.chunks is None else args.chunks)
    qoe = scoring_of(args, [video]).on(video.ladder_kbps)
    policies, left_out = _policies(args, VideoToPlay(whole, video_spec, args.seed, qoe))
    settings = link_settings(args)
    told = _same(args, arguments, video)
    backend = able_backend(trace, settings)
    if args.out is not None:
        check_no_records(args.out)
    out = args.out or claim(RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}-{_word(args.trace)}")
    same = partial(SessionPlan, trace=trace, video=video, video_spec=video_spec, settings=settings, **told)
    sessions = tuple(
        same(
            policy=policy.spec,
            server=policy.policy.server() if isinstance(policy.policy, Served) else None,
            record=(out / f"{name}.jsonl").absolute(),
            backend=backend,
            qoe=qoe,
            fallback=fallback_spec(policy.policy, args.fallback),
        )
        for policy, name in zip(policies, _names([policy.spec for policy in policies]), strict=True)
    )
    notes = [*trace_notes([trace], [settings.rtt_ms], "--rtt-ms"), *video_notes([whole])]
    notes += run_notes(trace, args.start_s, video.chunks)
    kept = args.out is not None
    retries, lanes = args.retry_invalid, args.lanes
    return RunPlan(
        sessions, out, qoe, kept, args.device, tuple(left_out), tuple(notes), lanes, retries, begun
    )


def _same(args: argparse.Namespace, arguments: Sequence[str], video: Video) -> dict[str, Any]:
    """What the command line says of all sessions alike."""
    names = ("start_s", "seed", "decision_deadline_s", "cap_mbps", "pcap", "strict")
    return {
        **{name: getattr(args, name) for name in names},
        "trace_spec": args.trace,
        "thresholds": playing_thresholds(args, [video]),
        "command_line": ("testbed/run.py", *arguments),
    }


def able_backend(trace: Trace, settings: LinkSettings) -> str:
    """Who delays and loses here, once it is sure that this machine can have such a link.

    Raises:
        TestbedError: it can't; what is missing and the way out.
    """
    require_tools()
    check_congestion_control(settings.congestion_control)
    backend = delay_backend(settings.asked_backend)
    check_carried(trace, settings, backend)
    return backend


def _check_numbers(args: argparse.Namespace) -> None:
    """Refuse figures that no run could have.

    Raises:
        TestbedError: the option, its value and what it may be.
    """
    if not (math.isfinite(args.start_s) and args.start_s >= 0):
        raise TestbedError(f"--start-s {args.start_s}: must be 0 or more")
    if not (math.isfinite(args.decision_deadline_s) and args.decision_deadline_s > 0):
        raise TestbedError(f"--decision-deadline-s {args.decision_deadline_s}: must be positive")
    if not 0 <= args.retry_invalid <= MOST_RETRIES:
        raise TestbedError(f"--retry-invalid {args.retry_invalid}: expected 0 to {MOST_RETRIES}")
    for option in ("chunks", "lanes"):
        value = getattr(args, option)
        if value is not None and value < 1:
            raise TestbedError(f"--{option} {value}: must be 1 or more")


def _policies(args: argparse.Namespace, to_play: VideoToPlay) -> tuple[list[LoadedPolicy], list[str]]:
    """The policies that were asked for, or those of the default ones that can stream the video; and why
    the others can't.

    Raises:
        PolicyError: one that was asked for by name, or a fallback, can't be had, or can't stream it.
    """
    found: list[LoadedPolicy] = []
    left_out: list[str] = []
    for spec in [spec for text in args.policy or [DEFAULT_POLICIES] for spec in split_policies(text)]:
        try:
            policy = load_policy(spec, real=True)
            to_play.refuse(policy)
            found.append(policy)
        except PolicyError as error:
            if args.policy:
                raise
            left_out.append(str(error))
    to_play.refuse_fallbacks(found, args.fallback)
    return found, left_out


def _word(text: str) -> str:
    """A name that a file can have."""
    return re.sub(r"[^A-Za-z0-9.=_-]+", "-", Path(text).name if "." in text else text).strip("-.") or "trace"


def claim(path: Path) -> Path:
    """A new folder: `path`, or the first of `path-2`, `path-3`, … that nobody has, not even a run
    that began in the same second.

    Raises:
        TestbedError: it cannot be made.
    """
    try:
        make_directory(path.parent)
        found, number = path, 1
        while True:
            with contextlib.suppress(FileExistsError):
                found.mkdir()
                give_to_caller(found)
                return found
            number += 1
            found = path.with_name(f"{path.name}-{number}")
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(out: Path, error: OSError) -> TestbedError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return TestbedError(f"--out {out}: {reason}; name a folder that can be written")


def _names(policies: Sequence[str]) -> list[str]:
    """A record's name for each policy; the second `bba` is `bba-2`."""
    names: list[str] = []
    for policy in policies:
        word = _word(policy)
        name, number = word, 1
        while name in names:
            number += 1
            name = f"{word}-{number}"
        names.append(name)
    return names


def prepare_folder(out: Path) -> None:
    """Make the folder and check that there is room.

    Raises:
        TestbedError: it cannot be written, or the disk is nearly full.
    """
    try:
        make_directory(out)
        make_within(out, LOGS)
        free = shutil.disk_usage(out).free
        if not os.access(out, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise _unwritable(out, error) from None
    if free < NEEDED_BYTES:
        raise TestbedError(
            f"--out {out}: {free // 2**20} MiB free, {NEEDED_BYTES // 2**20} wanted; make room there"
        )


@contextlib.contextmanager
def folder_of(plan: RunPlan) -> Iterator[None]:
    """Make the run's folder and keep other runs out of it; what of it stays empty goes in the end.

    Raises:
        TestbedError: another run has it, it holds records already, or see `prepare_folder`.
    """
    try:
        make_directory(plan.out)
        descriptor = os.open(plan.out, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise _unwritable(plan.out, error) from None
    try:
        _lock(plan.out, descriptor)
        check_no_records(plan.out)  # once more: another run may have come and gone
        try:
            prepare_folder(plan.out)
            yield
        finally:
            _drop_if_empty(plan)
    finally:
        os.close(descriptor)


def _lock(out: Path, descriptor: int) -> None:
    """Hold the folder until its descriptor is closed, by whatever end of this process."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise TestbedError(f"--out {out}: another run is writing there; name another folder") from None
    except OSError:  # a file system without locks (a shared folder of a virtual machine): on trust
        return


def check_no_records(out: Path) -> None:
    """Refuse a folder in which records would be mixed with those of another run.

    Raises:
        TestbedError: it holds records.
    """
    if out.is_dir() and any(out.glob("*.jsonl")):
        raise TestbedError(f"--out {out} holds records already; name another folder")


def _drop_if_empty(plan: RunPlan) -> None:
    """Remove the folders of a run that came to nothing."""
    for folder in (plan.out / LOGS, *(() if plan.named else (plan.out,))):
        with contextlib.suppress(OSError):  # it holds something, or was never made
            folder.rmdir()


def describe(plan: RunPlan) -> str:
    """The run in one line."""
    first = plan.sessions[0]
    trace, video, settings = first.trace, first.video, first.settings
    fewer = plan.lanes is not None and plan.lanes < len(plan.sessions)
    at_once = f", {plan.lanes} at once" if fewer else ""
    return ", ".join(
        (
            f"{trace.name} (mean {trace.mean_mbps:.2f} Mbit/s, {trace.duration_s:.0f} s)",
            f"from {first.start_s:g} s",
            f"{video.name} {video.chunks} x {video.chunk_s:g} s",
            f"RTT {settings.rtt_ms:g} ms by {first.backend}",
            f"queue {settings.queue_limit_bytes(trace) / 1000:.0f} kB",
            settings.congestion_control,
            f"{len(plan.sessions)} lane{'s' if len(plan.sessions) > 1 else ''}{at_once}",
        )
    )

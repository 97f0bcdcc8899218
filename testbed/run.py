"""The main job: stream one video over one replayed trace, several policies side by side.

    sudo python testbed/run.py --trace 4g

Each policy gets a lane of its own with the identical trace. Records, link logs, origin logs and a
summary land in one folder. Exit status: 0 all sessions finished over true links, 1 some did not,
2 bad input or a machine that cannot, 130 or 143 when interrupted.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from testbed.handover import hand_over

    hand_over()

import argparse
import asyncio
import contextlib
import errno
import json
import math
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from player.decide import DEADLINE_S
from player.live import LiveConsole
from player.policy import BY_FALLBACK
from player.qoe import MU, QoE
from player.registry import PolicyError, load_policy, split_policies
from player.video import VideoError
from player.videos import load_video
from testbed.errors import TestbedError
from testbed.lane import Lane, check_congestion_control, delay_backend, require_tools
from testbed.options import Parser, add_link_options, link_settings, load_trace
from testbed.ownership import give_to_caller, make_directory
from testbed.settings import check_carried
from testbed.shaper_client import ShaperClient
from testbed.streaming import LOGS, LaneSession, SessionPlan, SessionResult, finished
from testbed.summary import as_json, table
from testbed.watch import Display
from traces.catalogue import default_video

DEFAULT_POLICIES = "bba,robustmpc,bola,rate"
DEFAULT_CHUNKS = 48
"""As in the published tests: 192 s of a video of 4-s chunks."""

RESULTS = Path("results")
NEEDED_BYTES = 64 * 1024 * 1024
"""Free disk that a run wants before it begins."""

BEGIN_AFTER_S = 0.5
"""From the moment that all players are ready to the common start."""

END_WITHIN_S = 10.0
"""After an interrupt a player that has not ended by itself is killed."""

PIPE_COLUMNS = 160
"""Nothing is folded for a pipe."""

BAD_INPUT, NOT_ALL_GOOD = 2, 1


def parser() -> Parser:
    """The command line."""
    command = Parser(
        prog="run.py", description="Stream one video over a replayed trace, several policies side by side."
    )
    what = command.add_argument_group("what is streamed")
    what.add_argument(
        "--trace",
        required=True,
        metavar="TRACE",
        help="a family (3g, 4g, lte, 5g, fcc, wifi), a member (4g/17), or a file in any known format",
    )
    what.add_argument("--format", metavar="NAME", help="the trace file's format (default: detected)")
    what.add_argument("--start-s", type=float, default=0.0, metavar="S", help="begin here in the trace")
    what.add_argument(
        "--video",
        metavar="VIDEO",
        help="envivio, envivio-hi, uhd, a directory of video_size_N files, or an MPD"
        " (default: uhd with lte, 5g and wifi, else envivio)",
    )
    what.add_argument(
        "--chunks", type=int, metavar="N", help=f"stream this many (default: {DEFAULT_CHUNKS}, or all it has)"
    )
    who = command.add_argument_group("who decides")
    who.add_argument(
        "--policy",
        action="append",
        metavar="NAME[,NAME…]",
        help="a lane each; NAME:key=value sets options, file.py:Class is yours"
        f" (default: {DEFAULT_POLICIES})",
    )
    who.add_argument("--seed", type=int, default=0, metavar="N", help="of policies and of the relay's loss")
    who.add_argument(
        "--decision-deadline-s",
        type=float,
        default=DEADLINE_S,
        metavar="S",
        help="a slower decision is made by the fallback, bba (default: %(default)g)",
    )
    add_link_options(command)
    scoring = command.add_argument_group("scoring")
    scoring.add_argument("--qoe", choices=sorted(MU), default="linear", help="kind of QoE (default: linear)")
    scoring.add_argument("--mu", type=float, metavar="X", help="stall weight (default: the published one)")
    scoring.add_argument("--smooth", type=float, default=1.0, metavar="X", help="switch weight (default: 1)")
    output = command.add_argument_group("output")
    output.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of records (default: results/TIME-TRACE)"
    )
    output.add_argument("--pcap", action="store_true", help="capture each player's packet headers")
    output.add_argument(
        "--json", action="store_true", help="print one JSON object and nothing else on stdout"
    )
    return command


@dataclass(frozen=True)
class RunPlan:
    """All sessions of a run."""

    sessions: tuple[SessionPlan, ...]
    out: Path
    qoe: QoE


def plan_run(args: argparse.Namespace, arguments: Sequence[str]) -> RunPlan:
    """Check everything that can be checked before anything is made.

    Raises:
        TestbedError, PolicyError, VideoError: what is wrong and the way out.
    """
    trace = load_trace(args.trace, args.format, args.cap_mbps)
    if not (math.isfinite(args.start_s) and args.start_s >= 0):
        raise TestbedError(f"--start-s {args.start_s}: must be 0 or more")
    if not (math.isfinite(args.decision_deadline_s) and args.decision_deadline_s > 0):
        raise TestbedError(f"--decision-deadline-s {args.decision_deadline_s}: must be positive")
    video_spec = args.video or default_video(trace.family)
    whole = load_video(video_spec)
    if args.chunks is not None and args.chunks < 1:
        raise TestbedError(f"--chunks {args.chunks}: must be 1 or more")
    video = whole.first(min(DEFAULT_CHUNKS, whole.chunks) if args.chunks is None else args.chunks)
    try:
        qoe = QoE(args.qoe, MU[args.qoe] if args.mu is None else args.mu, args.smooth)
        qoe.quality(video.ladder_kbps)
    except ValueError as error:
        raise TestbedError(str(error)) from None
    policies = [name for text in args.policy or [DEFAULT_POLICIES] for name in split_policies(text)]
    with contextlib.redirect_stdout(sys.stderr):  # a user's file may print; stdout is for --json
        for policy in policies:
            load_policy(policy)
    settings = link_settings(args)
    require_tools()
    check_congestion_control(settings.congestion_control)
    backend = delay_backend(settings.delay_backend)
    check_carried(trace, settings, backend)
    if args.out is not None and args.out.is_dir() and any(args.out.glob("*.jsonl")):
        raise TestbedError(f"--out {args.out} holds records already; name another folder")
    out = args.out or _claim(RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}-{_word(args.trace)}")
    sessions = tuple(
        SessionPlan(
            policy=policy,
            trace=trace,
            trace_spec=args.trace,
            start_s=args.start_s,
            video=video,
            video_spec=video_spec,
            settings=settings,
            backend=backend,
            qoe=qoe,
            seed=args.seed,
            decision_deadline_s=args.decision_deadline_s,
            record=(out / f"{name}.jsonl").absolute(),
            command_line=("testbed/run.py", *arguments),
            cap_mbps=args.cap_mbps,
            pcap=args.pcap,
        )
        for policy, name in zip(policies, _names(policies), strict=True)
    )
    return RunPlan(sessions, out, qoe)


def _word(text: str) -> str:
    """A name that a file can have."""
    return re.sub(r"[^A-Za-z0-9.=_-]+", "-", Path(text).name if "." in text else text).strip("-.") or "trace"


def _claim(path: Path) -> Path:
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
    return TestbedError(f"--out {out}: {error.strerror}; name a folder that can be written")


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
        make_directory(out / LOGS)
        free = shutil.disk_usage(out).free
        if not os.access(out, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise _unwritable(out, error) from None
    if free < NEEDED_BYTES:
        raise TestbedError(
            f"--out {out}: {free // 2**20} MiB free, {NEEDED_BYTES // 2**20} wanted; make room there"
        )


class Interrupt:
    """SIGINT and SIGTERM, heard once."""

    def __init__(self) -> None:
        self.heard = asyncio.Event()
        self.status = 0
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._hear, number)

    def _hear(self, number: int) -> None:
        self.status = self.status or 128 + number
        self.heard.set()


class Interrupted(Exception):
    """A signal came before any session had begun."""


async def side_by_side(plan: RunPlan, console: Console, interrupt: Interrupt) -> list[SessionResult]:
    """Stream all sessions at once, each on its lane.

    Raises:
        TestbedError: a lane, a process or a path that is not as asked.
        OSError: a record cannot be written.
        Interrupted: before the start.
    """
    leftovers: list[Path] = []
    try:
        async with contextlib.AsyncExitStack() as stack:
            sessions = []
            shaper = await stack.enter_async_context(ShaperClient())
            for index, session_plan in enumerate(plan.sessions):
                name = f"sb{os.getpid()}-{index}"
                lane = stack.enter_context(
                    Lane(name, session_plan.settings, session_plan.backend, session_plan.seed)
                )
                session = LaneSession(session_plan, lane, shaper, index)
                stack.push_async_callback(session.close)
                leftovers += session.leftovers()
                sessions.append(session)
            results = await _run_lanes(plan, sessions, console, interrupt)
        return results
    finally:
        for path in leftovers:
            path.unlink(missing_ok=True)


async def _run_lanes(
    plan: RunPlan, sessions: Sequence[LaneSession], console: Console, interrupt: Interrupt
) -> list[SessionResult]:
    async def unless_interrupted(tasks: list[asyncio.Task[None]]) -> None:
        waiting = asyncio.create_task(interrupt.heard.wait())
        try:
            together = asyncio.ensure_future(asyncio.gather(*tasks))
            first: set[asyncio.Future[Any]] = {waiting, together}
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            if interrupt.heard.is_set():
                together.cancel()
                with contextlib.suppress(asyncio.CancelledError, TestbedError):
                    await together
                raise Interrupted
            await together
        finally:
            waiting.cancel()

    await unless_interrupted([asyncio.create_task(session.start()) for session in sessions])
    for session in sessions:  # one after the other: a probe wants a quiet machine
        await unless_interrupted([asyncio.create_task(session.probe())])
    await unless_interrupted([asyncio.create_task(session.ready()) for session in sessions])

    names = [session.plan.name for session in sessions]
    first = plan.sessions[0]
    with Display(console, names, first.video, first.trace, first.start_s) as display:
        t0 = time.monotonic() + BEGIN_AFTER_S
        display.begin(t0)
        streaming = [asyncio.create_task(session.stream(t0, display)) for session in sessions]
        stopping = asyncio.create_task(_interrupt_all(sessions, interrupt))
        try:
            return list(await asyncio.gather(*streaming))
        finally:
            stopping.cancel()
            for task in streaming:
                task.cancel()
            await asyncio.gather(*streaming, return_exceptions=True)


async def _interrupt_all(sessions: Sequence[LaneSession], interrupt: Interrupt) -> None:
    await interrupt.heard.wait()
    for session in sessions:
        session.interrupt()
    await asyncio.sleep(END_WITHIN_S)
    for session in sessions:
        session.kill_player()


def _what(plan: RunPlan) -> str:
    """The run in one line."""
    first = plan.sessions[0]
    trace, video, settings = first.trace, first.video, first.settings
    return ", ".join(
        (
            f"{trace.name} (mean {trace.mean_mbps:.2f} Mbit/s, {trace.duration_s:.0f} s)",
            f"from {first.start_s:g} s",
            f"{video.name} {video.chunks} x {video.chunk_s:g} s",
            f"RTT {settings.rtt_ms:g} ms by {first.backend}",
            f"queue {settings.queue_limit_bytes(trace) / 1000:.0f} kB",
            settings.congestion_control,
            f"{len(plan.sessions)} lane{'s' if len(plan.sessions) > 1 else ''}",
        )
    )


def remarks(results: Sequence[SessionResult]) -> list[str]:
    """What a reader of the table has to know besides: untrue links, and decisions by the fallback."""
    lines = []
    for result in results:
        policy = result.plan.policy
        lines += [f"link of {policy} INVALID: {reason}" for reason in result.verdict.reasons]
        replaced = [row for row in result.chunks if row.by == BY_FALLBACK]
        if replaced:
            count = f"{len(replaced)} of {len(result.chunks)} chunks"
            lines.append(f"{policy}: the fallback decided {count}, first because {replaced[0].reason}")
    return lines


async def _run(plan: RunPlan, as_object: bool) -> int:
    stream = sys.stderr if as_object else sys.stdout
    console = LiveConsole(file=stream, width=None if stream.isatty() else PIPE_COLUMNS)
    interrupt = Interrupt()
    prepare_folder(plan.out)
    console.print(Text(_what(plan)), soft_wrap=True)
    try:
        results = await side_by_side(plan, console, interrupt)
    except Interrupted:
        console.print("interrupted before any session had begun; nothing was recorded")
        return interrupt.status
    report = as_json(results, plan.qoe, str(plan.out))
    summary_file = plan.out / "summary.json"
    summary_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    give_to_caller(summary_file)
    console.print()
    console.print(table(results, plan.qoe))
    for line in remarks(results):
        console.print(Text(line), soft_wrap=True)
    console.print(Text(f"records: {plan.out}"), soft_wrap=True)
    if as_object:
        print(json.dumps(report), flush=True)
    if interrupt.status:
        return interrupt.status
    return 0 if all(map(finished, results)) else NOT_ALL_GOOD


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    args = parser().parse_args(words)
    try:
        return asyncio.run(_run(plan_run(args, words), args.json))
    except (TestbedError, PolicyError, VideoError) as error:
        print(f"run.py: {error}", file=sys.stderr)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"run.py: {where}{error.strerror or error}; nothing more was recorded", file=sys.stderr)
    except KeyboardInterrupt:  # while planning; later ones are heard by `Interrupt`
        print("run.py: interrupted; nothing was recorded", file=sys.stderr)
        return 128 + signal.SIGINT
    return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())

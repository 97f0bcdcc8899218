"""Does a wrong link ever pass as right? Sessions over lanes that are changed by hand; exit status 1 if so.

    sudo python testbed/tamper.py [--kinds loss-3-after,mtu] [--sessions 5] [--lanes 8]

Short sessions stream in several lanes at once; in each, one thing is changed when two chunks are in
(`testbed/checks/tampering.py` has the kinds). Every such session has to come out invalid, and every session
that nobody touched valid. With `--no-watch` nobody listens for changes, so that only what the packets
and the clocks tell counts.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from traces.handover import hand_over

    hand_over()

    from testbed.checks.tamper_command_line import parser

    parser().parse_args()  # help and mistakes don't wait for the imports that follow

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from player.record import ChunkRow, EndRow
from player.registry import PolicyError
from testbed.checks.tamper_command_line import parser
from testbed.checks.tampering import CONSTANT_MBPS, KINDS, UNTOUCHED, Hands, Kind, NotHere
from testbed.lanes.folder import prepare_folder
from testbed.lanes.side_by_side import begin_after_s
from testbed.lanes.streaming import LaneSessions, ReadySessions
from testbed.link.lane import Lane
from testbed.link.shaper_client import ShaperClient
from testbed.process.console import person_console
from testbed.process.errors import TestbedError
from testbed.session import plan as planning
from testbed.session.command_line import parser as run_parser
from testbed.session.session_plan import SessionPlan, SessionResult
from testbed.session.videos import VIDEOS
from traces.commands import carried_out, exit_with
from traces.ownership import make_directory
from traces.temporary import temporary_folder
from traces.words import nearest

CHUNKS = 20
CHUNK_S = 2.0
LADDER_KBPS = (300, 750, 1200, 1850, 2850, 4300)
ACT_AFTER_CHUNK = 1
"""The second."""
POLICIES = ("bba", "rate")
_SIZES_VARY = (1.0, 1.15, 0.9, 1.05, 0.85)
"""Chunks of a real video differ by so much, in turn."""


@dataclasses.dataclass(frozen=True)
class TamperJob:
    """One session to stream."""

    kind: Kind
    number: int


@dataclasses.dataclass(frozen=True)
class TamperOutcome:
    """What came of it."""

    kind: str
    sentence: str
    number: int
    wrong: bool
    """Whether the lane was changed."""
    valid: bool | None
    """None where it could not be made, or not streamed."""
    reasons: tuple[str, ...]

    @property
    def missed(self) -> bool:
        """A wrong link that passed, or a right one that did not."""
        return self.valid is not None and self.valid == self.wrong


class Tamperer:
    """Watches a session and lets `act` loose in its lane."""

    def __init__(self, kind: Kind, hands: Hands, pool: ThreadPoolExecutor) -> None:
        self._kind = kind
        self._hands = hands
        self._pool = pool
        self.acting: asyncio.Future[None] | None = None

    def act(self) -> None:
        """Now."""
        self.acting = asyncio.get_running_loop().run_in_executor(self._pool, self._kind.act, self._hands)

    def state(self, index: int, state: dict[str, Any]) -> None:
        """See `testbed.session.session_plan.Watcher`."""

    def chunk(self, index: int, row: ChunkRow) -> None:
        """See `testbed.session.session_plan.Watcher`."""
        if row.chunk == ACT_AFTER_CHUNK and not self._kind.at_start:
            self.act()

    def end(self, index: int, row: EndRow) -> None:
        """See `testbed.session.session_plan.Watcher`."""


def write_video(folder: Path) -> Path:
    """A video of short chunks, so that many choices fit into a minute."""
    folder.mkdir()
    for level, kbps in enumerate(LADDER_KBPS):
        sizes = [
            round(kbps * 125 * CHUNK_S * _SIZES_VARY[chunk % len(_SIZES_VARY)]) for chunk in range(CHUNKS)
        ]
        (folder / f"video_size_{level}").write_text("".join(f"{size}\n" for size in sizes))
    (folder / "chunk_s").write_text(f"{CHUNK_S:g}\n")
    (folder / "ladder_kbps").write_text("".join(f"{kbps}\n" for kbps in LADDER_KBPS))
    return folder


def write_constant(path: Path) -> Path:
    """The constant trace."""
    path.write_text("".join(f"{second} {CONSTANT_MBPS:g}\n" for second in range(1, 121)))
    return path


class TamperBench:
    """Streams jobs, so many lanes at a time."""

    def __init__(self, folder: Path, trace: str, lanes: int, listens: bool, console: Console) -> None:
        self._folder = folder
        self._trace = trace
        self._lanes = lanes
        self._listens = listens
        self._console = console
        self._video = write_video(folder / "video")
        self._constant = write_constant(folder / "constant.log")
        self._batch = 0

    async def stream(self, jobs: Sequence[TamperJob]) -> list[TamperOutcome]:
        """All of them."""
        found = []
        for begin in range(0, len(jobs), self._lanes):
            batch = jobs[begin : begin + self._lanes]
            found += await self._stream(batch)
            for one in found[-len(batch) :]:
                self._console.print(Text(_line(one)), soft_wrap=True)
        return found

    def _plan(self, job: TamperJob, place: int) -> SessionPlan:
        trace = str(self._constant) if job.kind.constant else f"{self._trace}/{job.number}"
        out = self._folder / f"batch-{self._batch}-{place}"
        words = ["--trace", trace, "--video", str(self._video), "--chunks", str(CHUNKS), "--out", str(out)]
        words += ["--policy", POLICIES[job.number % len(POLICIES)]]
        run = planning.plan_run(run_parser().parse_args(words), words)
        prepare_folder(run.out)
        return run.sessions[0]

    async def _stream(self, jobs: Sequence[TamperJob]) -> list[TamperOutcome]:
        self._batch += 1
        async with contextlib.AsyncExitStack() as stack:
            pool = stack.enter_context(ThreadPoolExecutor(len(jobs)))
            asked: list[LaneSessions[SessionPlan, SessionResult]] = []
            tamperers: list[Tamperer] = []
            for place, job in enumerate(jobs):
                plan = self._plan(job, place)
                shaper = await stack.enter_async_context(ShaperClient())  # its own: it may be stopped
                name = f"sb{os.getpid()}-{self._batch}-{place}"
                lane = stack.enter_context(Lane(name, plan.settings, plan.backend, plan.seed, plan.trace))
                sessions = LaneSessions([plan], VIDEOS, lane, shaper, place, listens=self._listens)
                stack.push_async_callback(sessions.close)
                asked.append(sessions)
                hands = Hands(lane, shaper.netlink_port, plan.settings.queue_limit_bytes(plan.trace))
                tamperers.append(Tamperer(job.kind, hands, pool))
            started = await asyncio.gather(*(sessions.start() for sessions in asked))
            probed = [await sessions.probe() for sessions in started]
            ready = await asyncio.gather(*(sessions.ready() for sessions in probed))
            t0 = time.monotonic() + begin_after_s(len(ready))
            tasks = [
                asyncio.create_task(_one(job, sessions, tamperer, t0))
                for job, sessions, tamperer in zip(jobs, ready, tamperers, strict=True)
            ]
            return list(await asyncio.gather(*tasks))


async def _one(
    job: TamperJob, sessions: ReadySessions[SessionResult], tamperer: Tamperer, t0: float
) -> TamperOutcome:
    """Stream one session and see what is said of its link."""
    kind = job.kind
    streaming = asyncio.create_task(sessions.stream(t0, tamperer))
    if kind.at_start:
        await asyncio.sleep(max(t0 - time.monotonic(), 0.0))
        tamperer.act()
    (result,) = await streaming
    wrong = kind not in UNTOUCHED
    valid: bool | None = result.end.valid
    reasons = tuple(result.end.link["reasons"])
    try:
        if tamperer.acting is not None:
            await tamperer.acting
        elif wrong:
            valid, reasons = None, ("the session ended before its time came",)
    except (NotHere, OSError) as error:
        valid, reasons = None, (f"cannot be made here: {error}",)
    return TamperOutcome(kind.name, kind.sentence, job.number, wrong, valid, reasons)


def _line(one: TamperOutcome) -> str:
    said = "not counted" if one.valid is None else "valid" if one.valid else "INVALID"
    mark = "  <-- MISSED" if one.missed else ""
    return f"  {one.kind} {one.number}: {said}{mark}" + "".join(f"\n      {why}" for why in one.reasons[:4])


def table(outcomes: Sequence[TamperOutcome]) -> Table:
    """A line a kind."""
    shown = Table(title="links changed by hand", title_justify="left", box=None, pad_edge=False)
    for name in ("kind", "what was done", "sessions", "invalid", "first reason"):
        shown.add_column(name, justify="right" if name in ("sessions", "invalid") else "left")
    for kind in dict.fromkeys(one.kind for one in outcomes):
        mine = [one for one in outcomes if one.kind == kind]
        counted = [one for one in mine if one.valid is not None]
        reasons = [reason for one in counted or mine for reason in one.reasons[:1]]
        shown.add_row(
            *map(
                Text,
                (
                    kind,
                    mine[0].sentence,
                    str(len(counted)),
                    str(sum(not one.valid for one in counted))
                    + (" !" if any(one.missed for one in mine) else ""),
                    reasons[0] if reasons else "",
                ),
            )
        )
    return shown


def chosen(args: argparse.Namespace) -> list[TamperJob]:
    """The sessions that are asked for, the kinds in turn.

    Raises:
        TestbedError: no such kind, or no such number.
    """
    for name in ("sessions", "lanes"):
        if not 1 <= getattr(args, name) <= 250:
            raise TestbedError(f"--{name} {getattr(args, name)}: expected 1 to 250")
    known = {kind.name: kind for kind in (*UNTOUCHED, *KINDS)}
    names = list(known) if args.kinds is None else args.kinds.split(",")
    unknown = [name for name in names if name not in known]
    if unknown:
        near = nearest(unknown[0], known)
        hint = f"; did you mean {near}?" if near else f"; there are {', '.join(known)}"
        raise TestbedError(f"--kinds {unknown[0]}: no such kind{hint}")
    kinds = [known[name] for name in names if known[name].counted or not args.no_watch]
    if not kinds:
        raise TestbedError(f"--kinds {args.kinds}: only who listens can tell these; leave --no-watch out")
    return [TamperJob(kind, number) for number in range(args.sessions) for kind in kinds]


async def _run(args: argparse.Namespace) -> int:
    jobs = chosen(args)
    console = person_console(sys.stdout, args.json)
    with contextlib.ExitStack() as stack:
        if args.keep is None:
            folder = stack.enter_context(temporary_folder())
        else:
            folder = args.keep.absolute()
            make_directory(folder)
        bench = TamperBench(folder, args.trace, args.lanes, not args.no_watch, console)
        outcomes = await bench.stream(jobs)
    console.print(table(outcomes))
    missed = [one for one in outcomes if one.missed]
    counted = sum(one.valid is not None for one in outcomes)
    console.print(f"{counted} sessions counted, {len(missed)} judged wrongly")
    if args.json:
        report = {
            "watch": not args.no_watch,
            "sessions": [dataclasses.asdict(one) for one in outcomes],
            "missed": len(missed),
        }
        print(json.dumps(report, allow_nan=False), flush=True)
    return 1 if missed else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = parser().parse_args(arguments)
    return carried_out("tamper.py", lambda: asyncio.run(_run(args)), (TestbedError, PolicyError))


if __name__ == "__main__":
    exit_with(main)

"""`run.py --reproduce RECORD`: a record's session again, with its settings, and what comes out otherwise.

A computed session has to come out the same to the last digit. An emulated one does not: two players never
meet the same microseconds. So the two are shown side by side, with what of the settings could not be had
again (another kernel, other versions, other weights). Exit status: 0 the session went as it should (a
computed one: as it did), 1 it did not, 2 it cannot be repeated here.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import re
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TextIO

from rich.console import Console
from rich.text import Text

from player.fallback import load_fallback
from player.qoe import QoE
from player.record import FINISHED, Record, RecordError, read_record
from player.registry import PolicyError
from player.video.video import Video
from testbed.again.differences import Differences, Mismatch, origin_differences, show_mismatches
from testbed.again.recorded import (
    EmulatedAgain,
    check_length,
    computed_session,
    emulated_sessions,
    fallback_in,
    qoe_of,
    trace_of,
    video_of,
)
from testbed.again.told import Told, plain
from testbed.again.trust import trusted_files
from testbed.again.video import check_servable, had_video, laid_out
from testbed.aqm.managed import refuse_aqm
from testbed.browser.clients import PYTHON
from testbed.lanes.folder import RESULTS, claim, folder_of
from testbed.lanes.side_by_side import Interrupt, Interrupted, side_by_side
from testbed.link.lane import check_congestion_control, delay_backend, require_tools
from testbed.link.settings import LinkSettings, check_carried
from testbed.process.console import person_console
from testbed.process.errors import TestbedError
from testbed.session.command_line import parser as run_parser
from testbed.session.plan import RunPlan
from testbed.session.transports import able_transport
from testbed.session.videos import VIDEOS
from testbed.simulated.jobs import SimulationJob, run_jobs
from testbed.simulated.simulation import RunFacts
from testbed.sweeps.lanes import LaneServices, stream_unit
from traces.commands import Parser, add_json_option
from traces.files import write_aside
from traces.ownership import make_directory
from traces.safe_reading import shown
from traces.trace import Trace

BESIDE = ("--out", "--trust", "--json")
"""Options that go with `--reproduce`."""


class ReproduceParser(Parser):
    """Says of the options of an ordinary run that they can't be had: the record has them all."""

    def error(self, message: str) -> NoReturn:
        unknown = re.match(r"unrecognized arguments: (--?[\w-]+)", message)
        if unknown and unknown[1] in run_parser().option_names:
            message = f"--reproduce goes alone: the record says what {unknown[1]} would; leave it away"
            message += f" (only {', '.join(BESIDE)} go with it)"
        super().error(message)


def parser() -> Parser:
    """The command line."""
    command = ReproduceParser(
        prog="run.py", description="Run the session of a record again and say what differs."
    )
    command.add_argument("--reproduce", required=True, type=Path, metavar="RECORD", help="the record")
    command.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the new record (default: results/TIME-again)"
    )
    command.add_argument(
        "--trust", action="store_true", help="run the policy file that the record names: you have read it"
    )
    add_json_option(command)
    return command


@dataclass(frozen=True)
class RecordToRepeat:
    """A record that can be run again, checked before anything is made."""

    record: Record
    told: Told
    simulated: bool
    trace: Trace
    video: Video
    """As it was streamed."""
    qoe: QoE
    command_line: tuple[str, ...]


@dataclass
class Aloud:
    """Who hears what has to be said before a policy's code runs, and before the session does."""

    console: Console
    policy_file: str
    origin: tuple[Mismatch, ...] = ()

    def before(self, wanted: RecordToRepeat) -> None:
        """Say which file is run, and what differs in where the record comes from.

        Raises:
            PolicyError: the policy can't be had.
        """
        if self.policy_file:
            self.console.print(Text(self.policy_file), soft_wrap=True)
        self.origin = origin_differences(wanted.record, wanted.told.needed("policy.spec"))
        show_mismatches(self.console, self.origin)


def reproduce(words: Sequence[str], out: TextIO) -> int:
    """The command; its exit status.

    Raises:
        TestbedError, PolicyError, VideoError: the session cannot be repeated here.
        OSError: the record cannot be read, or the new one not written.
    """
    args = parser().parse_args(list(words))
    console = person_console(out, args.json)
    wanted = _record_to_repeat(args.reproduce, ("testbed/run.py", *words))
    policy, fallback = wanted.told.needed("policy.spec"), fallback_in(wanted.told)
    said = trusted_files(wanted.told, policy, fallback, args.trust)
    try:
        load_fallback(fallback)
    except PolicyError as error:
        raise TestbedError(f"{plain(str(args.reproduce))}: {error}") from None
    folder = args.out or claim(RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}-again")
    try:
        aloud = Aloud(console, said)
        again, status = (_computed if wanted.simulated else _emulated)(wanted, folder, aloud)
    except Interrupted:
        console.print("interrupted before the session was over; nothing was recorded")
        return 128 + signal.SIGINT
    finally:
        with contextlib.suppress(OSError):  # it holds something, or the user named it
            folder.rmdir()
    found = Differences(wanted.record, again, wanted.qoe, aloud.origin)
    found.show(console)
    report = found.to_json()
    write_aside(Path(again.path).parent / "difference.json", json.dumps(report, indent=2) + "\n")
    if args.json:
        print(json.dumps(report, allow_nan=False), file=out, flush=True)
    if wanted.simulated:
        return 0 if report["same_outcome"] else 1
    return status


def _record_to_repeat(path: Path, command_line: tuple[str, ...]) -> RecordToRepeat:
    """The record, as far as computed and emulated sessions are alike.

    Raises:
        TestbedError: it can't be run again.
        OSError: it cannot be read.
    """
    try:
        record = read_record(path)
    except RecordError as error:
        raise TestbedError(str(error)) from None
    told = Told(record)
    if not told.has("trace") and not told.has("link"):
        raise TestbedError(f"{path} is of a session over a real network; nobody can have that network again")
    client = told.optional("player.client")
    if client not in (None, PYTHON):
        raise TestbedError(
            f"{path} is of a session that {shown(client)} played, which is not played again from its record;"
            " give the command in its command_line"
        )
    trace, video = trace_of(told), video_of(told)
    check_length(told, video, trace)
    return RecordToRepeat(
        record, told, told.needed("simulated"), trace, video, qoe_of(told, video), command_line
    )


def _computed(wanted: RecordToRepeat, folder: Path, aloud: Aloud) -> tuple[Record, int]:
    """The new record of a computed session."""
    record = folder / Path(wanted.record.path).name
    session = computed_session(wanted.told, had_video(wanted.told, wanted.video), wanted.trace, record)
    if record.exists():
        raise TestbedError(f"--out {folder} holds {record.name} already; name another folder")
    aloud.before(wanted)
    make_directory(folder)
    facts = RunFacts(folder.name, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), wanted.command_line)
    for _, done in run_jobs([SimulationJob((session,), (False,), facts)], 1):
        if done.written.get(record) is None:
            raise TestbedError(f"{session.name}: its process died with it (does it end it?); not recorded")
    return read_record(record), 0


def _emulated(wanted: RecordToRepeat, folder: Path, aloud: Aloud) -> tuple[Record, int]:
    """The new record of an emulated session, and whether it went as it should."""
    check_servable(wanted.told, wanted.video)
    aloud.before(wanted)  # whether a policy asks a server, its code tells
    sessions = emulated_sessions(wanted.told, wanted.video, wanted.trace, folder, wanted.command_line)
    settings, recorded = sessions.mine.settings, sessions.mine.backend
    able_transport(sessions.mine.transport, wanted.trace, settings)
    backend = _backend(wanted.trace, settings, recorded)
    with _had(wanted, folder) as (video, spec):
        plans = tuple(
            dataclasses.replace(plan, backend=backend, video=video, video_spec=spec)
            for plan in sessions.plans
        )
        return _streamed(dataclasses.replace(sessions, plans=plans), folder, aloud.console)


@contextlib.contextmanager
def _had(wanted: RecordToRepeat, folder: Path) -> Iterator[tuple[Video, str]]:
    """The streamed part of the video, and how an origin finds it. What had to be laid out goes again where no
    record came of it."""
    had = had_video(wanted.told, wanted.video)
    if had.spec is not None:
        yield had.whole.first(wanted.video.chunks), had.spec
        return
    place = laid_out(wanted.video, folder)
    try:
        yield wanted.video, str(place)
    except BaseException:
        shutil.rmtree(place.parent, ignore_errors=True)
        raise


def _streamed(sessions: EmulatedAgain, folder: Path, console: Console) -> tuple[Record, int]:
    run = RunPlan(sessions=sessions.plans, out=folder, qoe=sessions.mine.qoe, named=True)
    with folder_of(run):
        status = asyncio.run(_stream(run, sessions.sharing.stagger_s, console))
        again = read_record(sessions.mine.record)
        good = again.end.outcome == FINISHED and again.end.valid
        return again, status or (0 if good else 1)


def _backend(trace: Trace, settings: LinkSettings, recorded: str) -> str:
    """Who delays and loses: as it was, or, which is said as a difference, who can here.

    Raises:
        TestbedError: nobody can.
    """
    require_tools()
    check_congestion_control(settings.congestion_control)
    try:
        backend = delay_backend(recorded)
    except TestbedError:
        backend = delay_backend("auto")
    check_carried(trace, settings, backend)
    refuse_aqm(settings.aqm)
    return backend


async def _stream(run: RunPlan, stagger_s: float, console: Console) -> int:
    """Stream; the exit status that a signal asks for, else 0.

    Raises:
        Interrupted: a signal came before there was a record.
    """
    interrupt = Interrupt()
    if len(run.sessions) == 1:
        await side_by_side(run, VIDEOS, console, interrupt)
        return interrupt.status
    async with contextlib.AsyncExitStack() as stack:
        shared = LaneServices(stack, run.device)
        streaming = asyncio.create_task(
            stream_unit(run.sessions, stagger_s, "sb-again", shared, asyncio.Lock())
        )
        heard = asyncio.create_task(interrupt.heard.wait())
        await asyncio.wait({streaming, heard}, return_when=asyncio.FIRST_COMPLETED)
        heard.cancel()
        if not streaming.done():
            streaming.cancel()
            await asyncio.gather(streaming, return_exceptions=True)
            raise Interrupted
        await streaming
    return interrupt.status

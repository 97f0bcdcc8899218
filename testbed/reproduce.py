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
import signal
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from player.fallback import FALLBACK_ONCE
from player.qoe import QoE, SessionSummary, summarise
from player.record import FINISHED, Record, RecordError, read_record
from player.video.built_in import load_video
from player.video.video import Video, VideoError
from testbed.link.lane import check_congestion_control, delay_backend, require_tools
from testbed.link.settings import LinkSettings, Loss, check_carried
from testbed.process.console import person_console
from testbed.process.errors import TestbedError
from testbed.session.plan import RESULTS, RunPlan, claim, folder_of
from testbed.session.session_plan import LANES_AT_ONCE, SessionPlan
from testbed.session.side_by_side import Interrupt, Interrupted, side_by_side
from testbed.simulated.models import MODELS
from testbed.simulated.simulation import RunFacts, SessionToSimulate, SimulationJob, run_job
from testbed.simulated.starts import Start
from testbed.sweeps.lanes import LaneServices, server_of, stream_unit
from traces.commands import Parser
from traces.files import write_aside
from traces.ownership import give_to_caller, make_directory
from traces.trace import Trace

OF_THE_RUN = (
    *("line", "schema", "run_id", "started_at", "command_line"),
    *("lane", LANES_AT_ONCE, "url", "sweep"),
)
"""What a manifest says of its run, not of its session."""
MEASURED = ("probe", "qdiscs")
"""What a link's section has seen before the session."""
LONGEST_VALUE = 60


@dataclass(frozen=True)
class Mismatch:
    """Something that was not as it had been."""

    what: str
    recorded: Any
    again: Any


def parser() -> Parser:
    """The command line."""
    command = Parser(prog="run.py", description="Run the session of a record again and say what differs.")
    command.add_argument("--reproduce", required=True, type=Path, metavar="RECORD", help="the record")
    command.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the new record (default: results/TIME-again)"
    )
    command.add_argument(
        "--json", action="store_true", help="print one JSON object and nothing else on stdout"
    )
    return command


def reproduce(words: Sequence[str], out: TextIO) -> int:
    """The command; its exit status.

    Raises:
        TestbedError, PolicyError, VideoError: the session cannot be repeated here.
        OSError: the record cannot be read, or the new one not written.
    """
    args = parser().parse_args(list(words))
    try:
        record = read_record(args.reproduce)
    except RecordError as error:
        raise TestbedError(str(error)) from None
    if "trace" not in record.manifest or "link" not in record.manifest:
        raise TestbedError(
            f"{args.reproduce} is of a session over a real network; nobody can have that network again"
        )
    console = person_console(out, args.json)
    command_line = ("testbed/run.py", *words)
    folder = args.out or claim(RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}-again")
    try:
        again, status = (
            _computed(record, folder, command_line)
            if record.manifest.get("simulated")
            else _emulated(record, folder, command_line, console)
        )
    except Interrupted:
        console.print("interrupted before the session was over; nothing was recorded")
        return 128 + signal.SIGINT
    finally:
        with contextlib.suppress(OSError):  # it holds something, or the user named it
            folder.rmdir()
    settings, outcome = differences(record, again)
    if record.manifest.get("simulated"):
        status = 0 if not outcome else 1
    _show(console, record, again, settings, outcome)
    report = as_json(record, again, settings, outcome)
    write_aside(Path(again.path).parent / "difference.json", json.dumps(report, indent=2) + "\n")
    if args.json:
        print(json.dumps(report, allow_nan=False), file=out, flush=True)
    return status


def _trace(record: Record) -> Trace:
    told = record.manifest["trace"]
    return Trace.of(str(told["name"]), told, str(told.get("family", "")))


def _video(record: Record, folder: Path) -> tuple[Video, str]:
    """The whole video, if it can be had; else what of it was streamed. And how an origin finds it."""
    told = record.manifest["video"]
    for spec in dict.fromkeys((told.get("spec"), told["name"])):
        with contextlib.suppress(VideoError, OSError, TypeError):
            whole = load_video(spec)
            if whole.first(told["chunks"]).sha256 == told["sha256"]:
                return whole, str(spec)
    place = folder / "video" / str(told["name"])
    make_directory(place)
    for level in range(len(told["ladder_kbps"])):
        sizes = "".join(f"{row[level]}\n" for row in told["sizes_bytes"])
        (place / f"video_size_{level}").write_text(sizes, encoding="utf-8")
    (place / "chunk_s").write_text(f"{told['chunk_s']!r}\n", encoding="utf-8")
    ladder = "".join(f"{kbps}\n" for kbps in told["ladder_kbps"])
    (place / "ladder_kbps").write_text(ladder, encoding="utf-8")
    give_to_caller(place)
    return load_video(place), str(place)


def _computed(record: Record, folder: Path, command_line: Sequence[str]) -> tuple[Record, int]:
    """The new record of a computed session."""
    told = record.manifest
    if told["policy"].get("earlier_sessions"):
        raise TestbedError(
            f"{record.path}: the policy carried state from {told['policy']['earlier_sessions']} sessions"
            " before this one; run its simulate.py command again"
        )
    link = dict(told["link"])
    model = str(link.pop("model"))
    if model not in MODELS:
        raise TestbedError(f"{record.path}: link model {model!r}; this version has {', '.join(MODELS)}")
    make_directory(folder)
    video, _ = _video(record, folder)
    session = SessionToSimulate(
        policy=str(told["policy"]["spec"]),
        start=Start(_trace(record), int(told["trace"]["start_index"])),
        trace_spec=str(told["trace"]["spec"]),
        video=video,
        chunks=int(told["video"]["chunks"]),
        first_level=told["player"]["first_level"],
        link_name=model,
        link=MODELS[model].kind(**link),
        qoe=QoE(**told["told_qoe"]),
        run_seed=int(told["run_seed"]),
        record=_free(folder / Path(record.path).name),
        fallback=str(told["player"].get("fallback") or FALLBACK_ONCE),
    )
    facts = RunFacts(folder.name, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), tuple(command_line))
    run_job(SimulationJob((session,), (False,), facts))
    return read_record(session.record), 0


def _free(path: Path) -> Path:
    if path.exists():
        raise TestbedError(f"--out {path.parent} holds {path.name} already; name another folder")
    return path


def _emulated(
    record: Record, folder: Path, command_line: Sequence[str], console: Console
) -> tuple[Record, int]:
    """The new record of an emulated session, and whether it went as it should."""
    plans = session_plans(record, folder, command_line)
    shared = record.manifest.get("shared", {})
    mine = plans[int(shared.get("index", 0))]
    run = RunPlan(tuple(plans), folder, mine.qoe, named=True)
    with folder_of(run):
        status = asyncio.run(_stream(run, float(shared.get("stagger_s", 0.0)), console))
        again = read_record(mine.record)
        good = again.end.outcome == FINISHED and again.end.valid
        return again, status or (0 if good else 1)


def session_plans(record: Record, folder: Path, command_line: Sequence[str]) -> list[SessionPlan]:
    """The sessions that have to be streamed for a record: its own, and those that shared its bottleneck.

    Raises:
        TestbedError: this machine cannot.
    """
    told = record.manifest
    shared = told.get("shared", {})
    trace, settings = _trace(record), _settings(told["link"])
    backend = _backend(trace, settings, str(told["link"]["delay_backend"]))
    video, video_spec = _video(record, folder)
    index, name = int(shared.get("index", 0)), Path(record.path).name

    def plan(player: int) -> SessionPlan:
        offset_s = (player - index) * float(shared.get("stagger_s", 0.0))
        facts = {**shared, "index": player, "offset_s": player * float(shared["stagger_s"])} if shared else {}
        return SessionPlan(
            policy=str(told["policy"]["spec"]),
            trace=trace,
            trace_spec=str(told["trace"]["spec"]),
            start_s=float(told["trace"]["start_s"]) + offset_s,
            video=video.first(int(told["video"]["chunks"])),
            video_spec=video_spec,
            settings=settings,
            backend=backend,
            qoe=QoE(**told["told_qoe"]),
            seed=int(told["seed"]) + player - index,
            decision_deadline_s=float(told["player"]["decision_deadline_s"]),
            record=(folder / (name if player == index else f"other-player-{player}.jsonl")).absolute(),
            command_line=tuple(command_line),
            cap_mbps=told["trace"].get("cap_mbps"),
            server=server_of(str(told["policy"]["spec"])),
            facts={"shared": facts} if facts else {},
            fallback=str(told["player"].get("fallback") or FALLBACK_ONCE),
        )

    return [plan(player) for player in range(int(shared.get("players", 1)))]


def _settings(link: Mapping[str, Any]) -> LinkSettings:
    """The link that a record asked for."""
    plain = [field.name for field in dataclasses.fields(LinkSettings)]
    figures = {name: link[name] for name in plain if name not in ("loss", "delay_backend")}
    return LinkSettings(**figures, loss=Loss(**link["loss"]))


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
    return backend


async def _stream(run: RunPlan, stagger_s: float, console: Console) -> int:
    """Stream; the exit status that a signal asks for, else 0.

    Raises:
        Interrupted: a signal came before there was a record.
    """
    interrupt = Interrupt()
    if len(run.sessions) == 1:
        await side_by_side(run, console, interrupt)
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


def differences(record: Record, again: Record) -> tuple[list[Mismatch], list[Mismatch]]:
    """What differs in the settings, and what in the outcome."""
    settings = list(_between(_session_of(record.manifest), _session_of(again.manifest)))
    outcome = [
        Mismatch(name, before, after)
        for name, (before, after) in _figures(record, again).items()
        if before != after
    ]
    return settings, outcome


def _session_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    mine = {key: value for key, value in manifest.items() if key not in OF_THE_RUN}
    mine["link"] = {key: value for key, value in manifest["link"].items() if key not in MEASURED}
    mine["video"] = {key: value for key, value in manifest["video"].items() if key != "spec"}
    mine["trace"] = {key: value for key, value in manifest["trace"].items() if key != "spec"}
    return mine


def _between(before: Any, after: Any, place: str = "") -> Iterator[Mismatch]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys((*before, *after)):
            here = f"{place}.{key}" if place else str(key)
            yield from _between(before.get(key), after.get(key), here)
    elif before != after:
        yield Mismatch(place, before, after)


def _summary(record: Record) -> SessionSummary:
    return summarise(record.chunks, record.end, record.ladder_kbps, QoE(**record.manifest["told_qoe"]))


def _figures(record: Record, again: Record) -> dict[str, tuple[Any, Any]]:
    """Each figure of the outcome: as recorded, and again."""
    both = (_summary(record), _summary(again))
    names = ("qoe", "bitrate_mbps", "smoothness_mbps", "stall_s", "switches", "startup_s", "decision_p50_ms")
    figures: dict[str, tuple[Any, Any]] = {
        "outcome": (record.end.outcome, again.end.outcome),
        "link valid": (record.end.valid, again.end.valid),
        "chunks": (len(record.chunks), len(again.chunks)),
        **{name: (getattr(both[0], name), getattr(both[1], name)) for name in names},
        "median throughput Mbit/s": (_median_mbps(record), _median_mbps(again)),
    }
    levels = [[row.level for row in one.chunks] for one in (record, again)]
    figures["levels"] = levels[0], levels[1]
    return figures


def _median_mbps(record: Record) -> float | None:
    return statistics.median(row.throughput_mbps for row in record.chunks) if record.chunks else None


def as_json(
    record: Record, again: Record, settings: Sequence[Mismatch], outcome: Sequence[Mismatch]
) -> dict[str, Any]:
    """The object of `--json`."""
    return {
        "record": record.path,
        "again": again.path,
        "same_settings": not settings,
        "same_outcome": not outcome,
        "settings": [dataclasses.asdict(one) for one in settings],
        "outcome": {
            name: {"recorded": before, "again": after}
            for name, (before, after) in _figures(record, again).items()
        },
    }


def _show(
    console: Console,
    record: Record,
    again: Record,
    settings: Sequence[Mismatch],
    outcome: Sequence[Mismatch],
) -> None:
    manifest = record.manifest
    console.print(
        Text(
            f"{manifest['policy']['spec']} over {manifest['trace']['name']} from"
            f" {manifest['trace']['start_s']:g} s, {manifest['video']['name']}: again"
        ),
        soft_wrap=True,
    )
    if not settings:
        console.print("settings: all the same")
    for one in settings:
        console.print(
            Text(f"settings: {one.what} was {_short(one.recorded)}, is {_short(one.again)}"), soft_wrap=True
        )
    if not outcome:
        console.print("outcome: the same to the last digit")
    else:
        console.print(_table(record, again))
    console.print(Text(f"record: {again.path}"), soft_wrap=True)


def _table(record: Record, again: Record) -> Table:
    table = Table(title="outcome", title_justify="left", box=None, pad_edge=False)
    for name in ("", "recorded", "again"):
        table.add_column(name, justify="right" if name else "left")
    figures = _figures(record, again)
    before, after = figures.pop("levels")
    for name, (was, now) in figures.items():
        table.add_row(name, _short(was), _short(now))
    changed = [index for index, (was, now) in enumerate(zip(before, after, strict=False)) if was != now]
    if changed:
        first = changed[0]
        words = f"{len(changed)} chunks, first {first} ({before[first]}, now {after[first]})"
    else:
        words = "none"
    table.add_row("other levels", "", words)
    return table


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"

"""`python -m player URL --policy bba`: stream a DASH video over a real network and record the session."""

from __future__ import annotations

if __name__ == "__main__":
    from traces.handover import hand_over

    hand_over()

    from player.real.command_line import parser

    parser().parse_args()  # help and mistakes don't wait for the imports that follow

import argparse
import asyncio
import contextlib
import json
import logging
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.text import Text

from player.commands.options import live_of, scoring, thresholds_of, weighed_live
from player.defaults import CHUNKS, FALLBACK
from player.fallback import StandIn, fallback_spec, load_fallback
from player.faults import PolicyFault
from player.live.stream import LiveSettings
from player.manifest import Manifest
from player.playable import refuse_unplayable
from player.qoe import SessionSummary, summarise
from player.real.command_line import parser
from player.real.fetch import Fetcher, OriginError, OriginLost
from player.real.live import LiveConsole, LiveDisplay, fallback_note, summary_table
from player.real.manifest import player_manifest
from player.real.next_command import next_words
from player.real.reading import read_presentation
from player.real.session import PlayerState, Session, Sink, Stopped, unless
from player.real.settings import PlayerSettings, Timeouts
from player.real.stdout import kept_for_us
from player.real.stream import LineSink, StartError, stream, told_to_go
from player.record import FINISHED, ChunkRow, EndRow, RecordWriter, make_folder
from player.registry import LoadedPolicy, PolicyError, load_policy
from player.seeding import seed_generators
from player.transport.names import H1, NEGOTIATED, TransportError, refuse_missing
from player.transport.trust import trusted_certificate
from player.video.mpd import Presentation
from player.video.mpd_live import LiveRead
from player.video.mpd_xml import MpdError
from player.video.video import Video, VideoError
from traces.commands import exit_with, next_step, refuse
from traces.escaping import visible_lines, visible_output
from traces.files import partial_of
from traces.versions import code_version

MPD_GIVE_UP_S = 10.0
"""Without a byte of the MPD: whoever typed the URL is waiting."""

RESULTS = Path("results")

PIPE_COLUMNS = 10_000
"""A table that goes to a pipe or a file is not folded."""

CUT_SHORT = 1
"""Exit status; that of a signal is 128 + its number, as shells have it."""


class Mistake(Exception):
    """Something that the user can mend; the message is the one line that is printed."""


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status."""
    logging.basicConfig(format="%(name)s: %(message)s", level=logging.WARNING)
    arguments = sys.argv[1:] if argv is None else argv
    command = parser()
    args = command.parse_args(arguments)
    if args.stream and (args.json or args.out):
        command.error("--stream prints lines and keeps no record; leave --json and --out away")
    if args.hold and not args.stream:
        command.error("--hold waits for a parent process; it goes with --stream")
    if args.out is not None and args.out.is_dir():
        command.error(f"--out {args.out} is a folder; name a file in it")
    try:
        with visible_output(), kept_for_us() as out:  # what a policy prints may not mix with our lines
            return asyncio.run(_run(args, arguments, out))
    except (Mistake, PolicyError, MpdError, VideoError, StartError) as error:
        return refuse("python -m player", error)
    except PolicyFault as fault:
        return _refuse_fault(args, fault)
    except KeyboardInterrupt:  # the second one: the first ends the session in order
        return 128 + signal.SIGINT
    except BrokenPipeError:
        return CUT_SHORT


def _refuse_fault(args: argparse.Namespace, fault: PolicyFault) -> int:
    """Say what `--strict` stopped at, with its traceback; the exit status."""
    status = refuse("python -m player", f"{args.policy}: {fault}; stopped, as --strict says")
    if fault.shown:
        print(visible_lines(fault.shown), file=sys.stderr)
    return status


async def _run(args: argparse.Namespace, arguments: list[str], out: IO[str]) -> int:
    settings = _settings(args)
    if not _is_http(args.url):
        raise Mistake(f"{args.url!r} is no URL of an MPD; write http://HOST:PORT/VIDEO/manifest.mpd")
    policy = load_policy(args.policy, real=True, seed=settings.seed, trial=not args.stream)
    fallback = StandIn(fallback_spec(policy.policy, args.fallback))
    with _signals() as signals:
        if args.hold and not await _told(signals, out):
            return signals.status or CUT_SHORT
        async with _fetcher(settings, args) as fetcher:
            try:
                presentation = await unless(signals.stop, _presentation(fetcher, args))
            except Stopped:
                return signals.status
            _tell_lesser(fetcher, args)
            settings = _on(presentation, settings, args)
            if not args.stream:  # the parent has asked
                _refuse_unplayable(policy, fallback.spec, presentation.video, settings, args.url)
            manifest = partial(
                player_manifest,
                presentation,
                policy,
                settings,
                fallback=fallback.spec,
                url=args.url,
                argv=["python", "-m", "player", *arguments],
                congestion_control=fetcher.congestion_control,
                transport=fetcher.negotiated,
                code=None if args.stream else code_version(),
            )
            seed_generators(settings.seed)
            job = _Job(args, presentation, policy, fallback, settings, fetcher, manifest, out)
            status = await (job.stream(signals.stop) if args.stream else job.record(signals.stop))
    return signals.status or status


async def _told(signals: _Signals, out: IO[str]) -> bool:
    """Say that all is loaded, and wait for the parent's word; whether it came."""
    LineSink(out).loaded()
    try:
        return await unless(signals.stop, told_to_go())
    except Stopped:
        return False


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not close, a port that is no number
        return False


def _fetcher(settings: PlayerSettings, args: argparse.Namespace) -> Fetcher:
    """A client of the protocol that was asked for.

    Raises:
        Mistake: it can't be had, or not for this address.
    """
    if args.transport != H1 and not args.url.lower().startswith("https:"):
        raise Mistake(
            f"--transport {args.transport}: is spoken over TLS; write https:// (the origin serves so with"
            f" --transport {args.transport}, too)"
        )
    try:
        refuse_missing(args.transport)
        return Fetcher(settings.timeouts, args.transport, trusted_certificate(args.ca))
    except TransportError as error:
        raise Mistake(str(error) if args.ca is not None else f"--transport {error}") from None


def _tell_lesser(fetcher: Fetcher, args: argparse.Namespace) -> None:
    """Say that a server chose another protocol than was asked for; the record says which."""
    told = fetcher.negotiated
    if told is not None and told[NEGOTIATED] != args.transport:
        said = f"note: {args.transport} was asked for; the server chose {told[NEGOTIATED]}"
        print(visible_lines(said), file=sys.stderr)


def _settings(args: argparse.Namespace) -> PlayerSettings:
    """All but the weights of QoE, which hang on the ladder, too."""
    try:
        scoring(args)
        return PlayerSettings(
            chunks=args.chunks,
            seed=args.seed,
            decision_deadline_s=args.decision_deadline_s,
            timeouts=Timeouts(args.connect_timeout_s, args.read_timeout_s, args.give_up_s),
            thresholds=thresholds_of(args),
            live=live_of(args) or LiveSettings(),
            strict=args.strict,
        )
    except ValueError as error:
        raise Mistake(str(error)) from None


async def _presentation(fetcher: Fetcher, args: argparse.Namespace) -> Presentation:
    url = args.url
    live = LiveRead(0.0, args.chunks or CHUNKS, args.latency_s) if args.live else None
    try:
        found = await read_presentation(fetcher, url, MPD_GIVE_UP_S, live)
    except (OriginError, OriginLost) as error:
        raise Mistake(f"cannot get the MPD: {error}") from None
    except MpdError as error:
        raise Mistake(f"{url}: {error}") from None
    if args.transport != H1 and found.live is not None and found.live.ahead_s:
        raise Mistake(
            f"{url}: its chunks come in parts, whose ends only HTTP/1.1 tells; leave --transport"
            f" {args.transport} away"
        )
    if args.live and found.live is None:
        raise Mistake(f"{url} is no live stream; leave --live away (the origin's are NAME/live/manifest.mpd)")
    return found


def _on(presentation: Presentation, settings: PlayerSettings, args: argparse.Namespace) -> PlayerSettings:
    """The settings with this video, where what can only be judged with it at hand is right. Of a player that
    streams for a parent, the parent has checked what a person types."""
    video = presentation.video
    if settings.chunks is not None:
        video.first(settings.chunks)
    try:
        if not args.stream:
            settings.thresholds.check_holds(video.chunk_s)
        if presentation.live is not None and not args.stream:
            stream = presentation.live
            settings.live.check_can_be(video.chunk_s, stream.ahead_s, stream.suggested_s)
        qoe = weighed_live(scoring(args).on(video.ladder_kbps), args, video.ladder_kbps)
        return replace(settings, qoe=qoe)
    except ValueError as error:
        raise Mistake(str(error)) from None


def _refuse_unplayable(
    policy: LoadedPolicy, fallback: str, video: Video, settings: PlayerSettings, url: str
) -> None:
    """Raises PolicyError for who can't play the video; the usual fallback plays any."""
    refuse_unplayable(policy, video, url, settings.seed, settings.qoe)
    if fallback != FALLBACK:
        refuse_unplayable(load_fallback(fallback), video, url, settings.seed, settings.qoe, "fallback")


@dataclass
class _Signals:
    """SIGINT, SIGTERM and SIGHUP as a future; the second one of a kind acts as ever."""

    stop: asyncio.Future[str]
    status: int = 0
    """The exit status that they ask for; 0 when none came."""

    def came(self, number: signal.Signals) -> None:
        asyncio.get_running_loop().remove_signal_handler(number)
        self.status = 128 + number
        if not self.stop.done():
            self.stop.set_result(number.name)


@contextlib.contextmanager
def _signals() -> Iterator[_Signals]:
    loop = asyncio.get_running_loop()
    signals = _Signals(loop.create_future())
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, signals.came, number)
    try:
        yield signals
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


@dataclass(frozen=True)
class _Job:
    """One session that is ready to be played."""

    args: argparse.Namespace
    presentation: Presentation
    policy: LoadedPolicy
    fallback: StandIn
    settings: PlayerSettings
    fetcher: Fetcher
    manifest: Callable[[], Manifest]
    """What the player knows; the versions are those of what is loaded when it is asked."""
    out: IO[str]

    def _session(self, sink: Sink) -> Session:
        return Session(self.presentation, self.policy, self.settings, sink, self.fetcher, self.fallback)

    async def stream(self, stop: asyncio.Future[str]) -> int:
        """For a parent process; the exit status.

        Raises:
            PolicyFault: what ended a strict session.
        """
        lines = LineSink(self.out, lambda: self.fetcher.datagrams)
        with self._session(lines) as session:
            end = await stream(session, lines, lambda: self.manifest().to_json(), stop)
            if session.fault is not None:
                raise session.fault
        if end.outcome != FINISHED:
            return CUT_SHORT
        if self.args.hold:  # the connection's end would be packets on a path that the parent counts
            await stop
        return 0

    async def record(self, stop: asyncio.Future[str]) -> int:
        """For a person: live lines, a record, a summary; the exit status.

        Raises:
            PolicyFault: what ended a strict session, as its record says.
        """
        path = self.args.out or _default_path(self.policy.spec)
        shown = sys.stderr if self.args.json else self.out
        console = LiveConsole(file=shown, width=None if shown.isatty() else PIPE_COLUMNS)
        for note in self.presentation.notes:
            console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
        try:
            make_folder(path.parent)
            rows, end = await self._play(path, console, stop)
        except OSError as error:
            raise Mistake(f"cannot write the record {path}: {error.strerror or error}") from None
        summary = summarise(rows, end, self.presentation.video.ladder_kbps, self.settings.qoe)
        if self.args.json:
            print(json.dumps(_as_json(summary, self.policy.spec, path)), file=self.out, flush=True)
        else:
            console.print(summary_table(summary, str(path)))
            console.print(Text(next_step("-m", "analysis", *next_words(path))), soft_wrap=True)
        if summary.fallback_because is not None:
            console.print(Text(fallback_note(summary, self.fallback.spec)), soft_wrap=True)
        good = end.outcome == FINISHED and not summary.by_fallback_alone
        return 0 if good else CUT_SHORT

    async def _play(
        self, path: Path, console: Console, stop: asyncio.Future[str]
    ) -> tuple[list[ChunkRow], EndRow]:
        whole = self.presentation.video
        video = whole if self.settings.chunks is None else whole.first(self.settings.chunks)
        with LiveDisplay(console, video) as display:
            sink = _RecordSink(display)
            with self._session(sink) as session:
                await session.prepare(stop)
                manifest = {"run_id": path.stem, "started_at": _utc(), **self.manifest().to_json()}
                with sink.into(RecordWriter(path, manifest)):
                    end = await session.run(stop=stop)
                if session.fault is not None:
                    raise session.fault
                return sink.rows, end


class _RecordSink:
    """Into the record, and before a person's eyes."""

    def __init__(self, display: LiveDisplay) -> None:
        self._writer: RecordWriter | None = None
        self._display = display
        self.rows: list[ChunkRow] = []

    @contextlib.contextmanager
    def into(self, writer: RecordWriter) -> Iterator[None]:
        """Write there. Of a session that comes to no end nothing is left."""
        self._writer = writer
        with writer:
            try:
                yield
            except BaseException:
                writer.abandon()
                raise

    def chunk(self, row: ChunkRow) -> None:
        assert self._writer is not None
        self.rows.append(row)
        self._writer.chunk(row)
        self._display.chunk(row)

    def state(self, state: PlayerState) -> None:
        self._display.state(state)

    def end(self, row: EndRow) -> None:
        assert self._writer is not None
        self._writer.finish(row)
        self._display.end(row)


def _default_path(spec: str) -> Path:
    """results/TIME-POLICY.jsonl, numbered when that is taken."""
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{re.sub(r'[^A-Za-z0-9.=_-]+', '-', Path(spec).name)}"
    path, number = RESULTS / f"{name}.jsonl", 1
    while path.exists() or partial_of(path).exists():
        number += 1
        path = RESULTS / f"{name}-{number}.jsonl"
    return path


def _utc() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _as_json(summary: SessionSummary, spec: str, path: Path) -> dict[str, Any]:
    """The figures under the names that every command's `--json` uses, for this one session; what the fallback
    played alone has no QoE.
    """
    return {
        "policy": spec,
        "sessions": 1,
        "invalid": 0,
        "qoe": None if summary.by_fallback_alone else summary.qoe,
        "qoe_weights": asdict(summary.weights),
        "bitrate_mbps": summary.bitrate_mbps,
        "stall_s_per_chunk": summary.stall_s_per_chunk,
        "stall_ratio": summary.stall_ratio,
        "smoothness_mbps": summary.smoothness_mbps,
        "startup_s": summary.startup_s,
        "stall_s": summary.stall_s,
        "switches": summary.switches,
        "decision_p50_ms": summary.decision_p50_ms,
        "decision_p99_ms": summary.decision_p99_ms,
        "decided_by": summary.decided_by,
        "fallback_because": summary.fallback_because,
        "chunks": summary.chunks,
        "outcome": summary.outcome,
        "out": str(path),
    }


if __name__ == "__main__":
    exit_with(main)

"""`python -m testbed.browser URL --policy SPEC --stream --hold`: dash.js plays, for a parent process.

The parent speaks with it as with `python -m player --stream --hold` (`player/real/stream.py`). A policy
`dashjs:NAME` is a rule of dash.js's own; any other one is ours and decides through the bridge. Whatever keeps
the browser from playing, the parent gets a manifest, and an end line that says what it was.
"""

from __future__ import annotations

if __name__ == "__main__":
    from traces.handover import hand_over

    hand_over()

    from player.real.command_line import parser

    parser().parse_args()

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urljoin, urlsplit

from player.commands.options import live_of, scoring, thresholds_of, weighed_live
from player.decide import Decider
from player.defaults import CHUNKS
from player.fallback import StandIn, fallback_spec
from player.faults import PolicyFault
from player.live.stream import LiveSettings, LiveStream
from player.manifest import Manifest
from player.real.command_line import parser
from player.real.fetch import Fetcher, OriginError, OriginLost
from player.real.manifest import player_manifest
from player.real.reading import read_presentation
from player.real.session import Stopped, unless
from player.real.settings import PlayerSettings
from player.real.stdout import kept_for_us
from player.real.stream import LineSink, Parent, StartError, told_to_go
from player.record import FINISHED, INTERRUPTED, POLICY_FAULT, EndRow
from player.registry import LoadedPolicy, PolicyError, load_policy
from player.seeding import seed_generators
from player.transport.names import ASKED, H1, NEGOTIATED
from player.transport.trust import trusted_certificate
from player.video.mpd import Presentation
from player.video.mpd_live import LiveRead
from player.video.mpd_write import CLOCK_PATH
from player.video.mpd_xml import MpdError
from player.video.video import VideoError
from testbed.browser.bridge import Bridge
from testbed.browser.chromium import BrowserError, browser_version, find_browser
from testbed.browser.page import DECIDE, Page, Prepared, opened
from testbed.browser.session import BY_POLICY, Decided, PageSession
from testbed.browser.settings import (
    PREFIX,
    asking_settings,
    is_own,
    live_settings,
    loaded_rule,
    own_rule,
    own_settings,
)
from testbed.browser.speaking import speaking
from traces.commands import exit_with, refuse
from traces.escaping import visible_lines

MPD_GIVE_UP_S = 10.0
CUT_SHORT = 1
_BEFORE_S = 0.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    logging.basicConfig(format="%(name)s: %(message)s", level=logging.WARNING)
    args = parser().parse_args(argv)
    try:
        with kept_for_us() as out:
            return asyncio.run(_run(args, LineSink(out)))
    except (PolicyError, MpdError, VideoError, StartError, OriginError, OriginLost, ValueError) as error:
        return refuse("python -m player", error)  # the parent knows a player's refusals by this beginning
    except PolicyFault as fault:
        status = refuse("python -m player", f"{args.policy}: {fault}; stopped, as --strict says")
        if fault.shown:
            print(visible_lines(fault.shown), file=sys.stderr)
        return status
    except BrokenPipeError:
        return CUT_SHORT


def _loaded(spec: str, seed: int) -> LoadedPolicy:
    """The policy; of a rule of dash.js's own what a record says of it."""
    if is_own(spec):
        return loaded_rule(own_rule(spec))
    return load_policy(spec, real=True, seed=seed, trial=False)


async def _run(args: argparse.Namespace, lines: LineSink) -> int:
    settings = PlayerSettings(
        chunks=args.chunks,
        seed=args.seed,
        decision_deadline_s=args.decision_deadline_s,
        thresholds=thresholds_of(args),
        live=live_of(args) or LiveSettings(),
        strict=args.strict,
    )
    policy = _loaded(args.policy, args.seed)
    stop: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, _came, stop, number)
    async with contextlib.AsyncExitStack() as stack:
        trusted = trusted_certificate(args.ca)
        opening = await _Opening.begin(args.url, args.transport, trusted, stack)
        lines.loaded()
        try:
            if args.hold and not await unless(stop, told_to_go()):
                return CUT_SHORT
            live = LiveRead(0.0, args.chunks or CHUNKS, args.latency_s) if args.live else None
            async with Fetcher(settings.timeouts, args.transport, trusted) as fetcher:
                reading = read_presentation(fetcher, args.url, MPD_GIVE_UP_S, live)
                presentation = await unless(stop, reading)
        except Stopped:
            return CUT_SHORT
        ladder_kbps = presentation.video.ladder_kbps
        settings = replace(settings, qoe=weighed_live(scoring(args).on(ladder_kbps), args, ladder_kbps))
        seed_generators(settings.seed)
        client = _Client(args, policy, presentation, settings, lines, stack)
        return await client.play(opening, stop)


def _came(stop: asyncio.Future[str], number: int) -> None:
    if not stop.done():
        stop.set_result(signal.Signals(number).name)


@dataclass
class _Opening:
    """A browser with an empty page, or what keeps us from one."""

    version: str = ""
    page: Page | None = None
    listening: asyncio.Task[str] | None = None
    lost: BrowserError | None = None

    @classmethod
    async def begin(
        cls, url: str, transport: str, trusted: str | None, stack: contextlib.AsyncExitStack
    ) -> _Opening:
        """Start the browser: before anything is measured, as that takes a processor's second."""
        try:
            version = await asyncio.to_thread(browser_version, find_browser())
            flags = speaking(transport, url, trusted)
            page, listening = await stack.enter_async_context(opened((urlsplit(url).hostname or "",), flags))
            return cls(version, page, listening)
        except BrowserError as error:
            return cls(lost=error)


class _Client:
    """One session of dash.js."""

    def __init__(
        self,
        args: argparse.Namespace,
        policy: LoadedPolicy,
        presentation: Presentation,
        settings: PlayerSettings,
        lines: LineSink,
        stack: contextlib.AsyncExitStack,
    ) -> None:
        self._args = args
        self._policy = policy
        self._presentation = presentation
        self._settings = settings
        self._lines = lines
        self._stack = stack
        whole = presentation.video
        self._video = whole if settings.chunks is None else whole.first(settings.chunks)
        self._session = PageSession(self._video, self._decided, lines.chunk, lines.state)
        self._bridge: Bridge | None = None
        self._prepared: Prepared | None = None
        self._dashjs_settings: dict[str, Any] = {}

    async def play(self, opening: _Opening, stop: asyncio.Future[str]) -> int:
        """Prepare, begin when the parent says so, and tell how it ended; the exit status.

        Raises:
            PolicyFault: what ended a strict session.
        """
        parent = Parent(stop)
        options = await self._options()
        try:
            if opening.lost is not None:
                raise opening.lost
            assert opening.page is not None
            decide = None if self._bridge is None else self._bridge.answer
            await unless(stop, opening.page.load(self._args.url, self._session.hear, decide))
            self._prepared = await unless(stop, opening.page.prepare(options))
        except BrowserError as error:
            opening.lost = error
        except Stopped:
            return CUT_SHORT
        self._lines.ready(self._manifest(opening).to_json())
        begin_s = time.monotonic()
        with contextlib.suppress(Stopped):
            begin_s = await unless(stop, parent.start_s())
        end = await self._played(opening, begin_s, stop)
        self._lines.requests([vars(one) for one in self._session.requests], self._session.protocols)
        self._lines.end(end)
        if self._bridge is not None and self._bridge.fault is not None:
            raise self._bridge.fault
        if end.outcome != FINISHED:
            return CUT_SHORT
        if self._args.hold:
            await stop
        return 0

    async def _options(self) -> dict[str, Any]:
        """Of the page's `prepare`; with a bridge where a policy of ours decides."""
        if is_own(self._policy.spec):
            self._dashjs_settings = own_settings(own_rule(self._policy.spec))
        else:
            cap_s = self._settings.thresholds.buffer_cap_s
            decider = Decider(
                self._policy.policy,
                StandIn(fallback_spec(self._policy.policy, self._args.fallback)),
                self._video.levels,
                self._settings.decision_deadline_s,
                self._settings.reset_deadline_s,
                self._policy.delay_ms / 1000.0,
                self._settings.strict,
            )
            self._stack.callback(decider.close)
            await decider.reset(self._presentation.video, self._settings.seed, self._settings.qoe)
            self._bridge = Bridge(self._video, decider, self._session.history, cap_s)
            self._dashjs_settings = asking_settings(cap_s)
        if self._stream is not None:
            self._dashjs_settings = live_settings(
                self._dashjs_settings,
                self._latency_s,
                self._settings.live.most_faster,
                urljoin(self._args.url, CLOCK_PATH),
                own_rule(self._policy.spec) if is_own(self._policy.spec) else None,
            )
        return {
            "mpd": self._args.url,
            "chunks": self._video.chunks,
            "ladder_kbps": self._video.ladder_kbps,
            "decide": None if self._bridge is None else f"/{DECIDE}",
            "settings": self._dashjs_settings,
            "live": None
            if self._stream is None
            else {"chunk_s": self._video.chunk_s, "ahead_s": self._stream.ahead_s},
        }

    @property
    def _stream(self) -> LiveStream | None:
        return self._presentation.live

    @property
    def _latency_s(self) -> float:
        """Behind the making, wanted."""
        suggested_s = None if self._stream is None else self._stream.suggested_s
        return self._settings.live.wanted_s(self._video.chunk_s, suggested_s)

    def _live_begins_ms(self, begin_s: float) -> int | None:
        """When the live stream begins of a session that begins at monotonic time `begin_s`, in Unix ms."""
        if self._stream is None:
            return None
        return round(1000 * (begin_s + time.time() - time.monotonic() - self._latency_s))

    async def _played(self, opening: _Opening, begin_s: float, stop: asyncio.Future[str]) -> EndRow:
        """Play from monotonic time `begin_s` to the end, whatever it is."""
        self._session.begin(begin_s, 0.0)
        if opening.lost is not None:
            return self._session.end_row(opening.lost.outcome, str(opening.lost))
        assert opening.page is not None and opening.listening is not None
        try:
            offset_s = await opening.page.offset_s()
            self._session.begin(begin_s, offset_s)
            if self._bridge is not None:
                self._bridge.begun_ms = 1000.0 * (begin_s - offset_s)
            await unless(stop, asyncio.sleep(max(begin_s - time.monotonic(), _BEFORE_S)))
            await unless(stop, opening.page.begin(self._live_begins_ms(begin_s)))
            return await self._until_end(opening.listening, stop)
        except BrowserError as error:
            return self._session.end_row(error.outcome, str(error))
        except Stopped as stopped:
            return self._session.end_row(INTERRUPTED, str(stopped))

    async def _until_end(self, listening: asyncio.Task[str], stop: asyncio.Future[str]) -> EndRow:
        waiting: list[asyncio.Future[Any]] = [self._session.ended, listening, stop]
        if self._bridge is not None:
            waiting.append(asyncio.ensure_future(self._bridge.faulted.wait()))
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if self._bridge is not None and self._bridge.fault is not None:
            return self._session.end_row(POLICY_FAULT, str(self._bridge.fault))
        if self._session.ended.done():
            return self._session.end_row(*self._session.ended.result())
        if stop.done():
            raise Stopped(stop.result())
        raise BrowserError(listening.result())

    def _decided(self, chunk: int) -> Decided:
        if self._bridge is None:
            return Decided(BY_POLICY, "", 0.0)
        timed = self._bridge.decided[chunk]
        return Decided(timed.decision.by, timed.decision.reason, timed.decision_s)

    @property
    def _transport(self) -> dict[str, str] | None:
        """What was asked for, and by what the page came; None of HTTP/1.1."""
        if self._args.transport == H1:
            return None
        spoken = {} if self._prepared is None else {NEGOTIATED: self._prepared.protocol}
        return {ASKED: self._args.transport, **spoken}

    def _manifest(self, opening: _Opening) -> Manifest:
        told = player_manifest(
            self._presentation,
            self._policy,
            self._settings,
            fallback=fallback_spec(self._policy.policy, self._args.fallback),
            url=self._args.url,
            argv=["python", "-m", "testbed.browser", *sys.argv[1:]],
            transport=self._transport,
        )
        prepared = self._prepared
        assert told.player is not None
        client = {
            "client_version": None if prepared is None else prepared.dashjs,
            "browser": opening.version or None,
            "codec": None if prepared is None else prepared.kind,
            "settings": self._dashjs_settings,
        }
        section = replace(
            told.player,
            client=PREFIX,
            more={**told.player.more, **client},
        )
        versions = {**(told.versions or {}), "dashjs": client["client_version"], "browser": client["browser"]}
        return replace(told, player=section, versions=versions)


if __name__ == "__main__":
    exit_with(main)

"""The real player: one session in real time.

For every chunk: wait while the buffer is above its cap, ask the policy, fetch, add. The buffer is
the one of the simulated player; here a clock drives it, and every event first brings it up to the
present. So the time that a policy takes is time in which the buffer drains, and startup, played and
stalled time add up to the session's own length. A session ends with an end row whatever happens.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from player.abandon.rule import SAMPLE_S, GivenUp, RequestWatch
from player.decide import Decider, TimedDecision
from player.fallback import StandIn, fallback_spec
from player.faults import PolicyFault, one_line
from player.live.position import LivePosition
from player.observation import HORIZON, Observation, PastChunk
from player.policy import Policy
from player.real.fetch import Fetcher, FetchResult, OriginError, OriginLost
from player.real.renewal import Renewal
from player.real.settings import PlayerSettings
from player.record import (
    FINISHED,
    INTERRUPTED,
    ORIGIN_ERROR,
    ORIGIN_LOST,
    PLAYER_ERROR,
    POLICY_FAULT,
    ChunkRow,
    EndRow,
)
from player.registry import LoadedPolicy
from player.video.mpd import Presentation

STATE_PERIOD_S = 0.25
"""How often a live display hears of the session."""

STARTUP, PLAYING, STALLED, WAITING, ENDED = "startup", "playing", "stalled", "waiting", "ended"

_Fact = TypeVar("_Fact")
_Result = TypeVar("_Result")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlayerState:
    """A glance at a running session."""

    t_s: float
    """Since the session began."""
    phase: str
    """`startup`, `playing`, `stalled`, `waiting` (buffer full) or `ended`."""
    chunk: int
    """The one that is being waited for, decided or fetched."""
    level: int | None
    """Of the chunk that is being fetched, or was last; None before the first decision."""
    buffer_s: float
    stall_s: float
    """All stall so far."""
    downloaded_bytes: int
    """Of the chunk that is being fetched; 0 between chunks."""


class Sink(Protocol):
    """Where a session's facts go. What a method raises ends the session and goes to `play`'s caller."""

    def chunk(self, row: ChunkRow) -> None:
        """A chunk has been added to the buffer."""

    def state(self, state: PlayerState) -> None:
        """About four times a second."""

    def end(self, row: EndRow) -> None:
        """Once, last."""


async def play(
    presentation: Presentation,
    policy: LoadedPolicy,
    settings: PlayerSettings,
    sink: Sink,
    *,
    fallback: Policy | None = None,
    fetcher: Fetcher | None = None,
    stop: asyncio.Future[str] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> EndRow:
    """Stream a presentation in real time: prepare a session, run it, clean up.

    Args:
        fallback: decides where the policy cannot; the policy's own if None (`player.fallback`).
        fetcher: an open one, with a warm connection; one of its own if None.
        stop: once it has a result (in words who stopped us), the session ends as `interrupted`.
        clock: seconds on the scale of time.monotonic().

    Returns:
        the end row, which the sink has got too.

    Raises:
        VideoError: fewer chunks than `settings.chunks`.
        PolicyFault: the policy's reset failed, and the settings are strict.
        asyncio.CancelledError: it was cancelled; the sink has got an `interrupted` end row.
        Exception: what the sink raised.
    """
    if fetcher is None:
        async with Fetcher(settings.timeouts) as own:
            return await play(
                presentation, policy, settings, sink, fallback=fallback, fetcher=own, stop=stop, clock=clock
            )
    with Session(presentation, policy, settings, sink, fetcher, fallback, clock) as session:
        await session.prepare(stop)
        return await session.run(stop=stop)


class Session:
    """One session: `prepare`, then `run`, as a context manager."""

    def __init__(
        self,
        presentation: Presentation,
        policy: LoadedPolicy,
        settings: PlayerSettings,
        sink: Sink,
        fetcher: Fetcher,
        fallback: Policy | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        whole = presentation.video
        self.video = whole if settings.chunks is None else whole.first(settings.chunks)
        self._presentation = presentation
        self._settings = settings
        self._sink = sink
        self._fetcher = fetcher
        self._clock = clock
        self._decider = Decider(
            policy.policy,
            fallback if fallback is not None else StandIn(fallback_spec(policy.policy)),
            self.video.levels,
            settings.decision_deadline_s,
            settings.reset_deadline_s,
            policy.delay_ms / 1000.0,
            settings.strict,
        )
        self._buffer = settings.thresholds.buffer_of(self.video.chunk_s)
        self._history: list[PastChunk] = []
        self._began_s = self._present_s = 0.0
        self._level: int | None = None
        self._waiting = self._over = False
        self._sink_fault: Exception | None = None
        self.fault: PolicyFault | None = None
        """What ended a strict session."""
        self._live: LivePosition | None = None
        self._renewal = Renewal(fetcher)
        self._rate, self._part_ms = 1.0, 0.0
        """How fast the video is shown; of the chunk on its way, what the buffer has already."""
        self._charged_ms = 0.0
        """Stall that earlier chunks' rows hold."""

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._decider.close()

    async def prepare(self, stop: asyncio.Future[str] | None = None) -> None:
        """Reset the policies; the session's time has not begun. Once stopped, `run` ends at once.

        Raises:
            PolicyFault: the policy's reset failed, and the settings are strict.
        """
        with suppress(Stopped):
            whole = self._presentation.video  # as the simulated player tells it
            await unless(stop, self._decider.reset(whole, self._settings.seed, self._settings.qoe))

    async def run(self, *, begin_s: float | None = None, stop: asyncio.Future[str] | None = None) -> EndRow:
        """Play to the end.

        Args:
            begin_s: the clock's time at which the session begins; now if None. It is slept until.
            stop: see `play`.
        """
        self._began_s = self._present_s = self._clock() if begin_s is None else begin_s
        self._join()
        work = asyncio.create_task(self._play())
        ticker = asyncio.create_task(self._tick())
        tasks: list[asyncio.Future[Any]] = [work, ticker] if stop is None else [work, ticker, stop]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await _cancel(work, ticker)
            self._finish(INTERRUPTED, "cancelled")
            raise
        await _cancel(work, ticker)
        if self._sink_fault is not None:
            raise self._sink_fault
        error = None if work.cancelled() else work.exception()
        self.fault = error if isinstance(error, PolicyFault) else None
        return self._finish(*_outcome(work, ticker, stop))

    def _join(self) -> None:
        """Take up a live stream; one that may begin at any time did so as long ago as is wanted."""
        stream = self._presentation.live
        if stream is None:
            return
        to_unix_s = time.time() - self._clock()
        if stream.moves_to is not None:
            wanted_s = self._settings.live.wanted_s(self.video.chunk_s, stream.suggested_s)
            stream = stream.beginning(self._began_s + to_unix_s - wanted_s)
            self._presentation = self._presentation.moved(stream)
        self._live = LivePosition(stream, self._settings.live, self.video.chunk_s, to_unix_s)

    def _finish(self, outcome: str, reason: str) -> EndRow:
        self._catch_up()
        self._over = True
        self._sink.state(self._state())
        row = EndRow(
            outcome=outcome,
            reason=reason,
            chunks=len(self._history),
            startup_s=self._buffer.startup_ms / 1000.0,
            stall_s=self._buffer.stall_ms / 1000.0,
            played_s=self._buffer.played_ms / 1000.0,
            elapsed_s=self._present_s - self._began_s,
        )
        self._sink.end(row)
        return row

    def _catch_up(self) -> None:
        """Bring the buffer up to the present. Every event calls this first."""
        now_s = self._clock()
        if now_s > self._present_s:
            self._buffer.drain((now_s - self._present_s) * 1000.0, self._rate)
            self._present_s = now_s
            if self._live is not None:
                position_s, level_s = self._buffer.position_ms / 1000.0, self._buffer.level_ms / 1000.0
                self._rate = self._live.rate(now_s, position_s, level_s) if self._buffer.started else 1.0

    def _tell(self, call: Callable[[_Fact], None], fact: _Fact) -> None:
        """Tell the sink, and remember that it was the sink that failed."""
        try:
            call(fact)
        except Exception as error:
            self._sink_fault = error
            raise

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(STATE_PERIOD_S)
            if self._clock() >= self._began_s:
                self._catch_up()
                self._tell(self._sink.state, self._state())

    def _state(self) -> PlayerState:
        return PlayerState(
            t_s=self._present_s - self._began_s,
            phase=self._phase(),
            chunk=min(len(self._history), self.video.chunks - 1),
            level=self._level,
            buffer_s=self._buffer.level_ms / 1000.0,
            stall_s=self._buffer.stall_ms / 1000.0,
            downloaded_bytes=self._fetcher.progress_bytes,
        )

    def _phase(self) -> str:
        if self._over:
            return ENDED
        if not self._buffer.started:
            return STARTUP
        if self._buffer.level_ms <= 0 or self._buffer.stalled:
            return STALLED
        return WAITING if self._waiting else PLAYING

    async def _play(self) -> None:
        await asyncio.sleep(max(self._began_s - self._clock(), 0.0))
        for chunk in range(self.video.chunks):
            row = await self._next(chunk)
            self._tell(self._sink.chunk, row)
        self._decider.ended(self._observe(self.video.chunks))
        self._buffer.end()
        while self._buffer.level_ms > 0:
            await asyncio.sleep(self._buffer.level_ms / 1000.0 / self._rate)
            self._catch_up()

    async def _next(self, chunk: int) -> ChunkRow:
        """One chunk: wait, decide, fetch, add."""
        await self._renew(chunk)
        wait_s = await self._wait(chunk)
        before_s = self._buffer.level_ms / 1000.0
        timed = await self._decider.select(self._observe(chunk))
        self._level = timed.decision.level
        fetched, given_up = await self._fetch_or_less(chunk, self._level)
        self._catch_up()
        self._add_rest()
        stall_s = (self._buffer.stall_ms - self._charged_ms) / 1000.0
        self._charged_ms = self._buffer.stall_ms
        past = self._remember(fetched, stall_s, given_up)
        return self._row(past, fetched, _with_reason(timed, given_up), wait_s=wait_s, before_s=before_s)

    async def _renew(self, chunk: int) -> None:
        """Read a live MPD again that may list more by now."""
        if self._live is None or self._renewal.due_s(self._presentation) > 0:
            return
        self._presentation = await self._renewal.renewed(self._presentation, chunk)
        assert self._presentation.live is not None
        self._live.follow(self._presentation.live)

    async def _fetch_or_less(self, chunk: int, level: int) -> tuple[FetchResult, GivenUp | None]:
        """The chunk, at a lower level where the request is given up; `self._level` is what came. One that
        comes in parts is being shown already."""
        if not self._settings.thresholds.abandon or level == 0 or self._in_parts:
            return await self._fetch(chunk, level), None
        fetching = asyncio.create_task(self._fetch(chunk, level))
        try:
            lower = await self._watched(fetching, RequestWatch(self.video, chunk, level, self._cap_s))
            received = self._fetcher.progress_bytes
        finally:
            await _cancel(fetching)
        if lower is None or not fetching.cancelled():  # (it may have come in the last moment)
            return fetching.result(), None
        self._level = lower
        return await self._fetch(chunk, lower), GivenUp(level, received)

    async def _watched(self, fetching: asyncio.Task[FetchResult], watch: RequestWatch) -> int | None:
        """The lower level to ask for instead; None once the chunk is in, or its request has failed."""
        while True:
            await asyncio.wait([fetching], timeout=SAMPLE_S)
            if fetching.done():
                return None
            self._catch_up()
            first_s = self._fetcher.first_byte_s
            if first_s is not None:
                since_s, buffer_s = time.monotonic() - first_s, self._buffer.level_ms / 1000.0
                lower = watch.look(self._fetcher.progress_bytes, since_s, buffer_s)
                if lower is not None:
                    return lower

    @property
    def _cap_s(self) -> float:
        return self._buffer.cap_ms / 1000.0

    async def _fetch(self, chunk: int, level: int) -> FetchResult:
        size_bytes = self.video.sizes_bytes[chunk][level] if self._presentation.sizes_exact else None
        presentation = self._presentation
        return await self._fetcher.fetch(
            presentation.url(level, chunk),
            size_bytes,
            presentation.part(level, chunk),
            self._hear_parts if self._in_parts else None,
            awaited=self._live is not None,
        )

    @property
    def _in_parts(self) -> bool:
        """Whether each chunk of HTTP is a part of a chunk of video. So it is of our origin, whose streams can
        be moved in time; another server may send pieces of any length."""
        stream = self._presentation.live
        if self._live is None or stream is None:
            return False
        return self._live.part_s is not None and stream.moves_to is not None

    def _hear_parts(self, parts: int) -> None:
        """So many parts of a chunk that comes as it is made are here, and can be shown."""
        part_s = self._live.part_s if self._live is not None else None
        if part_s is None:
            return
        self._catch_up()
        there_ms = min(parts * part_s * 1000.0, self._buffer.chunk_ms)
        if there_ms > self._part_ms:
            self._buffer.add(there_ms - self._part_ms)
            self._part_ms = there_ms

    def _add_rest(self) -> None:
        """A chunk is here, all of it."""
        if not self._part_ms:
            self._buffer.add_chunk()
        elif self._part_ms < self._buffer.chunk_ms:
            self._buffer.add(self._buffer.chunk_ms - self._part_ms)
        self._part_ms = 0.0

    async def _wait(self, chunk: int) -> float:
        """Hold back until the buffer is at its cap or below, and a live chunk can be had; seconds it took."""
        self._catch_up()
        began_s = self._present_s
        while (wait_ms := self._buffer.wait_ms()) > 0:
            self._waiting = True
            await asyncio.sleep(wait_ms / 1000.0)
            self._catch_up()
        while self._live is not None and (held_s := self._live.held_s(chunk, self._present_s)) > 0:
            self._waiting = True
            await asyncio.sleep(min(held_s, self._renewal.due_s(self._presentation)))
            await self._renew(chunk)
            self._catch_up()
        self._waiting = False
        return self._present_s - began_s

    def _observe(self, chunk: int) -> Observation:
        return Observation(
            chunk=chunk,
            history=tuple(self._history),
            buffer_s=self._buffer.level_ms / 1000.0,
            next_sizes_bytes=self.video.sizes_bytes[chunk : chunk + HORIZON],
            chunks_left=self.video.chunks - chunk,
            elapsed_s=self._present_s - self._began_s,
            buffer_cap_s=self._buffer.cap_ms / 1000.0,
            latency_s=self._latency_s,
        )

    @property
    def _latency_s(self) -> float | None:
        """How far behind a live stream's making one is."""
        if self._live is None:
            return None
        return self._live.latency_s(self._present_s, self._buffer.position_ms / 1000.0)

    def _remember(self, fetched: FetchResult, stall_s: float, given_up: GivenUp | None) -> PastChunk:
        assert self._level is not None
        size_bytes, download_s = fetched.size_bytes, fetched.download_s
        if fetched.link_mbps is not None:  # it came as it was made, however fast the link is
            download_s = 8 * size_bytes / fetched.link_mbps / 1e6
        past = PastChunk(
            level=self._level,
            size_bytes=size_bytes,
            download_s=download_s,
            throughput_mbps=8 * size_bytes / download_s / 1e6,
            rtt_ms=fetched.rtt_ms if fetched.rtt_ms is not None else fetched.ttfb_s * 1000.0,
            stall_s=stall_s,
            buffer_s=self._buffer.level_ms / 1000.0,
            given_up_level=None if given_up is None else given_up.level,
            given_up_bytes=0 if given_up is None else given_up.received_bytes,
        )
        self._history.append(past)
        return past

    def _row(
        self, past: PastChunk, fetched: FetchResult, timed: TimedDecision, *, wait_s: float, before_s: float
    ) -> ChunkRow:
        return ChunkRow(
            chunk=len(self._history) - 1,
            level=past.level,
            bitrate_kbps=self.video.ladder_kbps[past.level],
            size_bytes=past.size_bytes,
            request_s=fetched.requested_s - self._began_s,
            ttfb_s=fetched.ttfb_s,
            download_s=fetched.download_s,
            throughput_mbps=past.throughput_mbps,
            buffer_before_s=before_s,
            buffer_after_s=past.buffer_s,
            wait_s=wait_s,
            stall_s=past.stall_s,
            decision_s=timed.decision_s,
            by=timed.decision.by,
            reason=timed.decision.reason,
            retries=fetched.retries + (past.given_up_level is not None),
            rtt_ms=fetched.rtt_ms,
            rcv_rtt_ms=fetched.rcv_rtt_ms,
            server_rtt_ms=fetched.server_rtt_ms,
            server_retransmits=fetched.server_retransmits,
            server_delivery_mbps=fetched.server_delivery_mbps,
            latency_s=self._latency_s,
        )


def _with_reason(timed: TimedDecision, given_up: GivenUp | None) -> TimedDecision:
    """The decision, with what became of the request."""
    if given_up is None:
        return timed
    reason = "; ".join(filter(None, [timed.decision.reason, given_up.in_words]))
    return replace(timed, decision=replace(timed.decision, reason=reason))


class Stopped(Exception):
    """Somebody asked us to stop; the text says who."""


async def unless(stop: asyncio.Future[str] | None, work: Coroutine[Any, Any, _Result]) -> _Result:
    """The result of `work`, which is cancelled when `stop` gets one first.

    Raises:
        Stopped: it was stopped.
    """
    task = asyncio.create_task(work)
    either: list[asyncio.Future[Any]] = [task] if stop is None else [task, stop]
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Stopped(_who(stop))
    finally:
        await _cancel(task)


def _who(stop: asyncio.Future[str] | None) -> str:
    """Who stopped us."""
    told = stop is not None and stop.done() and not stop.cancelled()
    return stop.result() if stop is not None and told else "cancelled"


def _outcome(
    work: asyncio.Task[None], ticker: asyncio.Task[None], stop: asyncio.Future[str] | None
) -> tuple[str, str]:
    """How the work ended: outcome and reason."""
    faults = [task.exception() for task in (work, ticker) if not task.cancelled()]
    error = next((fault for fault in faults if fault is not None), None)
    if isinstance(error, OriginLost):
        return ORIGIN_LOST, str(error)
    if isinstance(error, OriginError):
        return ORIGIN_ERROR, str(error)
    if isinstance(error, PolicyFault):
        return POLICY_FAULT, str(error)
    if error is not None:
        _log.error("the player failed", exc_info=error)
        return PLAYER_ERROR, one_line(error)
    if not work.cancelled():
        return FINISHED, ""
    return INTERRUPTED, _who(stop)


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel what still runs and wait for it; results and exceptions stay in the tasks."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)

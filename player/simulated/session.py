"""The simulated player: a whole session computed from a trace instead of fetched.

Buffer, observations and policies are the real player's; only the download comes from a *link
model* (`player/simulated/link_published.py` is the arithmetic of the public simulators). A policy cannot tell
the difference. A policy's own time is not simulated, and noted where it is long: a decision costs
nothing, unless it is told to come later.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from player.abandon.rule import SAMPLE_S, GivenUp, RequestWatch
from player.buffer import CAP_MS, PlaybackBuffer
from player.compiled.compiling import compiling_s
from player.decide import recordable
from player.defaults import CHUNKS
from player.faults import PolicyFault, in_words, is_interrupt, one_line, raised, traceback_of
from player.observation import HORIZON, Observation, PastChunk
from player.policy import (
    BY_FALLBACK,
    BY_PLAYER,
    Decision,
    HearsEnd,
    IllegalDecision,
    Policy,
    ToldFuture,
    as_decision,
)
from player.qoe import QoE
from player.record import FINISHED, ChunkRow, EndRow
from player.video.video import Video
from traces.trace import Trace

SLOW_MS = 100.0
"""A decision that really takes longer is noted in the record of a computed session."""

_MS_PER_S = 1000.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Download:
    """One chunk's way through a link model."""

    delay_ms: float
    """From the request to the last byte."""
    ttfb_ms: float
    """From the request to the first byte."""
    rtt_ms: float


class LinkSession(Protocol):
    """A link model during one session; time passes only by these two calls."""

    def download(self, size_bytes: int) -> Download:
        """Request and fetch `size_bytes`."""

    def idle(self, wait_ms: float) -> None:
        """Let time pass with nothing asked for."""


@runtime_checkable
class Watchable(Protocol):
    """A link model's session whose download can be looked at while it is under way."""

    def arrivals(self, size_bytes: int, step_ms: float) -> Iterator[tuple[float, float]]:
        """(ms since the first byte, bytes that have come) at every step of a download that began now, until
        it is whole; the session itself stays where it is."""

    def first_byte_ms(self) -> float:
        """How long the first byte of a request takes that is made now."""


class Link(Protocol):
    """A link model: settings from which sessions are opened."""

    def open(self, trace: Trace, start_index: int, seed: int) -> LinkSession:
        """The link at the start of a session: streaming begins at `trace.time_s[start_index - 1]`."""


@dataclass(frozen=True, slots=True)
class Future:
    """All that will happen in a session but for the policy's choices; only this player knows it."""

    trace: Trace
    start_index: int
    link: Link
    chunks: int
    cap_ms: float
    seed: int
    """Of the link's noise."""
    startup_ms: float = 0.0
    resume_ms: float = 0.0
    abandon: bool = False
    """Requests may be given up for a lower level."""


def simulate(
    video: Video,
    trace: Trace,
    policy: Policy,
    *,
    seed: int,
    qoe: QoE,
    link: Link,
    start_index: int = 1,
    chunks: int = CHUNKS,
    first_level: int | None = 0,
    fallback: Policy | None = None,
    cap_ms: float = CAP_MS,
    startup_ms: float = 0.0,
    resume_ms: float = 0.0,
    delay_ms: float = 0.0,
    strict: bool = False,
    abandon: bool = False,
) -> tuple[tuple[ChunkRow, ...], EndRow]:
    """One session: `chunks` chunks of `video` over `trace`, chosen by `policy`.

    Args:
        video: the whole video, as `policy.reset` is told it; its first `chunks` chunks are streamed.
        seed: for the policy and for the link's noise.
        first_level: the first chunk's level, which no policy is asked for (published tests fix 0);
            None asks the policy for it too.
        fallback: decides where `policy` raises or answers nonsense, all of it where its reset does, and the
            record says so; without one the error goes to the caller.
        cap_ms: above this buffer level the player waits.
        startup_ms: playback begins at this level (0: with the first chunk), and goes on after a stall …
        resume_ms: … at this one (0: with the next chunk); neither above the cap.
        delay_ms: how much later than asked for a decision comes (`player.registry.LoadedPolicy`).
        strict: nobody stands in for the policy: its first fault is raised as `PolicyFault`.
        abandon: requests that take too long are given up for a lower level (`player/abandon/rule.py`).

    Returns:
        the rows of the session's record.

    Raises:
        VideoError: the video has fewer than `chunks` chunks.
        ValueError: no such start index or first level, or a link that can't be watched for `abandon`.
        TraceError: the trace never delivers.
        PolicyFault: see `strict`.
    """
    chooser = Chooser(policy, fallback, video.levels, strict)
    asking = session_course(
        video,
        trace,
        chooser,
        seed=seed,
        qoe=qoe,
        link=link,
        start_index=start_index,
        chunks=chunks,
        first_level=first_level,
        cap_ms=cap_ms,
        startup_ms=startup_ms,
        resume_ms=resume_ms,
        delay_ms=delay_ms,
        abandon=abandon,
    )
    return _asked(asking, chooser)


def _asked(asking: SessionCourse, chooser: Chooser) -> Recorded:
    """What a session comes to whose every decision is asked for as it is wanted."""
    try:
        observation = next(asking)
        while True:
            observation = asking.send(chooser.select(observation))
    except StopIteration as end:
        recorded: Recorded = end.value
        return recorded


Recorded = tuple[tuple[ChunkRow, ...], EndRow]
"""What a session's record holds."""
SessionCourse = Generator[Observation, Decision, Recorded]
"""A session under way: says what its client sees whenever it needs a decision, and is sent that."""


def session_course(
    video: Video,
    trace: Trace,
    chooser: Chooser,
    *,
    seed: int,
    qoe: QoE,
    link: Link,
    start_index: int = 1,
    chunks: int = CHUNKS,
    first_level: int | None = 0,
    cap_ms: float = CAP_MS,
    startup_ms: float = 0.0,
    resume_ms: float = 0.0,
    delay_ms: float = 0.0,
    abandon: bool = False,
) -> SessionCourse:
    """A session that asks whoever drives it for every decision; arguments and errors as of `simulate`."""
    if first_level is not None and not 0 <= first_level < video.levels:
        raise ValueError(f"first level {first_level}; {video.name} has 0 to {video.levels - 1}")
    opened = link.open(trace, start_index, seed)
    session = SimulatedSession(video.first(chunks), opened, cap_ms, startup_ms, resume_ms, abandon)
    future = Future(trace, start_index, link, chunks, cap_ms, seed, startup_ms, resume_ms, abandon)
    chooser.reset(video, seed, qoe, future)
    for chunk in range(chunks):
        wait_ms = session.wait()
        if chunk == 0 and first_level is not None:
            session.fetch(Decision(first_level, BY_PLAYER, "first level is fixed"), wait_ms)
            continue
        decision = yield session.observation()
        decision_ms = 0.0 if decision.by == BY_FALLBACK else delay_ms
        session.fetch(decision, wait_ms, decision_ms, chooser.took_ms)
    chooser.ended(session.observation())
    return tuple(session.rows), session.finish()


class Chooser:
    """A policy with the one that stands in for it."""

    def __init__(self, policy: Policy, fallback: Policy | None, levels: int, strict: bool = False) -> None:
        self.policy, self.fallback, self.levels, self.strict = policy, fallback, levels, strict
        self.unfit = ""
        """Why the policy is not asked in this session; empty for one whose reset went well."""
        self.took_ms = 0.0
        """What the last decision really took, without the making of machine code at its first use; of one
        that was made together with others nobody knows."""
        self._fallback_unfit = ""

    def reset(self, video: Video, seed: int, qoe: QoE, future: Future) -> None:
        """A policy whose reset fails is not asked at all in this session, as in the real player."""
        self.unfit = self._fallback_unfit = ""
        if self.fallback is not None:
            try:
                self.fallback.reset(video, seed, qoe)
            except BaseException as error:
                if is_interrupt(error):
                    raise
                self._fallback_unfit = f"fallback's reset raised {one_line(error)}"
        try:
            self.policy.reset(video, seed, qoe)
            if isinstance(self.policy, ToldFuture):
                self.policy.tell(future)
        except BaseException as error:
            self.unfit = self._why(error, "reset")

    def select(self, observation: Observation) -> Decision:
        """Ask the policy, and its stand-in where it can't decide."""
        begun_s = time.perf_counter() - compiling_s()
        answer: object = None
        if not self.unfit:
            try:
                answer = self.policy.select(observation)
            except BaseException as error:
                answer = error
        self.took_ms = max(time.perf_counter() - compiling_s() - begun_s, 0.0) * _MS_PER_S
        return self.settle(observation, answer)

    def settle(self, observation: Observation, answer: object) -> Decision:
        """The decision that an answer comes to.

        Args:
            answer: the policy's, or what it raised; of one that is unfit it does not matter.
        """
        if self.unfit:
            return self._replaced(observation, self.unfit)
        try:
            if isinstance(answer, BaseException):
                raise answer
            return recordable(as_decision(answer, self.levels))
        except BaseException as error:
            what = f"chunk {observation.chunk}"
            return self._replaced(observation, self._why(error, what, observation.chunk))

    def ended(self, observation: Observation) -> None:
        """Tell a policy that wants to know; what it raises is shown and costs nothing."""
        if not isinstance(self.policy, HearsEnd) or self.unfit:
            return
        try:
            self.policy.ended(observation)
        except BaseException as error:
            _log.warning("%s", self._why(error, "the session's end"))

    def _why(self, error: BaseException, what: str, chunk: int | None = None) -> str:
        """Why somebody else decides; raises where nobody is to."""
        if is_interrupt(error) or (self.fallback is None and not self.strict):
            raise error
        illegal = isinstance(error, IllegalDecision)
        why = str(error) if illegal else raised(error, self.policy, what)
        if self.strict:
            raise PolicyFault(in_words(why, chunk), "" if illegal else traceback_of(error)) from None
        return why

    def _replaced(self, observation: Observation, why: str) -> Decision:
        assert self.fallback is not None
        if self._fallback_unfit:
            return Decision(0, BY_FALLBACK, f"{why}; {self._fallback_unfit}")
        try:
            level = as_decision(self.fallback.select(observation), self.levels).level
        except BaseException as error:
            if is_interrupt(error):
                raise
            return Decision(0, BY_FALLBACK, f"{why}; fallback raised {one_line(error)}")
        return Decision(level, BY_FALLBACK, why)


@dataclass(frozen=True, slots=True)
class _Request:
    """What is asked for in the end."""

    level: int
    given_up: GivenUp | None = None
    """The request before it."""
    stall_ms: float = 0.0
    """Playback stood so long before that was given up."""

    def reason_after(self, reason: str) -> str:
        """A decision's reason, with what became of it."""
        if self.given_up is None:
            return reason
        return "; ".join(filter(None, [reason, self.given_up.in_words]))


class SimulatedSession:
    """The state of a session: a buffer, a link, the clock and the rows so far.

    For each chunk, in this order: `wait`, `observation`, `fetch`. Whoever plays many side by side, or
    tries out what another level would have brought, drives it by itself; else there is `simulate`.

    Args:
        video: as many chunks of it as are streamed.
    """

    def __init__(
        self,
        video: Video,
        link: LinkSession,
        cap_ms: float,
        startup_ms: float = 0.0,
        resume_ms: float = 0.0,
        abandon: bool = False,
    ) -> None:
        if abandon and not isinstance(link, Watchable):
            raise ValueError("this link model has downloads whole, so that no request can be given up")
        self.abandon = abandon
        self.video = video
        self.link = link
        self.buffer = PlaybackBuffer(video.chunk_s * _MS_PER_S, cap_ms, startup_ms, resume_ms)
        self.elapsed_ms = 0.0
        self.history: tuple[PastChunk, ...] = ()
        self.rows: list[ChunkRow] = []

    def branch(self) -> SimulatedSession:
        """Another one that stands where this one does and goes its own way.

        For links whose sessions `copy.copy` copies whole, as those of `published` without noise.
        """
        other = copy.copy(self)
        other.buffer, other.link, other.rows = copy.copy(self.buffer), copy.copy(self.link), list(self.rows)
        return other

    def wait(self) -> float:
        """Hold the next request until the buffer is at its cap or below; ms waited."""
        wait_ms = self.buffer.wait_ms()
        if wait_ms > 0:
            self.buffer.drain(wait_ms)
            self.link.idle(wait_ms)
            self.elapsed_ms += wait_ms
        return wait_ms

    def observation(self) -> Observation:
        chunk = len(self.history)
        return Observation(
            chunk=chunk,
            history=self.history,
            buffer_s=self.buffer.level_ms / _MS_PER_S,
            next_sizes_bytes=self.video.sizes_bytes[chunk : chunk + HORIZON],
            chunks_left=self.video.chunks - chunk,
            elapsed_s=self.elapsed_ms / _MS_PER_S,
            buffer_cap_s=self.buffer.cap_ms / _MS_PER_S,
        )

    def fetch(
        self, decision: Decision, wait_ms: float, decision_ms: float = 0.0, took_ms: float = 0.0
    ) -> None:
        """Download the next chunk at the level decided, and note what happened.

        Args:
            decision_ms: in which the buffer drains before the request.
            took_ms: to decide, really; it costs nothing here and is only noted, where it was slow.
        """
        chunk = len(self.history)
        before_s, stalled_ms = self.buffer.level_ms / _MS_PER_S, 0.0
        if decision_ms > 0:
            stalled_ms = self.buffer.drain(decision_ms)
            self.link.idle(decision_ms)
            self.elapsed_ms += decision_ms
        asked = self._asked(chunk, decision.level)
        stalled_ms += asked.stall_ms
        size_bytes = self.video.sizes_bytes[chunk][asked.level]
        request_s = self.elapsed_ms / _MS_PER_S
        download = self.link.download(size_bytes)
        stall_s = (stalled_ms + self.buffer.drain(download.delay_ms)) / _MS_PER_S
        self.buffer.add_chunk()
        self.elapsed_ms += download.delay_ms
        past = self._remember(asked, size_bytes, download, stall_s)
        self.rows.append(
            ChunkRow(
                chunk=chunk,
                level=past.level,
                bitrate_kbps=self.video.ladder_kbps[past.level],
                size_bytes=size_bytes,
                request_s=request_s,
                ttfb_s=download.ttfb_ms / _MS_PER_S,
                download_s=past.download_s,
                throughput_mbps=past.throughput_mbps,
                buffer_before_s=before_s,
                buffer_after_s=past.buffer_s,
                wait_s=wait_ms / _MS_PER_S,
                stall_s=stall_s,
                decision_s=decision_ms / _MS_PER_S,
                by=decision.by,
                reason=asked.reason_after(decision.reason),
                retries=int(asked.given_up is not None),
                rtt_ms=download.rtt_ms,
                decision_ms=round(took_ms, 3) if took_ms >= SLOW_MS else None,
            )
        )

    def _remember(self, asked: _Request, size_bytes: int, download: Download, stall_s: float) -> PastChunk:
        """A chunk that has come, as a policy sees it from now on."""
        download_s = download.delay_ms / _MS_PER_S
        mbps, after_s = 8 * size_bytes / download_s / 1e6, self.buffer.level_ms / _MS_PER_S
        past = PastChunk(asked.level, size_bytes, download_s, mbps, download.rtt_ms, stall_s, after_s)
        if asked.given_up is not None:
            given_up = asked.given_up
            past = replace(past, given_up_level=given_up.level, given_up_bytes=given_up.received_bytes)
        self.history = (*self.history, past)
        return past

    def _asked(self, chunk: int, level: int) -> _Request:
        """Where requests may be given up, watch one, and give it up where the rule says so; time has passed
        then."""
        if not self.abandon or not isinstance(self.link, Watchable):
            return _Request(level)
        watch = RequestWatch(self.video, chunk, level, self.buffer.cap_ms / _MS_PER_S)
        first_ms, buffer_ms = self.link.first_byte_ms(), self.buffer.level_ms
        for since_ms, received in self.link.arrivals(self.video.sizes_bytes[chunk][level], 1000 * SAMPLE_S):
            left_s = max(buffer_ms - first_ms - since_ms, 0.0) / _MS_PER_S
            lower = watch.look(int(received), since_ms / _MS_PER_S, left_s)
            if lower is not None:
                stall_ms = self.buffer.drain(first_ms + since_ms)
                self.link.idle(since_ms)  # a round trip takes nothing of a trace's time here
                self.elapsed_ms += first_ms + since_ms
                return _Request(lower, GivenUp(level, int(received)), stall_ms)
        return _Request(level)

    def finish(self) -> EndRow:
        """Play out what is in the buffer."""
        self.buffer.end()
        rest_ms = self.buffer.level_ms
        self.buffer.drain(rest_ms)
        self.elapsed_ms += rest_ms
        return EndRow(
            outcome=FINISHED,
            reason="",
            chunks=len(self.rows),
            startup_s=self.buffer.startup_ms / _MS_PER_S,
            stall_s=self.buffer.stall_ms / _MS_PER_S,
            played_s=self.buffer.played_ms / _MS_PER_S,
            elapsed_s=self.elapsed_ms / _MS_PER_S,
        )

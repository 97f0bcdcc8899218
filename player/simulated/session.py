"""The simulated player: a whole session computed from a trace instead of fetched.

Buffer, observations and policies are the real player's; only the download comes from a *link
model* (`player/simulated/link_published.py` is the arithmetic of the public simulators). A policy cannot tell
the difference. A policy's own time is not simulated: a decision costs nothing, unless it is told to
come later.
"""

from __future__ import annotations

import copy
from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from player.buffer import CAP_MS, PlaybackBuffer
from player.decide import one_line
from player.observation import HORIZON, Observation, PastChunk
from player.policy import BY_FALLBACK, Decision, HearsEnd, Policy, as_decision
from player.qoe import QoE
from player.record import FINISHED, ChunkRow, EndRow
from player.video.video import Video
from traces.trace import Trace

CHUNKS = 48
"""Chunks that published tests stream (of videos whose files list 49)."""

BY_PLAYER = "player"
"""Who decided a first chunk whose level is fixed."""

_MS_PER_S = 1000.0


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


@runtime_checkable
class ToldFuture(Protocol):
    """A policy that is told the future, after its `reset`; the real player has no such call."""

    def tell(self, future: Future) -> None:
        """The session that begins now."""


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
    delay_ms: float = 0.0,
) -> tuple[tuple[ChunkRow, ...], EndRow]:
    """One session: `chunks` chunks of `video` over `trace`, chosen by `policy`.

    Args:
        video: the whole video, as `policy.reset` is told it; its first `chunks` chunks are streamed.
        seed: for the policy and for the link's noise.
        first_level: the first chunk's level, which no policy is asked for (published tests fix 0);
            None asks the policy for it too.
        fallback: decides where `policy.select` raises or answers nonsense, and the record says so;
            without one the error goes to the caller.
        cap_ms: above this buffer level the player waits.
        delay_ms: how much later than asked for a decision comes (`player.registry.LoadedPolicy`).

    Returns:
        the rows of the session's record.

    Raises:
        VideoError: the video has fewer than `chunks` chunks.
        ValueError: no such start index or first level.
        TraceError: the trace never delivers.
    """
    chooser = Chooser(policy, fallback, video.levels)
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
        delay_ms=delay_ms,
    )
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
    delay_ms: float = 0.0,
) -> SessionCourse:
    """A session that asks whoever drives it for every decision; arguments and errors as of `simulate`."""
    policy = chooser.policy
    if first_level is not None and not 0 <= first_level < video.levels:
        raise ValueError(f"first level {first_level}; {video.name} has 0 to {video.levels - 1}")
    session = SimulatedSession(video.first(chunks), link.open(trace, start_index, seed), cap_ms)
    chooser.reset(video, seed, qoe)
    if isinstance(policy, ToldFuture):
        policy.tell(Future(trace, start_index, link, chunks, cap_ms, seed))
    for chunk in range(chunks):
        wait_ms = session.wait()
        if chunk == 0 and first_level is not None:
            decision, decision_ms = Decision(first_level, BY_PLAYER, "first level is fixed"), 0.0
        else:
            decision = yield session.observation()
            decision_ms = 0.0 if decision.by == BY_FALLBACK else delay_ms
        session.fetch(decision, wait_ms, decision_ms)
    if isinstance(policy, HearsEnd):
        policy.ended(session.observation())
    return tuple(session.rows), session.finish()


class Chooser:
    """A policy with the one that stands in for it."""

    def __init__(self, policy: Policy, fallback: Policy | None, levels: int) -> None:
        self.policy, self.fallback, self.levels = policy, fallback, levels

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        self.policy.reset(video, seed, qoe)
        if self.fallback is not None:
            self.fallback.reset(video, seed, qoe)

    def select(self, observation: Observation) -> Decision:
        """Ask the policy, and its stand-in where it can't decide."""
        try:
            answer: object = self.policy.select(observation)
        except Exception as error:
            return self.settle(observation, error)
        return self.settle(observation, answer)

    def settle(self, observation: Observation, answer: object) -> Decision:
        """The decision that an answer comes to.

        Args:
            answer: the policy's, or what it raised.
        """
        try:
            if isinstance(answer, Exception):
                raise answer
            return as_decision(answer, self.levels)
        except Exception as error:
            if self.fallback is None:
                raise
            level = as_decision(self.fallback.select(observation), self.levels).level
            return Decision(level, BY_FALLBACK, one_line(error))


class SimulatedSession:
    """The state of a session: a buffer, a link, the clock and the rows so far.

    For each chunk, in this order: `wait`, `observation`, `fetch`. Whoever plays many side by side, or
    tries out what another level would have brought, drives it by itself; else there is `simulate`.

    Args:
        video: as many chunks of it as are streamed.
    """

    def __init__(self, video: Video, link: LinkSession, cap_ms: float) -> None:
        self.video = video
        self.link = link
        self.buffer = PlaybackBuffer(video.chunk_s * _MS_PER_S, cap_ms)
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
        )

    def fetch(self, decision: Decision, wait_ms: float, decision_ms: float = 0.0) -> None:
        """Download the next chunk at the level decided, and note what happened."""
        chunk, level = len(self.history), decision.level
        size_bytes = self.video.sizes_bytes[chunk][level]
        before_s, deciding_stall_ms = self.buffer.level_ms / _MS_PER_S, 0.0
        if decision_ms > 0:
            deciding_stall_ms = self.buffer.drain(decision_ms)
            self.link.idle(decision_ms)
            self.elapsed_ms += decision_ms
        request_s = self.elapsed_ms / _MS_PER_S
        download = self.link.download(size_bytes)
        stall_s = (deciding_stall_ms + self.buffer.drain(download.delay_ms)) / _MS_PER_S
        self.buffer.add_chunk()
        self.elapsed_ms += download.delay_ms
        download_s = download.delay_ms / _MS_PER_S
        mbps, after_s = 8 * size_bytes / download_s / 1e6, self.buffer.level_ms / _MS_PER_S
        past = PastChunk(level, size_bytes, download_s, mbps, download.rtt_ms, stall_s, after_s)
        self.history = (*self.history, past)
        self.rows.append(
            ChunkRow(
                chunk=chunk,
                level=level,
                bitrate_kbps=self.video.ladder_kbps[level],
                size_bytes=size_bytes,
                request_s=request_s,
                ttfb_s=download.ttfb_ms / _MS_PER_S,
                download_s=download_s,
                throughput_mbps=mbps,
                buffer_before_s=before_s,
                buffer_after_s=after_s,
                wait_s=wait_ms / _MS_PER_S,
                stall_s=stall_s,
                decision_s=decision_ms / _MS_PER_S,
                by=decision.by,
                reason=decision.reason,
                rtt_ms=download.rtt_ms,
            )
        )

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

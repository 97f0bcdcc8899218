"""A batch of simulated sessions: what `player/simulated/session.py` does, for thousands at once.

State is kept as a structure of arrays, one element a session. Between calls every session stands where
a policy is asked: the wait at the buffer's cap is over, the next chunk is not requested yet. Sessions
are independent of each other, and the number of threads does not change a bit of the result.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from player.buffer import CAP_MS
from player.simulated.batch.compiled import compiled
from player.simulated.batch.library import Floats, Ints, Library, PackedLibrary
from player.simulated.batch.link import NEVER, hold_ms, idle, noise_factors, transfer
from player.simulated.batch.threads import cores, share
from player.simulated.link_published import RTT_MS
from player.simulated.session import CHUNKS
from traces.trace import TraceError

SMALLEST_PART = 1024
"""Sessions of a batch that are worth a thread of their own."""

_MS_PER_S = 1000.0
_FINE = -1


@dataclass(frozen=True)
class Setup:
    """What may differ from session to session; every field has one element a session."""

    trace: Ints
    """Which of the library's traces."""
    start_index: Ints
    """Streaming begins at `time_s[start_index - 1]`."""
    video: Ints
    """Which of the library's videos; it brings its chunk length."""
    seed: Ints
    """Of the noise, where there is noise."""
    rtt_ms: Floats
    cap_ms: Floats
    """Above this buffer level the player waits."""

    @classmethod
    def of(
        cls,
        sessions: int,
        trace: ArrayLike = 0,
        start_index: ArrayLike = 1,
        video: ArrayLike = 0,
        seed: ArrayLike = 0,
        rtt_ms: ArrayLike = RTT_MS,
        cap_ms: ArrayLike = CAP_MS,
    ) -> Setup:
        """A setup of `sessions` sessions; a single value holds for all of them."""

        def whole(value: ArrayLike) -> Ints:
            return np.broadcast_to(np.asarray(value, np.int64), sessions)

        def real(value: ArrayLike) -> Floats:
            return np.broadcast_to(np.asarray(value, np.float64), sessions)

        return cls(whole(trace), whole(start_index), whole(video), whole(seed), real(rtt_ms), real(cap_ms))

    def __len__(self) -> int:
        return len(self.trace)

    def check(self, library: Library) -> None:
        """Raise unless every session can be had from this library.

        Raises:
            ValueError: an index that is not there, a time out of range; names the session.
        """
        for each in fields(self):
            if getattr(self, each.name).shape != (len(self),):
                raise ValueError(f"setup: {each.name} must have one element for each of {len(self)} sessions")
        self._within("trace", 0, len(library.traces) - 1)
        self._within("video", 0, len(library.videos) - 1)
        self._within("start_index", 1, library.points()[self.trace] - 1)
        self._within("rtt_ms", 0.0, np.finfo(np.float64).max)
        self._within("cap_ms", np.nextafter(0.0, 1.0), np.inf)

    def _within(self, name: str, low: float, high: Any) -> None:
        values = getattr(self, name)
        wrong = np.flatnonzero(~((values >= low) & (values <= high)))
        if len(wrong):
            at = wrong[0]
            most = np.broadcast_to(high, len(self))[at]
            raise ValueError(f"setup: session {at} has {name} {values[at]}; expected {low} to {most}")


class BatchState(NamedTuple):
    """Where every session stands; arrays are (sessions,) where nothing else is said."""

    begin: Ints
    """Where its trace begins in the packed arrays."""
    end: Ints
    video: Ints
    rtt_ms: Floats
    cap_ms: Floats
    noise: Floats
    """(sessions, chunks) factor on each delay, or (sessions, 0) without noise."""
    interval: Ints
    """The interval that the session is in, counted in the packed arrays."""
    at_s: Floats
    """The time in the trace."""
    chunk: Ints
    """The next chunk to ask for; `chunks` when the session is over."""
    level: Ints
    """The last chunk's level; -1 before the first."""
    buffer_ms: Floats
    """When the policy is asked: after the wait."""
    elapsed_ms: Floats
    startup_ms: Floats
    stalled_ms: Floats
    """All stall after startup."""
    played_ms: Floats
    size_bytes: Floats
    """From here on: of the last chunk."""
    delay_ms: Floats
    stall_ms: Floats
    """0 for the first chunk, whose whole delay is startup."""
    after_ms: Floats
    """Buffer when the chunk had been added."""
    wait_ms: Floats
    """Held back after the chunk, before the next is asked for."""
    reward: Floats
    """QoE of the chunk; 0 for the first, which no mean counts."""
    past_mbps: Floats
    """(sessions, chunks) throughput of every chunk so far."""
    past_s: Floats
    """(sessions, chunks) download time of every chunk so far."""


class Sessions:
    """A batch of sessions.

    Args:
        library: traces, videos and the QoE that is counted.
        setup: one element a session.
        chunks: how many each session streams.
        first_level: the first chunk's level, downloaded at once; None leaves it to the first `step`.
        noise: multiply every delay by a draw from U(0.9, 1.1), as `PublishedLink(noise=True)`.
        threads: at most so many; None takes every core that the process may use.

    Raises:
        ValueError: a setup that the library cannot serve, no such first level, too many chunks.
        TraceError: a trace never delivers.
    """

    def __init__(
        self,
        library: Library,
        setup: Setup,
        *,
        chunks: int = CHUNKS,
        first_level: int | None = 0,
        noise: bool = False,
        threads: int | None = None,
    ) -> None:
        if not 1 <= chunks <= library.chunks:
            raise ValueError(f"{chunks} chunks; the shortest video has {library.chunks}")
        shortest = int(library.packed.levels.min())
        if first_level is not None and not 0 <= first_level < shortest:
            raise ValueError(f"first level {first_level}; the shortest ladder has 0 to {shortest - 1}")
        self.library = library
        self.chunks = chunks
        self.threads = threads if threads is not None else cores()
        self._first = first_level
        self._all = np.arange(len(setup), dtype=np.int64)
        self._noise = noise
        self.state = _empty(len(setup), chunks, noise)
        self.reset(self._all, setup)

    def __len__(self) -> int:
        return len(self.state.chunk)

    @property
    def done(self) -> NDArray[np.bool_]:
        """(sessions,) whose last chunk is in."""
        return self.state.chunk >= self.chunks

    def reset(self, which: Ints, setup: Setup) -> None:
        """Begin the sessions `which` anew, `setup` having one element for each of them.

        Raises:
            ValueError: the setup does not fit.
            TraceError: a trace never delivers.
        """
        if len(which) != len(setup):
            raise ValueError(f"{len(which)} sessions to begin, but a setup of {len(setup)}")
        setup.check(self.library)
        packed, state = self.library.packed, self.state
        state.begin[which], state.end[which] = packed.trace_begin[setup.trace], packed.trace_end[setup.trace]
        state.video[which], state.rtt_ms[which], state.cap_ms[which] = setup.video, setup.rtt_ms, setup.cap_ms
        seeds = np.ascontiguousarray(setup.seed % 2**32)
        index = state.begin[which] + setup.start_index
        which = np.ascontiguousarray(which, np.int64)

        def part(begin: int, end: int) -> None:
            _begin(packed, state, which, index, seeds, begin, end)

        share(part, len(which), self.threads, SMALLEST_PART)
        if self._first is not None:
            self._fetch(which, np.full(len(which), self._first, np.int64))

    def step(self, levels: ArrayLike) -> None:
        """Download one chunk in every session, and wait where the buffer is above its cap.

        Sessions that are over stay as they are. What happened is in `state`.

        Args:
            levels: (sessions,) whole numbers; of sessions that are over, any.

        Raises:
            ValueError: a level that the ladder does not have; no session has moved.
            TraceError: a trace never delivers.
        """
        chosen = np.ascontiguousarray(levels, np.int64)
        if chosen.shape != (len(self),):
            raise ValueError(f"levels of shape {chosen.shape}; expected ({len(self)},)")
        packed = self.library.packed
        wrong = _illegal(packed, self.state, chosen, self.chunks)
        if wrong != _FINE:
            top = packed.levels[self.state.video[wrong]] - 1
            raise ValueError(f"session {wrong}: level {chosen[wrong]}; the ladder has 0 to {top}")
        self._fetch(self._all, chosen)

    def _fetch(self, which: Ints, levels: Ints) -> None:
        """One chunk in each of the sessions `which`."""
        packed, state, qoe = self.library.packed, self.state, self.library.qoe

        def part(begin: int, end: int) -> int:
            return _step(packed, state, which, levels, self.chunks, qoe.mu, qoe.smooth, begin, end)

        for session in share(part, len(which), self.threads, SMALLEST_PART):
            if session != _FINE:
                trace = int(
                    np.searchsorted(self.library.packed.trace_end, self.state.begin[session], "right")
                )
                raise TraceError(
                    f"{self.library.traces[trace].name}: a chunk never arrives; the rates are too near to 0"
                    " to stream over"
                )


def _empty(sessions: int, chunks: int, noise: bool) -> BatchState:
    rows = {"noise": chunks if noise else 0, "past_mbps": chunks, "past_s": chunks}
    whole = {"begin", "end", "video", "interval", "chunk", "level"}
    return BatchState(
        **{
            name: np.zeros(
                (sessions, rows[name]) if name in rows else sessions, np.int64 if name in whole else float
            )
            for name in BatchState._fields
        }
    )


@compiled
def _illegal(packed: PackedLibrary, state: BatchState, chosen: Ints, chunks: int) -> int:
    """The first session whose level is none of its ladder; `_FINE` if there is none."""
    for session in range(len(chosen)):
        level = chosen[session]
        if (level < 0 or level >= packed.levels[state.video[session]]) and state.chunk[session] < chunks:
            return session
    return _FINE


@compiled
def _begin(
    packed: PackedLibrary, state: BatchState, which: Ints, index: Ints, seeds: Ints, begin: int, end: int
) -> None:
    """Put the sessions `which[begin:end]` at their start: nothing downloaded yet."""
    for place in range(begin, end):
        session = which[place]
        state.interval[session] = index[place]
        state.at_s[session] = packed.time_s[index[place] - 1]
        state.chunk[session] = 0
        state.level[session] = -1
        state.buffer_ms[session] = 0.0
        state.elapsed_ms[session] = 0.0
        state.startup_ms[session] = 0.0
        state.stalled_ms[session] = 0.0
        state.played_ms[session] = 0.0
        state.size_bytes[session] = 0.0
        state.delay_ms[session] = 0.0
        state.stall_ms[session] = 0.0
        state.after_ms[session] = 0.0
        state.wait_ms[session] = 0.0
        state.reward[session] = 0.0
        if state.noise.shape[1]:
            noise_factors(seeds[place], state.noise[session])


@compiled
def _step(
    packed: PackedLibrary,
    state: BatchState,
    which: Ints,
    levels: Ints,
    chunks: int,
    mu: float,
    smooth: float,
    begin: int,
    end: int,
) -> int:
    """Download the next chunk of the sessions `which[begin:end]` and wait for the one after.

    One loop and no call that is given the state: handing over so many arrays would cost more than the
    download does.

    Returns:
        the first session whose trace never delivers, or `_FINE`.
    """
    time_s, bytes_per_s = packed.time_s, packed.bytes_per_s
    noisy = state.noise.shape[1] > 0
    for place in range(begin, end):
        session = which[place]
        chunk, level, video = state.chunk[session], levels[place], state.video[session]
        if chunk >= chunks:
            continue
        first, last = state.begin[session], state.end[session]
        size_bytes = packed.sizes_bytes[video, chunk, level]
        rtt_ms = state.rtt_ms[session] + packed.delay_ms[state.interval[session]]
        index, at_s, took_s = transfer(
            time_s, bytes_per_s, first, last, state.interval[session], state.at_s[session], size_bytes
        )
        if index == NEVER:
            return session
        delay_ms = took_s * _MS_PER_S
        delay_ms += rtt_ms
        if noisy:
            delay_ms *= state.noise[session, chunk]

        buffer_ms, stall_ms, reward = state.buffer_ms[session], 0.0, 0.0
        if chunk == 0:
            state.startup_ms[session] += delay_ms
        else:
            stall_ms = max(delay_ms - buffer_ms, 0.0)
            state.played_ms[session] += min(delay_ms, buffer_ms)
            state.stalled_ms[session] += stall_ms
            buffer_ms = max(buffer_ms - delay_ms, 0.0)
            now, before = packed.quality[video, level], packed.quality[video, state.level[session]]
            reward = now - mu * (stall_ms / _MS_PER_S) - smooth * abs(now - before)
        buffer_ms += packed.chunk_ms[video]
        download_s = delay_ms / _MS_PER_S
        state.past_mbps[session, chunk] = 8 * size_bytes / download_s / 1e6
        state.past_s[session, chunk] = download_s
        state.elapsed_ms[session] += delay_ms
        state.size_bytes[session] = size_bytes
        state.delay_ms[session] = delay_ms
        state.stall_ms[session] = stall_ms
        state.after_ms[session] = buffer_ms
        state.reward[session] = reward
        state.level[session] = level
        state.chunk[session] = chunk + 1

        wait_ms = hold_ms(buffer_ms, state.cap_ms[session]) if chunk + 1 < chunks else 0.0
        if wait_ms > 0:
            state.played_ms[session] += min(wait_ms, buffer_ms)
            state.stalled_ms[session] += max(wait_ms - buffer_ms, 0.0)
            buffer_ms = max(buffer_ms - wait_ms, 0.0)
            index, at_s = idle(time_s, first, last, index, at_s, wait_ms)
            state.elapsed_ms[session] += wait_ms
        state.wait_ms[session] = wait_ms
        state.buffer_ms[session] = buffer_ms
        state.interval[session] = index
        state.at_s[session] = at_s
    return _FINE

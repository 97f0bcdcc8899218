"""A batch of simulated sessions: what `player/simulated/session.py` does, for thousands at once.

State is kept as a structure of arrays, one element a session. Between calls every session stands where
a policy is asked: the wait at the buffer's cap is over, the next chunk is not requested yet. Sessions
are independent of each other, and the number of threads does not change a bit of the result.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from player.qoe import QoE
from player.simulated.batch.compiled import compiled
from player.simulated.batch.library import KINDS, Floats, Ints, Library, PackedLibrary
from player.simulated.batch.link import NEVER, hold_ms, idle, noise_factors, transfer
from player.simulated.batch.setup import Setup
from player.simulated.batch.threads import cores, share
from player.simulated.session import CHUNKS
from traces.trace import TraceError

SMALLEST_PART = 1024
"""Sessions of a batch that are worth a thread of their own."""

_MS_PER_S = 1000.0
_FINE = -1


class BatchState(NamedTuple):
    """Where every session stands; arrays are (sessions,) where nothing else is said."""

    begin: Ints
    """Where its trace begins in the packed arrays."""
    end: Ints
    video: Ints
    rtt_ms: Floats
    cap_ms: Floats
    kind: Ints
    """Its QoE: a place in `library.KINDS`."""
    mu: Floats
    smooth: Floats
    chunks: Ints
    """How many it streams."""
    noise: Floats
    """(sessions, most chunks) factor on each delay, or (sessions, 0) without noise."""
    interval: Ints
    """The interval that the session is in, counted in the packed arrays."""
    at_s: Floats
    """The time in the trace."""
    chunk: Ints
    """The next chunk to ask for; its `chunks` when the session is over."""
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
    """QoE of the chunk, by the session's own kind and weights; 0 for the first, which no mean counts, and
    in a step of a session that was over."""
    past_mbps: Floats
    """(sessions, most chunks) throughput of every chunk so far."""
    past_s: Floats
    """(sessions, most chunks) download time of every chunk so far."""
    past_rtt_ms: Floats
    """(sessions, most chunks) round trip of every chunk so far, the trace's delay in it."""
    past_level: NDArray[np.int8]
    """(sessions, most chunks) level of every chunk so far."""


class Sessions:
    """A batch of sessions.

    Args:
        library: traces, videos and the QoE that is counted.
        setup: one element a session.
        chunks: how many each session streams whose setup doesn't say it, and the most that any may.
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
        if not 1 <= chunks <= library.most_chunks:
            raise ValueError(f"{chunks} chunks; the longest video has {library.most_chunks}")
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
        return self.state.chunk >= self.state.chunks

    def qoe_of(self, session: int) -> QoE:
        """What one session is scored by."""
        state = self.state
        return QoE(KINDS[state.kind[session]], float(state.mu[session]), float(state.smooth[session]))

    def reset(self, which: Ints, setup: Setup) -> None:
        """Begin the sessions `which` anew, `setup` having one element for each of them.

        Raises:
            ValueError: the setup does not fit.
            TraceError: a trace never delivers.
        """
        if len(which) != len(setup):
            raise ValueError(f"{len(which)} sessions to begin, but a setup of {len(setup)}")
        setup = setup.on(self.library, self.chunks)
        packed, state = self.library.packed, self.state
        state.begin[which], state.end[which] = packed.trace_begin[setup.trace], packed.trace_end[setup.trace]
        state.video[which], state.rtt_ms[which], state.cap_ms[which] = setup.video, setup.rtt_ms, setup.cap_ms
        state.kind[which], state.mu[which], state.smooth[which] = setup.kind, setup.mu, setup.smooth
        state.chunks[which] = setup.chunks
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

        Sessions that are over stay as they are, and bring reward 0. What happened is in `state`.

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
        wrong = _illegal(packed, self.state, chosen)
        if wrong != _FINE:
            top = packed.levels[self.state.video[wrong]] - 1
            raise ValueError(f"session {wrong}: level {chosen[wrong]}; the ladder has 0 to {top}")
        self._fetch(self._all, chosen)

    def _fetch(self, which: Ints, levels: Ints) -> None:
        """One chunk in each of the sessions `which`."""
        packed, state = self.library.packed, self.state

        def part(begin: int, end: int) -> int:
            return _step(packed, state, which, levels, begin, end)

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
    rows = {name: chunks for name in BatchState._fields if name.startswith("past_")}
    rows["noise"] = chunks if noise else 0
    kinds: dict[str, type] = dict.fromkeys(
        ("begin", "end", "video", "kind", "chunks", "interval", "chunk", "level"), np.int64
    )
    kinds["past_level"] = np.int8
    return BatchState(
        **{
            name: np.zeros((sessions, rows[name]) if name in rows else sessions, kinds.get(name, np.float64))
            for name in BatchState._fields
        }
    )


@compiled
def _illegal(packed: PackedLibrary, state: BatchState, chosen: Ints) -> int:
    """The first session whose level is none of its ladder; `_FINE` if there is none."""
    for session in range(len(chosen)):
        level = chosen[session]
        if 0 <= level < packed.levels[state.video[session]] or state.chunk[session] >= state.chunks[session]:
            continue
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
def _step(packed: PackedLibrary, state: BatchState, which: Ints, levels: Ints, begin: int, end: int) -> int:
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
        chunks = state.chunks[session]
        if chunk >= chunks:
            state.reward[session] = 0.0
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
            kind = state.kind[session]
            now = packed.quality[kind, video, level]
            change = abs(now - packed.quality[kind, video, state.level[session]])
            reward = now - state.mu[session] * (stall_ms / _MS_PER_S) - state.smooth[session] * change
        buffer_ms += packed.chunk_ms[video]
        download_s = delay_ms / _MS_PER_S
        state.past_mbps[session, chunk] = 8 * size_bytes / download_s / 1e6
        state.past_s[session, chunk] = download_s
        state.past_rtt_ms[session, chunk] = rtt_ms
        state.past_level[session, chunk] = level
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

"""A batch of simulated sessions: what `player/simulated/session.py` does, for thousands at once.

State is kept as a structure of arrays, one element a session. Between calls every session stands where
a policy is asked: the wait at the buffer's cap is over, the next chunk is not requested yet. Sessions
are independent of each other, and the number of threads does not change a bit of the result.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from player.compiled.threads import cores, share
from player.defaults import CHUNKS
from player.qoe import QoE
from player.simulated.batch.library import KINDS, Ints, Library
from player.simulated.batch.setup import Setup
from player.simulated.batch.state import BatchState, room_for
from player.simulated.batch.steps import FINE, begin_sessions, first_illegal, step
from traces.trace import TraceError

__all__ = ["SMALLEST_PART", "BatchState", "Sessions", "Setup"]

SMALLEST_PART = 1024
"""Sessions of a batch that are worth a thread of their own."""


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
        self.state = room_for(len(setup), chunks, noise)
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
            begin_sessions(packed, state, which, index, seeds, begin, end)

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
        packed, state = self.library.packed, self.state
        wrong = first_illegal(packed.levels, state.video, state.chunk, state.chunks, chosen)
        if wrong != FINE:
            top = packed.levels[state.video[wrong]] - 1
            raise ValueError(f"session {wrong}: level {chosen[wrong]}; the ladder has 0 to {top}")
        self._fetch(self._all, chosen)

    def _fetch(self, which: Ints, levels: Ints) -> None:
        """One chunk in each of the sessions `which`."""
        packed, state = self.library.packed, self.state

        def part(begin: int, end: int) -> int:
            return step(packed, state, which, levels, begin, end)

        for session in share(part, len(which), self.threads, SMALLEST_PART):
            if session != FINE:
                trace = int(
                    np.searchsorted(self.library.packed.trace_end, self.state.begin[session], "right")
                )
                raise TraceError(
                    f"{self.library.traces[trace].name}: a chunk never arrives; the rates are too near to 0"
                    " to stream over"
                )

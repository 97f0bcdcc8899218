"""What may differ from session to session of a batch."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from player.buffer import CAP_MS
from player.defaults import RTT_MS
from player.simulated.batch.library import HD, KINDS, Floats, Ints, Library

OPEN = -1
"""In `kind`, `mu`, `smooth` and `chunks`: what the library and the batch say holds."""


@dataclass(frozen=True)
class Setup:
    """What may differ from session to session; every field has one element a session."""

    trace: Ints
    """Which of the library's traces."""
    start_index: Ints
    """Streaming begins at `time_s[start_index - 1]`."""
    video: Ints
    """Which of the library's videos; it brings its ladder and its chunk length."""
    seed: Ints
    """Of the noise, where there is noise."""
    rtt_ms: Floats
    cap_ms: Floats
    """Above this buffer level the player waits."""
    kind: Ints
    """Which QoE: a place in `library.KINDS`, or `OPEN`."""
    mu: Floats
    """What a second of stall costs, or `OPEN`."""
    smooth: Floats
    """Weight of changes of quality, or `OPEN`."""
    chunks: Ints
    """How many are streamed, or `OPEN`."""

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
        kind: ArrayLike | None = None,
        mu: ArrayLike | None = None,
        smooth: ArrayLike | None = None,
        chunks: ArrayLike | None = None,
    ) -> Setup:
        """A setup of `sessions` sessions; a single value holds for all of them, None leaves it open.

        Raises:
            ValueError: a kind, a weight or a number of chunks below 0.
        """
        for name, given in (("kind", kind), ("mu", mu), ("smooth", smooth), ("chunks", chunks)):
            if given is not None and np.min(given, initial=0) < 0:
                raise ValueError(f"setup: {name} {np.min(given)}; must be 0 or more")

        def whole(value: ArrayLike | None) -> Ints:
            return np.broadcast_to(np.asarray(OPEN if value is None else value, np.int64), sessions)

        def real(value: ArrayLike | None) -> Floats:
            return np.broadcast_to(np.asarray(OPEN if value is None else value, np.float64), sessions)

        return cls(
            whole(trace),
            whole(start_index),
            whole(video),
            whole(seed),
            real(rtt_ms),
            real(cap_ms),
            whole(kind),
            real(mu),
            real(smooth),
            whole(chunks),
        )

    def __len__(self) -> int:
        return len(self.trace)

    def part(self, which: slice | Ints) -> Setup:
        """Some of these sessions."""
        return Setup(**{each.name: getattr(self, each.name)[which] for each in fields(self)})

    def on(self, library: Library, chunks: int) -> Setup:
        """The same with nothing left open.

        Args:
            chunks: what a session streams that does not say it, and the most that one may.

        Raises:
            ValueError: a session that this library can't serve: an index that is not there, a number out of
                range; names the session.
        """
        for each in fields(self):
            if getattr(self, each.name).shape != (len(self),):
                raise ValueError(f"setup: {each.name} must have one element for each of {len(self)} sessions")
        self._within("trace", 0, len(library.traces) - 1)
        self._within("video", 0, len(library.videos) - 1)
        self._within("start_index", 1, library.points()[self.trace] - 1)
        self._within("rtt_ms", 0.0, np.finfo(np.float64).max)
        self._within("cap_ms", np.nextafter(0.0, 1.0), np.inf)
        packed = library.packed
        kind = _closed(self.kind, packed.kind)
        whole = replace(self, kind=kind, chunks=_closed(self.chunks, chunks))
        whole._within("kind", 0, len(KINDS) - 1)
        whole._within("chunks", 1, np.minimum(packed.chunks[self.video], chunks))
        whole._refuse_unknown_ladders(library)
        mu, smooth = _closed(self.mu, packed.mu[kind, self.video]), _closed(self.smooth, packed.smooth)
        whole = replace(whole, mu=mu, smooth=smooth)
        whole._within("mu", 0.0, np.finfo(np.float64).max)
        whole._within("smooth", 0.0, np.finfo(np.float64).max)
        return whole

    def _refuse_unknown_ladders(self, library: Library) -> None:
        quality = library.packed.quality
        unknown = np.flatnonzero((self.kind == HD) & np.isnan(quality[HD, self.video, 0]))
        if len(unknown):
            at = unknown[0]
            name = library.videos[self.video[at]].name
            raise ValueError(
                f"setup: session {at} has kind {HD}, hd, whose table does not know {name}'s ladder"
            )

    def _within(self, name: str, low: float, high: Any) -> None:
        values = getattr(self, name)
        wrong = np.flatnonzero(~((values >= low) & (values <= high)))
        if len(wrong):
            at = wrong[0]
            most = np.broadcast_to(high, len(self))[at]
            raise ValueError(f"setup: session {at} has {name} {values[at]}; expected {low} to {most}")


def _closed(values: NDArray[Any], otherwise: Any) -> NDArray[Any]:
    """The values, `otherwise` where they are open."""
    return np.where(values == OPEN, otherwise, values)

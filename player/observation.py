"""What a client knows when it asks for a chunk: the only thing that a policy gets to see.

The same object reaches a policy in the emulator and in the simulator. It is immutable all the way
down, so that a policy cannot change the player's state.
"""

from __future__ import annotations

from dataclasses import dataclass

from player.buffer import CAP_MS

HORIZON = 8
"""Chunks ahead whose sizes a client is shown (RobustMPC plans over 5, richer policies over 8)."""


@dataclass(frozen=True, slots=True)
class PastChunk:
    """One chunk that has been downloaded, as the client saw it."""

    level: int
    """Index into the ladder, 0 the lowest."""
    size_bytes: int
    """HTTP body bytes."""
    download_s: float
    """From the request to the last byte, one round trip included."""
    throughput_mbps: float
    """8 * size / download time / 10^6."""
    rtt_ms: float
    """The connection's smoothed round-trip time when the chunk was in."""
    stall_s: float
    """Playback stopped for this long while the chunk was decided and fetched (startup: 0)."""
    buffer_s: float
    """Buffer level when the chunk had been added."""
    given_up_level: int | None = None
    """The level of a request for the chunk that the player gave up for this one; None: it gave up none."""
    given_up_bytes: int = 0
    """How much of that one had come."""


@dataclass(frozen=True, slots=True)
class Observation:
    """The client's knowledge when it asks for chunk `chunk` (counted from 0)."""

    chunk: int
    history: tuple[PastChunk, ...]
    """Every past chunk, oldest first; `len(history) == chunk`."""
    buffer_s: float
    next_sizes_bytes: tuple[tuple[int, ...], ...]
    """[step][level], chunk `chunk` first; `HORIZON` rows or, near the end, as many as are left."""
    chunks_left: int
    """Chunks still to be fetched, the asked one included."""
    elapsed_s: float
    """Since the session began."""
    buffer_cap_s: float = CAP_MS / 1000.0
    """The player asks for no chunk while more is buffered."""
    latency_s: float | None = None
    """Of a live stream: how far behind its making one watches."""

    @property
    def last_level(self) -> int | None:
        """The previous chunk's level; None for the first chunk."""
        return self.history[-1].level if self.history else None

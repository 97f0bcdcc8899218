"""The `tcp` link model: what the emulator's TCP does to a chunk, computed.

A chunk's download is not its bytes over the rate. The request takes a round trip; the answer comes in
windows that open from ten segments on, are cut by loss where the bottleneck's queue overflows, and shut
again when the player has been idle; the queue stands in the way of the next chunk; and of every
Ethernet frame of 1514 bytes only 1448 are the video's. So this model sends every frame: one connection
of Linux's TCP (CUBIC, SACK, its timers), through a token bucket that follows the trace and a queue in
bytes, with all of the RTT on the way up, as the emulator has it (`player/simulated/tcp/`). Where the trace
has delays, that way takes so much longer, in order; where it or `loss_pct` loses frames, the session's seed
decides which. Without loss there are no dice. The same session comes out the same.

What it leaves out: loss in bursts, jitter, the receiver's window, the time that a policy and a
busy machine take, and a player's patience (`player/real/fetch.py` gives a silent connection up after 15 s).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from player.defaults import CONGESTION_CONTROL, QUEUE_MS, RTT_MS
from player.simulated.session import Download
from traces.trace import (
    ALL_LOST_PCT,
    LARGEST_QUEUE_BYTES,
    LONGEST_QUEUE_MS,
    MOST_DELAY_MS,
    Trace,
    TraceError,
)

FRAME_BYTES = 1514
MIN_QUEUE_FRAMES = 4
"""A queue of fewer frames cannot keep a link busy (`testbed/link/settings.py`)."""

HEAD_BYTES = 380
"""The head of the origin's answer, as `curl -D -` shows it."""

HANDLING_MS = 3.0
"""From the request's arrival to the answer's first frame, and from its last to the player: both ends'
work on a chunk. Fitted by `python testbed/link_models.py fit` to emulated sessions over members 100 to 107 of
3g, 4g, fcc and wifi."""

_MS_PER_S = 1000.0


@dataclass(frozen=True)
class TcpLink:
    """Settings of the `tcp` link model; the defaults are the emulator's.

    Raises:
        ValueError: a figure that makes no link, or a congestion control that is not modelled.
    """

    rtt_ms: float = RTT_MS
    """Of the empty path."""
    queue_ms: float | None = QUEUE_MS
    """The bottleneck's queue at the trace's mean rate; or …"""
    queue_bytes: int | None = None
    """… in bytes, which goes first."""
    congestion_control: str = CONGESTION_CONTROL
    slow_start_after_idle: bool = True
    handling_ms: float = HANDLING_MS
    loss_pct: float = 0.0
    """Frames lost towards the player, independently and besides those that the trace loses."""

    def __post_init__(self) -> None:
        if not 0 <= self.rtt_ms <= MOST_DELAY_MS:
            raise ValueError(f"RTT {self.rtt_ms} ms: expected 0 to {MOST_DELAY_MS:g}")
        if self.queue_bytes is not None:
            if self.queue_bytes < FRAME_BYTES:
                raise ValueError(f"queue {self.queue_bytes} bytes: must hold a frame of {FRAME_BYTES}")
            if self.queue_bytes > LARGEST_QUEUE_BYTES:
                raise ValueError(f"queue {self.queue_bytes} bytes: at most {LARGEST_QUEUE_BYTES}")
        elif self.queue_ms is None or not 0 < self.queue_ms <= LONGEST_QUEUE_MS:
            raise ValueError(f"queue {self.queue_ms} ms: must be positive, at most {LONGEST_QUEUE_MS:g}")
        if self.congestion_control != CONGESTION_CONTROL:
            raise ValueError(
                f"congestion control {self.congestion_control!r}: the tcp link models"
                f" {CONGESTION_CONTROL} only; emulate the others"
            )
        if not 0 <= self.handling_ms <= MOST_DELAY_MS:
            raise ValueError(f"handling {self.handling_ms} ms: expected 0 to {MOST_DELAY_MS:g}")
        if not 0 <= self.loss_pct < ALL_LOST_PCT:
            raise ValueError(f"loss {self.loss_pct} %: expected 0 to under 100")

    def queue_limit_bytes(self, trace: Trace) -> int:
        """The bottleneck's queue for this trace, as the emulator sets it."""
        if self.queue_bytes is not None:
            return self.queue_bytes
        assert self.queue_ms is not None
        limit = round(trace.mean_mbps * 1e6 / 8 * self.queue_ms / _MS_PER_S)
        return max(limit, MIN_QUEUE_FRAMES * FRAME_BYTES)

    def open(self, trace: Trace, start_index: int, seed: int = 0) -> TcpSession:
        """A warm connection, over which the MPD came: streaming begins at `trace.time_s[start_index - 1]`.

        Args:
            seed: of the losses; without loss it changes nothing.

        Raises:
            ValueError: `start_index` is not 1 to the trace's last index.
        """
        return TcpSession(self, trace, start_index, seed)


class TcpSession:
    """A connection and its link, moved on by downloads and waits."""

    def __init__(self, settings: TcpLink, trace: Trace, start_index: int, seed: int = 0) -> None:
        if not 1 <= start_index < len(trace.time_s):
            raise ValueError(
                f"{trace.name}: start index {start_index}; expected 1 to {len(trace.time_s) - 1}"
            )
        import numpy as np  # (whoever only asks about the link has not to wait for it)

        from player.simulated.tcp.events import download  # compiled at its first use
        from player.simulated.tcp.state import new_connection

        self._download = download
        self._settings = settings
        self._trace = trace
        self._time_s = np.array(trace.time_s)
        self._bytes_per_s = np.array(trace.rate_mbps) * 1e6 / 8
        self._delay_s = np.array(trace.delay_ms or ()) / _MS_PER_S
        self._loss = np.array(trace.loss_pct or ()) / 100.0
        self._begun_s = trace.time_s[start_index - 1]
        self._state = new_connection(
            start_index,
            -self._begun_s,
            settings.rtt_ms / _MS_PER_S,
            settings.queue_limit_bytes(trace),
            added_s=float(self._delay_s[start_index]) if len(self._delay_s) else 0.0,
            asked_loss=settings.loss_pct / 100.0,
            seed=seed,
        )
        self._now_s = 0.0

    def download(self, size_bytes: int) -> Download:
        """Request and fetch `size_bytes` (> 0).

        Raises:
            TraceError: the trace is so near to dark that the chunk would never arrive.
        """
        asked_s = self._now_s
        first_s, last_s = self._download(
            *self._state,
            self._time_s,
            self._bytes_per_s,
            self._delay_s,
            self._loss,
            asked_s,
            self._settings.handling_ms / _MS_PER_S,
            size_bytes + HEAD_BYTES,
            self._settings.slow_start_after_idle,
        )
        if not math.isfinite(last_s):
            raise TraceError(
                f"{self._trace.name}: {size_bytes} bytes never arrive;"
                " the rates are too near to 0 to stream over"
            )
        self._now_s = last_s
        rtt_ms = self._settings.rtt_ms + self._trace.delay_at(self._begun_s + asked_s)
        return Download((last_s - asked_s) * _MS_PER_S, (first_s - asked_s) * _MS_PER_S, rtt_ms)

    def idle(self, wait_ms: float) -> None:
        """Let `wait_ms` pass without a download."""
        self._now_s += wait_ms / _MS_PER_S

    def set_clock(self, now_s: float) -> None:
        """Let the next request leave at `now_s` since the session began, and be the connection as it is.

        For replays of recorded sessions, in which each request has its time. Where the last download was
        computed to end later than that, what is on the way by then stays on the way.
        """
        self._now_s = now_s

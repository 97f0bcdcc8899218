"""The path of a call: what lies between its two ends, the trace apart.

Media pass a delay stage (delay, jitter, grants, loss) and then the bottleneck, a token bucket that follows
the trace behind a queue in bytes. Feedback goes the other way, where there is delay alone. Names are those of
`testbed/link/settings.py`, whose emulated lane is the same path.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from player.call.checks import CallError, expect
from player.call.packets import WIRE_BYTES
from player.defaults import CALL_MEDIA_SHARE, QUEUE_MS, RTT_MS
from traces.trace import LARGEST_QUEUE_BYTES, LONGEST_GRANT_MS, LONGEST_QUEUE_MS, MOST_DELAY_MS, Trace

MIN_QUEUE_FRAMES = 4
"""However few milliseconds are asked for: a queue of fewer frames cannot keep a link busy."""


@dataclass(frozen=True)
class PathLoss:
    """Media lost before the bottleneck, in per cent: `none`, `uniform` with `p`, or `gemodel`.

    `gemodel` is Gilbert-Elliott as tc-netem names it: good to bad with `p`, bad to good with `r`, lost in the
    bad state with `bad`, in the good with `good`.

    Raises:
        CallError: no such kind, or a figure outside 0 … 100.
    """

    kind: str = "none"
    p: float = 0.0
    r: float = 100.0
    bad: float = 100.0
    good: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in ("none", "uniform", "gemodel"):
            raise CallError(f"call: loss kind {self.kind!r}; expected none, uniform or gemodel")
        for name in ("p", "r", "bad", "good"):
            expect(f"loss {name}", getattr(self, name), 0.0, 100.0, "%")


@dataclass(frozen=True)
class CallPath:
    """A path. Feedback has what `rtt_ms` leaves after `media_delay_ms`.

    Raises:
        CallError: a figure that makes no path.
    """

    rtt_ms: float = RTT_MS
    """Idle round trip; what a trace adds to it meets the feedback."""
    media_delay_ms: float = CALL_MEDIA_SHARE * RTT_MS
    """The part of it that media meet, before the bottleneck."""
    queue_ms: float | None = QUEUE_MS
    """The bottleneck's queue in ms at the trace's mean rate; or …"""
    queue_bytes: int | None = None
    """… in bytes."""
    media_jitter_ms: float = 0.0
    """The media's delay varies uniformly by this much to either side; order is kept."""
    grant_ms: float = 0.0
    """Frames leave the delay stage at multiples of this alone, as in a radio's uplink; 0: at any time."""
    loss: PathLoss = field(default_factory=PathLoss)
    jitter_ms: float = 0.0
    """The feedback's delay varies uniformly by this much to either side; order is kept."""
    feedback_lost_s: tuple[tuple[float, float], ...] = ()
    """(from, to): what is sent back within is lost; seconds since the call began."""

    def __post_init__(self) -> None:
        expect("rtt_ms", self.rtt_ms, 0.0, MOST_DELAY_MS, "ms")
        expect("media_delay_ms", self.media_delay_ms, 0.0, self.rtt_ms, "ms")
        expect("media_jitter_ms", self.media_jitter_ms, 0.0, self.media_delay_ms, "ms")
        expect("jitter_ms", self.jitter_ms, 0.0, self.feedback_delay_ms, "ms")
        expect("grant_ms", self.grant_ms, 0.0, LONGEST_GRANT_MS, "ms")
        if self.queue_bytes is not None:
            expect("queue_bytes", self.queue_bytes, WIRE_BYTES, LARGEST_QUEUE_BYTES, "bytes")
        elif self.queue_ms is None:
            raise CallError("call: no queue; give queue_ms or queue_bytes")
        else:
            expect("queue_ms", self.queue_ms, 0.001, LONGEST_QUEUE_MS, "ms")
        for begin_s, end_s in self.feedback_lost_s:
            if not 0 <= begin_s < end_s:
                raise CallError(f"call: feedback_lost_s {begin_s:g} to {end_s:g}; expected 0 <= from < to")

    @property
    def feedback_delay_ms(self) -> float:
        """The idle way back."""
        return self.rtt_ms - self.media_delay_ms

    def queue_limit_bytes(self, trace: Trace) -> int:
        """The bottleneck's queue for this trace."""
        if self.queue_bytes is not None:
            return self.queue_bytes
        assert self.queue_ms is not None
        return max(round(trace.mean_mbps * 1e6 / 8 * self.queue_ms / 1000), MIN_QUEUE_FRAMES * 1514)

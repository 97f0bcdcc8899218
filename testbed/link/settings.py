"""What a link is asked to be."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Any

from player.defaults import CONGESTION_CONTROL, QUEUE_MS, RTT_MS
from testbed.link.tbf import FRAME_BYTES
from testbed.process.errors import TestbedError
from traces.trace import LARGEST_QUEUE_BYTES, LONGEST_GRANT_MS, LONGEST_QUEUE_MS, MOST_DELAY_MS, Trace

MIN_QUEUE_FRAMES = 4
"""However few milliseconds are asked for: a queue of fewer frames cannot keep a link busy."""

RELAY_MAX_MBPS = 190.0
"""What the user-space relay carries when data frames pass through it: a link of 190 Mbit/s stayed full with
1.1 times as much sent through it (`fidelity.py` over a constant 190 with `--loss-pct 0.1`: 0.01 % at p95)."""

KERNEL_MAX_MBPS = 1000.0
"""What one lane carries on two small cores, frame by frame (offloads are off): a TCP bulk flow got
99.7 % of 1000 Mbit/s and 87 % of 1500. That several lanes together do not ask too much is up to the
self-check. `testbed/fidelity.py --flow tcp` measures yours."""

BACKENDS = ("auto", "netem", "relay")
AQMS = (FIFO := "fifo", "codel", "fq_codel", "pie", "fq_pie", "cake", "red")
"""What may manage the bottleneck's queue (`testbed/aqm/managed.py`); a fifo drops what finds it full."""


@dataclass(frozen=True)
class Loss:
    """Frames lost on the way to the player, before the bottleneck, in per cent.

    `uniform`: independent with probability `p`. `gemodel`: Gilbert-Elliott as tc-netem names it:
    good to bad with `p`, bad to good with `r`, lost in the bad state with `bad`, in the good with
    `good`.

    Raises:
        TestbedError: a figure outside 0 … 100.
    """

    kind: str = "none"
    p: float = 0.0
    r: float = 100.0
    bad: float = 100.0
    good: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in ("none", "uniform", "gemodel"):
            raise TestbedError(f"loss kind {self.kind!r}: expected none, uniform or gemodel")
        for name in ("p", "r", "bad", "good"):
            value = getattr(self, name)
            if not (math.isfinite(value) and 0 <= value <= 100):
                raise TestbedError(f"loss {name} {value} %: expected 0 to 100")
        if self.kind == "uniform" and self.p >= 100:
            raise TestbedError("loss 100 %: nothing would arrive; give less")

    def plus(self, more_pct: float) -> Loss:
        """This loss, and of what it leaves another `more_pct` per cent, lost independently."""

        def both(pct: float) -> float:
            return 100 - (100 - pct) * (100 - more_pct) / 100

        if not more_pct:
            return self
        if self.kind == "gemodel":
            return replace(self, bad=both(self.bad), good=both(self.good))
        return Loss("uniform", both(self.p if self.kind == "uniform" else 0.0))


@dataclass(frozen=True)
class LinkSettings:
    """A link, the trace apart.

    Raises:
        TestbedError: a figure that makes no link.
    """

    rtt_ms: float = RTT_MS
    """Idle round trip, to which a trace's delays are added; what `media_delay_ms` leaves of it is spent on
    the uplink, where requests, ACKs and a call's feedback pass."""
    jitter_ms: float = 0.0
    """The uplink's delay varies uniformly by this much to either side; order is kept."""
    loss: Loss = field(default_factory=Loss)
    queue_ms: float | None = QUEUE_MS
    """The bottleneck's queue in ms at the trace's mean rate; or …"""
    queue_bytes: int | None = None
    """… in bytes."""
    congestion_control: str = CONGESTION_CONTROL
    slow_start_after_idle: bool = True
    delay_backend: str = "auto"
    aqm: str = FIFO
    """What manages the bottleneck's queue."""
    media_delay_ms: float = 0.0
    """What of the round trip is spent on the way to the player, ahead of the bottleneck."""
    media_jitter_ms: float = 0.0
    """That delay varies uniformly by this much to either side; order is kept."""
    grant_ms: float = 0.0
    """Frames to the player reach the bottleneck at multiples of this only, as on a link that is granted in
    turns: each waits for the next; 0: at any time."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.rtt_ms) and 0 <= self.rtt_ms <= MOST_DELAY_MS):
            raise TestbedError(f"RTT {self.rtt_ms} ms: expected 0 to {MOST_DELAY_MS:g}")
        if not (math.isfinite(self.jitter_ms) and 0 <= self.jitter_ms <= max(self.rtt_ms, 0)):
            raise TestbedError(f"jitter {self.jitter_ms} ms: expected 0 to the RTT ({self.rtt_ms:g} ms)")
        self._check_media()
        if self.queue_ms is None and self.queue_bytes is None:
            raise TestbedError("no queue: give it in ms or in bytes")
        if self.queue_ms is not None and not 0 < self.queue_ms <= LONGEST_QUEUE_MS:
            raise TestbedError(f"queue {self.queue_ms} ms: must be positive, at most {LONGEST_QUEUE_MS:g}")
        if self.queue_bytes is not None and self.queue_bytes < FRAME_BYTES:
            raise TestbedError(f"queue {self.queue_bytes} bytes: must hold a frame of {FRAME_BYTES}")
        if self.queue_bytes is not None and self.queue_bytes > LARGEST_QUEUE_BYTES:
            raise TestbedError(f"queue {self.queue_bytes} bytes: the kernel counts to {LARGEST_QUEUE_BYTES}")
        if self.delay_backend not in BACKENDS:
            raise TestbedError(f"delay backend {self.delay_backend!r}: expected {', '.join(BACKENDS)}")
        if self.aqm not in AQMS:
            raise TestbedError(f"AQM {self.aqm!r}: expected {', '.join(AQMS)}")

    def _check_media(self) -> None:
        if not (math.isfinite(self.media_delay_ms) and 0 <= self.media_delay_ms <= self.rtt_ms):
            raise TestbedError(
                f"media delay {self.media_delay_ms} ms: expected 0 to the RTT ({self.rtt_ms:g} ms), of"
                " which it is a part"
            )
        if self.jitter_ms > self.feedback_delay_ms:
            raise TestbedError(
                f"jitter {self.jitter_ms} ms: expected 0 to what the media delay leaves of the RTT"
                f" ({self.feedback_delay_ms:g} ms)"
            )
        if not (math.isfinite(self.media_jitter_ms) and 0 <= self.media_jitter_ms <= self.media_delay_ms):
            raise TestbedError(
                f"media jitter {self.media_jitter_ms} ms: expected 0 to the media delay"
                f" ({self.media_delay_ms:g} ms), which varies by it to either side"
            )
        if not (math.isfinite(self.grant_ms) and 0 <= self.grant_ms <= LONGEST_GRANT_MS):
            raise TestbedError(f"grants every {self.grant_ms} ms: expected 0 to {LONGEST_GRANT_MS:g}")
        if self.grant_ms and self.delay_backend == "netem":
            raise TestbedError(
                "netem has no clock of grants (its slots begin when a frame comes): take --delay-backend"
                " relay, or no --grant-ms"
            )

    @property
    def recorded(self) -> dict[str, Any]:
        """Its fields; `aqm` only where there is one: links from before there were any are still the same."""
        held = asdict(self)
        if self.aqm == FIFO:
            del held["aqm"]
        return held

    @property
    def asked_backend(self) -> str:
        """`delay_backend`, or the relay where only it can do what is asked."""
        return "relay" if self.grant_ms and self.delay_backend == "auto" else self.delay_backend

    @property
    def feedback_delay_ms(self) -> float:
        """What is spent on the uplink."""
        return self.rtt_ms - self.media_delay_ms

    @property
    def delays_media(self) -> bool:
        """Whether frames to the player have to wait ahead of the bottleneck."""
        return bool(self.media_delay_ms or self.media_jitter_ms or self.grant_ms)

    @property
    def varies_ms(self) -> float:
        """By so much a round trip over the idle path differs from the mean at most."""
        return self.jitter_ms + self.media_jitter_ms + self.grant_ms / 2

    @property
    def idle_rtt_ms(self) -> float:
        """The mean round trip over the idle path: a frame waits half a grant besides."""
        return self.rtt_ms + self.grant_ms / 2

    def relays_media(self, trace: Trace | None) -> bool:
        """Whether the relay has to handle each frame to the player: some are to be lost, or to wait."""
        loses = self.loss.kind != "none" or (trace is not None and trace.loses_frames)
        return loses or self.delays_media

    def queue_limit_bytes(self, trace: Trace) -> int:
        """The bottleneck's queue for this trace."""
        if self.queue_bytes is not None:
            return self.queue_bytes
        assert self.queue_ms is not None
        limit = round(trace.mean_mbps * 1e6 / 8 * self.queue_ms / 1000)
        return max(limit, MIN_QUEUE_FRAMES * FRAME_BYTES)


SHORTEST_STEP_S = 0.002
"""A rate that changes faster is no trace that tc could follow (times in a wrong unit, more likely)."""


def check_carried(trace: Trace, settings: LinkSettings, backend: str) -> None:
    """Refuse a trace that the path cannot carry, rather than cut it quietly.

    Raises:
        TestbedError: its highest rate is beyond the backend (where frames to the player are lost or wait, the
            relay's), or its steps are too short.
    """
    shortest = min(later - earlier for earlier, later in pairwise(trace.time_s))
    if shortest < SHORTEST_STEP_S:
        raise TestbedError(
            f"trace {trace.name} has a step of {shortest * 1000:g} ms; a link can follow"
            f" {SHORTEST_STEP_S * 1000:g} ms and more. Are its times in seconds? See `python -m traces lint`"
        )
    relayed = backend == "relay" and settings.relays_media(trace)
    limit = RELAY_MAX_MBPS if relayed else KERNEL_MAX_MBPS
    highest = max(trace.rate_mbps[1:])
    if highest > limit:
        what = "the user-space relay" if relayed else "a frame-by-frame kernel path"
        raise TestbedError(
            f"trace {trace.name} reaches {highest:g} Mbit/s; {what} carries {limit:g} here."
            f" Cap it in the open with --cap-mbps {limit:g} (recorded), or take a slower trace"
        )

"""The delay and loss stage of a lane: the kernel's netem, or our relay process, behind one interface."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from testbed.link.delay_line import LineDelays
from testbed.link.hosts import in_host, run_script
from testbed.link.netem import netem_commands
from testbed.link.packed_trace import packed
from testbed.link.settings import LinkSettings
from testbed.process.errors import TestbedError
from testbed.process.line_process import LineProcess
from traces.trace import Step, Trace

_INTERFACES = ("wan-up", "wan-down")
"""The wan host's, towards the server and towards the router."""

LATE_MEAN_MS = 2.0
"""The mean lateness of the delayed packets is what the round trip was longer than asked: no more than the
probe tolerates of an idle path."""

LATE_P99_MS = 30.0
"""One acknowledgement in a hundred may be this late: a window of data then waits that long once, which a
chunk of half a second and more cannot tell from the frame that its queue moved on."""

LATE_MAX_MS = 150.0
"""Short of the 200 ms after which a sender takes silence for loss (Linux's shortest retransmission timer):
beyond it a single late packet can cost a window."""


MEDIA_LATE_MEAN_MS = 0.5
"""Towards the player lateness is delay noise of the media, which a call's controller acts upon: a tenth of
the 5 ms within which GCC takes packets for one group."""
MEDIA_LATE_P99_MS = 5.0
"""One packet in a hundred may come by a group later."""
ROUNDING_MS = 0.001
"""Of what the relay tells, and of double precision at a clock's value."""
ORDER_MS = 0.05
"""Order is kept: of two frames that two processors stamp at a moment one waits some microseconds."""
JITTER_SIGMAS = 4.5
"""The draws may be so many standard errors off: 7 sessions in a million are."""


@dataclass(frozen=True)
class StageReport:
    """What the stage did since the lane was made."""

    backend: str
    packets: int
    """Towards the server, where the delay is."""
    lost: int
    """Towards the player, as asked."""
    dropped: int
    """Anywhere, not as asked: queues that were full."""
    late_mean_ms: float = 0.0
    """From the moment a packet was due to leave, which counts from its arrival (netem does not tell)."""
    late_p50_ms: float = 0.0
    late_p99_ms: float = 0.0
    late_max_ms: float = 0.0
    real_time: bool = True
    """Whether the stage runs before ordinary processes."""
    media: LineDelays | None = None
    """How packets to the player waited; None where they don't, or where netem delays, which does not tell."""

    def faults(self) -> list[str]:
        """What was not as asked, in words."""
        found = []
        if self.dropped:
            found.append(f"the delay stage dropped {self.dropped} packets for want of room")
        for name, late_ms, most_ms in (
            ("in the mean", self.late_mean_ms, LATE_MEAN_MS),
            ("one in a hundred", self.late_p99_ms, LATE_P99_MS),
            ("at worst", self.late_max_ms, LATE_MAX_MS),
        ):
            if late_ms > most_ms:
                found.append(
                    f"delayed packets left late: {name} {late_ms:.1f} ms, where {most_ms:g} ms is the most"
                    f" ({self.packets} packets)"
                )
        return found + (late_media(self.media) if self.media is not None else [])


def late_media(media: LineDelays) -> list[str]:
    """What of the waits towards the player was later than due, in words."""
    return [
        f"packets to the player left late: {name} {late_ms:.1f} ms, where {most_ms:g} ms is the most"
        f" ({media.frames} packets)"
        for name, late_ms, most_ms in (
            ("in the mean", media.late_mean_ms, MEDIA_LATE_MEAN_MS),
            ("one in a hundred", media.late_p99_ms, MEDIA_LATE_P99_MS),
            ("at worst", media.late_max_ms, LATE_MAX_MS),
        )
        if late_ms > most_ms
    ]


def unasked_media(media: LineDelays | None, settings: LinkSettings) -> list[str]:
    """What packets towards the player were to wait, against what was asked: within the bounds that the
    settings set to each, the jitter's draws spread as uniform ones, all at the grants.

    Returns:
        in words; empty where all was as asked, and where nobody knows.
    """
    if media is None or not media.frames:
        return []
    found = []
    least_ms = settings.media_delay_ms - settings.media_jitter_ms
    most_ms = settings.media_delay_ms + settings.media_jitter_ms + settings.grant_ms
    if media.due_min_ms < least_ms - ROUNDING_MS or media.due_max_ms > most_ms + ORDER_MS:
        found.append(
            f"packets to the player were to wait {media.due_min_ms:g} to {media.due_max_ms:g} ms"
            f" where {least_ms:g} to {most_ms:g} ms was asked"
        )
    deviation_ms = settings.media_jitter_ms / math.sqrt(3)
    error_ms = deviation_ms / math.sqrt(media.frames)
    if abs(media.drawn_mean_ms) > JITTER_SIGMAS * error_ms + ROUNDING_MS:
        found.append(f"the media jitter was {media.drawn_mean_ms:.3f} ms in the mean and not about 0")
    # Of uniform draws the variance's own standard error is sqrt(4/5) of the variance over sqrt(n).
    if abs(media.drawn_deviation_ms - deviation_ms) > JITTER_SIGMAS * 0.45 * error_ms + ROUNDING_MS:
        found.append(
            f"the media jitter's deviation was {media.drawn_deviation_ms:.3f} ms and not {deviation_ms:.3f}"
        )
    if media.off_grant_max_ms > ROUNDING_MS:
        found.append(f"packets to the player left {media.off_grant_max_ms:g} ms off the grants")
    return found


class DelayStage(Protocol):
    """What a lane needs of it."""

    @property
    def pid(self) -> int | None:
        """Of the process that delays; None where the kernel does it alone."""

    @property
    def netlink_ports(self) -> tuple[int, ...]:
        """Of those who change qdiscs for it while a trace is played: they are no strangers."""

    def prepare(self) -> None:
        """Once its host is there: let what it needs import meanwhile."""

    def start(self) -> None:
        """Put it into the path."""

    def play(self, trace: Trace, start_s: float, t0: float) -> None:
        """From monotonic time `t0` on, add what the trace says of delay and loss."""

    def rest(self) -> None:
        """From now on the trace adds nothing."""

    def died(self) -> bool:
        """Whether it has gone though nobody stopped it."""

    def report(self) -> StageReport:
        """What it has done so far."""

    def stop(self) -> None:
        """Take it away; safe to call twice."""


class NetemStage:
    """netem on both interfaces of the wan host `pid`.

    Args:
        varying: whether a trace will be played whose delay or loss vary.
    """

    def __init__(self, lane: str, pid: int, settings: LinkSettings, varying: bool) -> None:
        self._lane = lane
        self._pid = pid
        self._settings = settings
        self._varying = varying
        self._replay: LineProcess | None = None

    def prepare(self) -> None:
        """See `DelayStage`."""
        if self._varying:
            what = f"lane {self._lane}: the replay of delays"
            self._replay = LineProcess(what, self._pid, "testbed.link.netem_replay")

    def start(self) -> None:
        """See `DelayStage`.

        Raises:
            TestbedError: the kernel refuses.
        """
        first = Step(0.0, 0.0, 0.0) if self._varying else None
        commands = netem_commands(self._settings, *_INTERFACES, first)
        run_script(self._pid, commands, f"lane {self._lane}: netem")
        if self._replay is not None:
            up, down = _INTERFACES
            self._replay.begin({"settings": asdict(self._settings), "up": up, "down": down})

    @property
    def pid(self) -> int | None:
        return None if self._replay is None else self._replay.pid

    @property
    def netlink_ports(self) -> tuple[int, ...]:
        """The kernel knows tc's messages by its process id: they come from its first netlink socket."""
        return () if self._replay is None else (int(self._replay.ready["tc_pid"]),)

    def play(self, trace: Trace, start_s: float, t0: float) -> None:
        if self._replay is not None:
            self._replay.ask(do="play", trace=packed(trace), start_s=start_s, t0=t0)

    def rest(self) -> None:
        if self._replay is not None:
            self._replay.ask(do="rest")

    def died(self) -> bool:
        return self._replay is not None and self._replay.died()

    def report(self) -> StageReport:
        """See `DelayStage`.

        Raises:
            TestbedError: the replay of delays does not answer.
        """
        up, down = (self._counters(interface) for interface in _INTERFACES)
        late_ms = 0.0 if self._replay is None else float(self._replay.ask(do="report")["late_max_ms"])
        # netem counts what it loses on purpose and what finds its queue full as the same drops; on the
        # uplink nothing is to be lost.
        dropped = up.get("drops", 0)
        return StageReport("netem", up.get("packets", 0), down.get("drops", 0), dropped, late_max_ms=late_ms)

    def _counters(self, interface: str) -> dict[str, Any]:
        shown = in_host(self._pid, "tc", "-s", "-j", "qdisc", "show", "dev", interface)
        try:
            qdiscs = json.loads(shown.stdout or "[]")
        except ValueError:
            return {}
        return next((qdisc for qdisc in qdiscs if qdisc.get("kind") == "netem"), {})

    def stop(self) -> None:
        """The qdiscs go with their interfaces."""
        if self._replay is not None:
            self._replay.stop()


@dataclass(frozen=True)
class Ends:
    """What the relay has to know of the wan host's neighbours: the Ethernet header of what goes to each."""

    server_header: bytes
    router_header: bytes


def _media_spec(settings: LinkSettings) -> dict[str, float] | None:
    """What the relay has to know of the waits towards the player; None where there are none."""
    if not settings.delays_media:
        return None
    return {
        "delay_s": settings.media_delay_ms / 1000,
        "jitter_s": settings.media_jitter_ms / 1000,
        "grant_s": settings.grant_ms / 1000,
    }


class RelayStage:
    """The relay process in the wan host `pid`; the kernel there forwards nothing of what is the relay's.

    Args:
        lossy: whether packets to the player pass through it too, some to be lost or all to wait.
    """

    def __init__(
        self, lane: str, pid: int, settings: LinkSettings, ends: Ends, lossy: bool, seed: int
    ) -> None:
        self._lane = lane
        self._pid = pid
        self._settings = settings
        self._ends = ends
        self._lossy = lossy
        self._seed = seed
        self._process: LineProcess | None = None

    def prepare(self) -> None:
        """See `DelayStage`."""
        self._process = LineProcess(f"lane {self._lane}: the relay", self._pid, "testbed.link.relay")

    def start(self) -> None:
        """See `DelayStage`.

        Raises:
            TestbedError: it did not start; its last word is in the message.
        """
        up, down = _INTERFACES
        spec = {
            "near": down,
            "near_header": self._ends.router_header.hex(),
            "far": up,
            "far_header": self._ends.server_header.hex(),
            "delay_ms": self._settings.feedback_delay_ms,
            "jitter_ms": self._settings.jitter_ms,
            "media": _media_spec(self._settings),
            "loss": asdict(self._settings.loss),
            "lossy": self._lossy,
            "seed": self._seed,
        }
        assert self._process is not None
        self._process.begin(spec)
        taken = [down, up] if self._lossy else [down]
        rules = [f"ip rule add iif {interface} blackhole" for interface in taken]
        run_script(self._pid, rules, f"lane {self._lane}: the way through the relay")

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def netlink_ports(self) -> tuple[int, ...]:
        return ()

    def play(self, trace: Trace, start_s: float, t0: float) -> None:
        if trace.varies:
            assert self._process is not None
            self._process.ask(do="play", trace=packed(trace), start_s=start_s, t0=t0)

    def rest(self) -> None:
        if self._process is not None:
            self._process.ask(do="rest")

    def died(self) -> bool:
        return self._process is not None and self._process.died()

    def report(self) -> StageReport:
        """See `DelayStage`.

        Raises:
            TestbedError: the relay does not answer.
        """
        if self._process is None:
            raise TestbedError(f"lane {self._lane}: the relay was stopped")
        counted = self._process.ask(do="report")
        return StageReport(
            backend="relay",
            packets=counted["up_packets"],
            lost=counted["lost"],
            dropped=counted["overflowed"],
            late_mean_ms=counted["late_mean_ms"],
            late_p50_ms=counted["late_p50_ms"],
            late_p99_ms=counted["late_p99_ms"],
            late_max_ms=counted["late_max_ms"],
            real_time=counted["real_time"],
            media=counted["media"] and LineDelays(**counted["media"]),
        )

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()

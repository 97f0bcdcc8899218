"""An active queue manager at the bottleneck: a qdisc of the kernel's below the token bucket, as its queue.

The bucket decides when a frame leaves; what leaves next, and what is dropped before, is the manager's affair.
The bucket's counters hold its drops, for a qdisc tells those above it what it drops (the kernel's
`qdisc_tree_reduce_backlog`). So the link log and the verdict count them as the queue's own, which they are.
"""

from __future__ import annotations

import functools

from testbed.link.hosts import run_checked
from testbed.link.settings import FIFO, LinkSettings
from testbed.link.tbf import FRAME_BYTES
from testbed.machine.aqm_features import AQM_FEATURES, VETH
from testbed.machine.finding import OK, UNKNOWN, Finding
from testbed.machine.kernel import kernel_features
from testbed.process.errors import TestbedError
from traces.trace import Trace

LEAST_FRAMES = 100
"""However short the queue that was asked for: what a manager holds is its own choice, and its limit there for
bursts. It has to hold a probe's train."""
_RED_PACKET_BYTES = 1000
"""As tc-red(8) has it in its examples: between an ACK's size and a full frame's."""


def limit_frames(limit_bytes: int) -> int:
    """The asked queue in full frames, as most managers count."""
    return max(limit_bytes // FRAME_BYTES, LEAST_FRAMES)


def manager_words(kind: str, limit_bytes: int, mean_mbps: float) -> list[str]:
    """What `tc qdisc` is told of a manager: its limit, else its own defaults.

    Args:
        limit_bytes: the queue that was asked for.
        mean_mbps: the trace's; RED's average counts idle time by it.
    """
    frames = limit_frames(limit_bytes)
    if kind == "cake":
        return ["cake", "unlimited", "memlimit", str(frames * FRAME_BYTES)]
    if kind != "red":
        return [kind, "limit", str(frames)]
    whole = frames * FRAME_BYTES
    least, most = whole // 12, whole // 4  # tc-red(8): a limit of four times max, max of three times min
    burst = (2 * least + most) // (3 * _RED_PACKET_BYTES) + 1
    bandwidth = f"{max(round(mean_mbps * 1000), 1)}kbit"
    figures = {"limit": whole, "min": least, "max": most, "avpkt": _RED_PACKET_BYTES, "burst": burst}
    told = [word for name, value in figures.items() for word in (name, str(value))]
    return ["red", *told, "bandwidth", bandwidth, "adaptive"]


def manage(pid: int, interface: str, settings: LinkSettings, trace: Trace) -> None:
    """Put the asked manager below the bucket that is on the interface; nothing where none was asked for.

    Args:
        pid: a process in the interface's namespace.

    Raises:
        TestbedError: the kernel refuses.
    """
    if settings.aqm == FIFO:
        return
    words = manager_words(settings.aqm, settings.queue_limit_bytes(trace), trace.mean_mbps)
    run_checked(
        [
            *("mnexec", "-a", str(pid), "tc", "qdisc", "replace", "dev", interface, "parent", "1:1"),
            *("handle", "10:", *words),
        ],
        f"--aqm {settings.aqm}",
    )


@functools.cache
def _tried(kind: str) -> Finding:
    feature = next(one for one in AQM_FEATURES if one.name == kind)
    return kernel_features((VETH, feature))[1]


def refuse_aqm(kind: str) -> None:
    """Refuse a manager that this kernel has not.

    Raises:
        TestbedError: what the kernel says, and the way out.
    """
    if kind == FIFO:
        return
    found = _tried(kind)
    if found.status == OK:
        return
    why = found.detail.removeprefix(f"--aqm {kind}: ")
    lead = "nobody can tell whether this kernel has it" if found.status == UNKNOWN else "this kernel has none"
    raise TestbedError(f"--aqm {kind}: {lead}: {why}; {found.way_out}")

"""Queue managers that a kernel may have, each tried where a lane would have it: below a token bucket."""

from __future__ import annotations

from testbed.machine.kernel import KERNEL_FEATURES, KernelFeature

VETH = next(one for one in KERNEL_FEATURES if one.name == "veth")
"""The cable that they are tried on."""
_BUCKET = (
    "{ tc qdisc del dev sb0 root 2>/dev/null || true; } && "
    "tc qdisc add dev sb0 root handle 1: tbf rate 1mbit burst 3200 limit 60000"
)
"""A new one each time: a manager in the place of another kind's is refused."""
_KINDS = {
    "codel": ("sch_codel", "", "CoDel (RFC 8289)"),
    "fq_codel": ("sch_fq_codel", "", "a queue a flow, each with CoDel (RFC 8290)"),
    "pie": ("sch_pie", "", "PIE (RFC 8033)"),
    "fq_pie": ("sch_fq_pie", "", "a queue a flow, each with PIE"),
    "cake": ("sch_cake", "unlimited", "CAKE: a queue a flow and a host, each with CoDel's successor COBALT"),
    "red": (
        "sch_red",
        "limit 60000 min 5000 max 15000 avpkt 1000 burst 9 bandwidth 1mbit",
        "RED (Floyd and Jacobson 1993)",
    ),
}
"""Name: module, words after it for a trial, what it is."""


def _feature(name: str) -> KernelFeature:
    module, words, what = _KINDS[name]
    commands = (
        f"{_BUCKET} && tc qdisc add dev sb0 parent 1:1 handle 10: {name} {words} && "
        f"tc qdisc show dev sb0 | grep -q '{name} 10:'"
    )
    return KernelFeature(name, module, f"--aqm {name}: {what}", commands)


AQM_FEATURES = tuple(map(_feature, _KINDS))

"""What a rate change costs: our packed netlink messages against pyroute2 and a forked tc.

As root: `python -m tests.netlink_benchmark`. All three change the rate of a token bucket on one interface in
a namespace of its own; the median of the times is printed, and its ratio to ours.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from testbed.link.namespace import network_namespace
from testbed.link.tbf import TokenBucket
from traces.bound_processes import die_with_parent

BURST_BYTES, LIMIT_BYTES = 1600, 100_000
TC_SHARE = 20
"""A fork costs so much more that it is measured this many times less often."""


def median_us(change: Callable[[int], None], rates_kbps: range) -> float:
    """Microseconds that one change takes, by the median over the rates."""
    times = []
    for rate_kbps in rates_kbps:
        begun = time.perf_counter()
        change(rate_kbps)
        times.append(time.perf_counter() - begun)
    return statistics.median(times) * 1e6


def measure(pid: int, changes: int) -> dict[str, float]:
    """Way -> µs a change, on the interface `near` of process `pid`'s namespace."""
    from pyroute2 import IPRoute

    rates, few = range(1000, 1000 + changes), range(1000, 1000 + max(changes // TC_SHARE, 5))
    bucket = TokenBucket(pid, "near")
    bucket.create(1.0, BURST_BYTES, LIMIT_BYTES)
    with network_namespace(pid):
        route = IPRoute()
        index = route.link_lookup(ifname="near")[0]
        ours = median_us(lambda kbps: bucket.change(kbps / 1000, BURST_BYTES, LIMIT_BYTES), rates)
        theirs = median_us(
            lambda kbps: route.tc(
                "change",
                "tbf",
                index=index,
                handle=0x10000,
                rate=f"{kbps}kbit",
                burst=BURST_BYTES,
                limit=LIMIT_BYTES,
            ),
            rates,
        )
        forked = median_us(
            lambda kbps: subprocess.run(
                f"tc qdisc change dev near root handle 1: tbf rate {kbps}kbit burst {BURST_BYTES}"
                f" limit {LIMIT_BYTES}".split(),
                check=True,
            ),
            few,
        )
        route.close()
    read = median_us(lambda _: bucket.read(), rates)
    bucket.close()
    return {"packed": ours, "pyroute2": theirs, "forked tc": forked, "packed, reading": read}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.netlink_benchmark", description=__doc__)
    parser.add_argument("--changes", type=int, default=2000, metavar="N", help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("netlink_benchmark: not root: network namespaces need it; run with sudo", file=sys.stderr)
        return 2
    holder = subprocess.Popen(
        [
            "unshare",
            "--net",
            "sh",
            "-c",
            "ip link add near type veth peer name far && echo made && exec sleep 600",
        ],
        stdout=subprocess.PIPE,
        preexec_fn=die_with_parent,
    )
    try:
        assert holder.stdout is not None
        if not holder.stdout.readline():
            print("netlink_benchmark: cannot make a namespace with an interface", file=sys.stderr)
            return 2
        found = measure(holder.pid, options.changes)
    finally:
        holder.kill()
        holder.wait()
    if options.json:
        print(json.dumps({"us": found}))
        return 0
    for way, us in found.items():
        print(f"{way:<16} {us:9.1f} us  {us / found['packed']:7.1f} x")
    return 0


if __name__ == "__main__":
    sys.exit(main())

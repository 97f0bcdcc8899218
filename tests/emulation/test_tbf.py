"""The token bucket on a real interface: what we pack is what the kernel, tc and pyroute2 read."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest

from testbed.link.bucket import bucket_bytes
from testbed.link.namespace import network_namespace
from testbed.link.tbf import DARK_BYTES_PER_S, FRAME_BYTES, TokenBucket, bytes_per_s
from testbed.process.errors import TestbedError
from tests.support.emulation import ROOT, Namespace, a_namespace, wait_until

pytestmark = [pytest.mark.emulation, pytest.mark.beside]

LIMIT_BYTES = 60_000
FRAME = b"\xff" * 6 + b"\x02\0\0\0\0\x09" + b"\x88\xb6" + bytes(FRAME_BYTES - 14)


@dataclass
class Bench:
    """An interface `near` with a bucket on it, a peer `far`, and a socket that sends through both."""

    namespace: Namespace
    bucket: TokenBucket
    socket: socket.socket

    def send(self, frames: int) -> None:
        for _ in range(frames):
            with suppress(OSError):  # ENOBUFS: the queue is full, the frame was dropped and counted
                self.socket.send(FRAME)

    def tc(self) -> dict[str, Any]:
        """The root qdisc as `tc -s -j` shows it."""
        shown: list[dict[str, Any]] = json.loads(self.namespace.run("tc -s -j qdisc show dev near"))
        return shown[0]


@contextmanager
def shaped(rate_mbps: float, burst_bytes: int = 1600) -> Iterator[Bench]:
    with a_namespace() as namespace:
        namespace.run("sysctl -qw net.ipv6.conf.default.disable_ipv6=1")  # nothing speaks by itself
        namespace.run("ip link add near type veth peer name far; ip link set far up; ip link set near up")
        bucket = TokenBucket(namespace.pid, "near")
        bucket.create(rate_mbps, burst_bytes, LIMIT_BYTES)
        with network_namespace(namespace.pid):
            sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            sender.bind(("near", 0))
        try:
            yield Bench(namespace, bucket, sender)
        finally:
            sender.close()
            bucket.close()


def by_pyroute2(namespace: Namespace) -> dict[str, Any]:
    """The root qdisc of `near` as a general library reads it."""
    from pyroute2 import IPRoute

    with network_namespace(namespace.pid), IPRoute() as route:
        index = route.link_lookup(ifname="near")[0]
        (qdisc,) = [message for message in route.get_qdiscs() if message["index"] == index]
        options = qdisc.get_attr("TCA_OPTIONS")
        parms = options.get_attr("TCA_TBF_PARMS")
        return {
            "kind": qdisc.get_attr("TCA_KIND"),
            "handle": qdisc["handle"],
            "rate": parms["rate"],
            "limit": parms["limit"],
        }


@pytest.mark.parametrize("rate_mbps", [0.008, 2.5, 190.0, 1000.0])
def test_what_is_created_and_changed_is_what_others_read(rate_mbps: float) -> None:
    with shaped(1.0) as bench:
        made = bench.tc()
        assert (made["kind"], made["handle"], made["root"]) == ("tbf", "1:", True)
        assert made["options"]["rate"] == 125_000
        rate = round(rate_mbps * 125_000)
        bench.bucket.change(rate_mbps, 3200, 2 * LIMIT_BYTES)
        assert bench.bucket.read().rate_bytes_per_s == rate
        assert by_pyroute2(bench.namespace) == {
            "kind": "tbf",
            "handle": 0x10000,
            "rate": rate,
            "limit": 2 * LIMIT_BYTES,
        }
        shown = bench.tc()["options"]
        assert shown["rate"] == rate
        assert shown["burst"] == pytest.approx(3200, abs=rate * 1e-6 + 1)  # tc reckons in whole µs


def test_a_dark_link_has_the_lowest_rate_there_is() -> None:
    with shaped(1.0) as bench:
        bench.bucket.change(0.0, 1600, LIMIT_BYTES)
        assert bench.bucket.read().rate_bytes_per_s == DARK_BYTES_PER_S
        assert by_pyroute2(bench.namespace)["rate"] == DARK_BYTES_PER_S


def test_counters_are_the_kernels_own() -> None:
    with shaped(0.0) as bench:
        bench.send(11)
        counters = bench.bucket.read()
        # One left on the bucket's credit.
        assert (counters.sent_bytes, counters.sent_packets) == (FRAME_BYTES, 1)
        assert (counters.backlog_bytes, counters.drops) == (10 * FRAME_BYTES, 0)
        bench.send(60)
        counters, shown = bench.bucket.read(), bench.tc()
        assert counters.backlog_bytes == LIMIT_BYTES // FRAME_BYTES * FRAME_BYTES
        assert counters.drops == 71 - 1 - LIMIT_BYTES // FRAME_BYTES
        assert (shown["bytes"], shown["packets"]) == (counters.sent_bytes, counters.sent_packets)
        assert (shown["backlog"], shown["drops"]) == (counters.backlog_bytes, counters.drops)


def test_a_change_keeps_what_is_queued() -> None:
    with shaped(0.0) as bench:
        bench.send(21)
        before = bench.bucket.read()
        for _ in range(5):
            bench.bucket.change(0.0, 1600, LIMIT_BYTES)
        after = bench.bucket.read()
        assert before.backlog_bytes == 20 * FRAME_BYTES
        assert (after.drops, after.sent_packets * FRAME_BYTES + after.backlog_bytes) == (0, 21 * FRAME_BYTES)


def test_after_the_dark_frames_stand_still_until_the_kick() -> None:
    """The finding that the kick rests on. Where the first half fails, a kernel wakes tbf by itself."""
    with shaped(0.0) as bench:
        bench.send(21)
        bench.bucket.change(8.0, 1600, LIMIT_BYTES)  # 20 frames would take 30 ms now
        time.sleep(0.5)
        asleep = bench.bucket.read()
        assert (asleep.sent_packets, asleep.backlog_bytes) == (1, 20 * FRAME_BYTES)
        bench.bucket.kick()
        wait_until(lambda: bench.bucket.read().backlog_bytes == 0, "the queue runs empty", timeout_s=10)
        assert bench.bucket.read().sent_packets == 22


def test_a_kick_that_finds_the_queue_full_wakes_it_too() -> None:
    with shaped(0.0) as bench:
        full = 5 * FRAME_BYTES
        bench.bucket.change(0.0, 1600, full)
        bench.send(10)
        assert bench.bucket.read().backlog_bytes == full
        bench.bucket.change(8.0, 1600, full)
        bench.bucket.kick()
        wait_until(lambda: bench.bucket.read().backlog_bytes == 0, "the queue runs empty", timeout_s=10)


def test_what_somebody_else_does_to_the_qdisc_is_seen() -> None:
    with shaped(5.0) as bench:
        bench.namespace.run("tc qdisc change dev near root handle 1: tbf rate 9mbit burst 1600 limit 60000")
        assert bench.bucket.read().rate_bytes_per_s == 1_125_000
        bench.namespace.run(
            "tc qdisc del dev near root; tc qdisc add dev near root handle 1: bfifo limit 60000"
        )
        with pytest.raises(TestbedError, match="replaced by another qdisc"):
            bench.bucket.read()
        bench.namespace.run("tc qdisc del dev near root")
        with pytest.raises(TestbedError, match="the kernel refused a tbf on near"):
            bench.bucket.change(2.0, 1600, LIMIT_BYTES)
        with pytest.raises(TestbedError, match="near"):
            bench.bucket.read()


@pytest.mark.parametrize("rate_mbps", [0.0, 0.3, 5.0, 50.0, 900.0])
def test_what_is_ours_is_not_foreign_and_what_is_not_is_named(rate_mbps: float) -> None:
    burst = bucket_bytes(rate_mbps)
    with shaped(1.0) as bench:
        assert bench.bucket.foreign(bench.bucket.read()) == ""
        bench.bucket.change(rate_mbps, burst, LIMIT_BYTES)
        assert bench.bucket.foreign(bench.bucket.read()) == ""
        rate = bytes_per_s(rate_mbps)
        change = f"tc qdisc change dev near root handle 1: tbf rate {8 * rate}bit"
        bench.namespace.run(f"{change} burst {burst} limit {LIMIT_BYTES // 2}")
        assert bench.bucket.foreign(bench.bucket.read()) == "a queue of 30000 bytes where 60000 were set"
        bench.bucket.change(rate_mbps, burst, LIMIT_BYTES)
        assert bench.bucket.foreign(bench.bucket.read()) == ""
        if rate_mbps:  # the bucket of a dark link overflows the kernel's field whatever its size
            bench.namespace.run(f"{change} burst {2 * burst} limit {LIMIT_BYTES}")
            said = re.fullmatch(
                r"a bucket of (\d+) bytes that nobody here set", bench.bucket.foreign(bench.bucket.read())
            )
            assert said and int(said[1]) == pytest.approx(2 * burst, rel=0.02)


def test_a_foreign_rate_is_named_though_its_bucket_lasts_as_long_as_ours() -> None:
    with shaped(4.0, burst_bytes=2000) as bench:
        bench.namespace.run("tc qdisc change dev near root handle 1: tbf rate 8mbit burst 4000 limit 60000")
        said = bench.bucket.foreign(bench.bucket.read())
        assert said == "a rate of 1000000 bytes/s where 500000 were set"


def test_two_buckets_on_one_interface_are_refused() -> None:
    with shaped(5.0) as bench, pytest.raises(TestbedError, match="refused a tbf on near: File exists"):
        bench.bucket.create(2.0, 1600, LIMIT_BYTES)
    with a_namespace() as namespace, pytest.raises(TestbedError, match="cannot shape nowhere: no interface"):
        TokenBucket(namespace.pid, "nowhere")


def test_a_namespace_is_entered_and_left_again() -> None:
    own = socket.if_nameindex()
    with a_namespace() as namespace:
        with network_namespace(namespace.pid):
            assert [name for _, name in socket.if_nameindex() if name == "lo"] == ["lo"]
            assert socket.if_nameindex() != own
        assert socket.if_nameindex() == own
        with pytest.raises(ZeroDivisionError), network_namespace(namespace.pid):
            raise ZeroDivisionError
        assert socket.if_nameindex() == own
        gone = namespace.pid
    with (
        pytest.raises(TestbedError, match="cannot open the network namespace of process"),
        network_namespace(gone),
    ):
        pass


def test_the_benchmark_of_rate_changes_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.netlink_benchmark", "--changes", "20", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)["us"]
    assert set(found) == {"packed", "pyroute2", "forked tc", "packed, reading"}
    assert 0 < found["packed"] < found["forked tc"]

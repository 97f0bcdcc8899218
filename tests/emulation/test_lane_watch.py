"""Who changed something: words from notifications, what is not heard shows in snapshots."""

from __future__ import annotations

import os
import struct
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.link.tbf import TokenBucket
from testbed.verdict.lane_snapshot import differences, snapshot_host
from testbed.verdict.lane_watch import HostWatch, LaneWatch, LinkState, messages, own_filter
from tests.support.emulation import Namespace, a_namespace

pytestmark = pytest.mark.beside

STATE = LinkState("player-0", True, True, 1500, 1000, "02:00:00:00:03:02")


def test_links_tell_what_became_of_them() -> None:
    assert STATE.changes(STATE) == []
    assert STATE.changes(replace(STATE, up=False, carrier=False)) == ["down"]
    assert STATE.changes(replace(STATE, carrier=False)) == ["without carrier"]
    assert STATE.changes(replace(STATE, mtu=600, queue_packets=5)) == [
        "MTU 1500 became 600",
        "transmit queue 1000 became 5",
    ]


@given(st.binary(max_size=200))
def test_any_bytes_are_heard_without_a_fault(data: bytes) -> None:
    host = HostWatch("wan", (1,))
    for kind in (16, 17, 24, 28, 32, 36, 44):
        whole = struct.pack("=IHHII", 16 + len(data), kind, 0, 0, 7) + data
        assert len(list(messages(whole))) == 1
        host.hear(whole)
    host.hear(data)


def test_the_filter_names_every_port_of_ours() -> None:
    assert len(own_filter((1,))) == 6 * 8
    assert len(own_filter((1, 2))) == 7 * 8


def heard(host: Namespace, command: str) -> list[str]:
    """What a watch says of a command in a namespace that has an interface `dummy-0`, and a veth pair."""
    watch = LaneWatch({"host": host.pid}, (os.getpid(),), time.monotonic())
    try:
        watch.know("host", snapshot_host(host.pid).links)
        host.run(command)
        watch.drain()
        return [change.what for change in watch.changes]
    finally:
        watch.close()


@pytest.mark.emulation
def test_each_kind_of_change_is_heard_and_ours_is_not() -> None:
    with a_namespace() as host:
        host.run("ip link add one type veth peer name two; ip link set one up; ip link set two up")
        host.run("ip addr add 10.0.0.1/24 dev one")
        assert "link one MTU 1500 became 600" in heard(host, "ip link set one mtu 600")
        assert "link one down" in heard(host, "ip link set one down; ip link set one up")
        assert "rule added" in heard(host, "ip rule add from 10.9.9.9 table 9")
        assert "route added" in heard(host, "ip route add 10.8.0.0/16 dev one")
        assert any(
            "qdisc pfifo added or changed on two" in what
            for what in heard(host, "tc qdisc add dev two root pfifo limit 9")
        )
        assert "neighbour changed on one" in heard(
            host, "ip neigh replace 10.0.0.2 lladdr 02:00:00:00:00:09 dev one nud permanent"
        )
        assert "network settings changed" in heard(host, "echo 1 > /proc/sys/net/ipv4/ip_forward")
        assert heard(host, "ip link set one promisc on; tc -s qdisc show; ip addr show") == []


@pytest.mark.emulation
def test_changes_and_readings_of_our_own_bucket_are_not_heard() -> None:
    with a_namespace() as host:
        host.run("ip link add one type veth peer name two; ip link set one up; ip link set two up")
        bucket = TokenBucket(host.pid, "one")
        watch = LaneWatch({"host": host.pid}, (os.getpid(),), time.monotonic())
        try:
            watch.know("host", snapshot_host(host.pid).links)
            bucket.create(10.0, 1600, 100_000)
            watch.drain()
            before = watch.heard  # the queue that was there before goes, and says so
            for rate in (5.0, 6.0):
                bucket.change(rate, 1600, 100_000)
                bucket.read()
            watch.drain()
            assert watch.heard == before
            host.run("tc qdisc change dev one root handle 1: tbf rate 3mbit burst 1600 limit 100000")
            watch.drain()
            assert watch.changes[-1].what == "qdisc tbf added or changed on one"
        finally:
            watch.close()
            bucket.close()


@pytest.mark.emulation
def test_what_nobody_tells_shows_in_the_snapshots() -> None:
    with a_namespace() as host:
        host.run("ip link add one type veth peer name two; ip link set one up")
        before = snapshot_host(host.pid)
        assert differences(before, snapshot_host(host.pid)) == []
        host.run("echo 0 > /proc/sys/net/ipv4/tcp_sack; ip link set one txqueuelen 5; ip rule add table 9")
        assert differences(before, snapshot_host(host.pid)) == [
            "link one transmit queue 1000 became 5",
            "the rules are not what they were",
            "tcp_sack: 1 became 0",
        ]

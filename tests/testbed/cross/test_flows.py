"""Bulk flows over the loopback: counted second by second, begun and ended on time, ended by a word."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from testbed.cross import flows as module
from testbed.cross.flows import BulkFlows, Flow


def available() -> list[str]:
    return Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text().split()


def a_flow(begin_s: float, end_s: float | None) -> Flow:
    listening = socket.create_server(("127.0.0.1", 0))
    name = available()[0]
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name.encode())
    receiver = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    for opened in (listening, receiver):
        opened.setblocking(False)
    return Flow(name, begin_s, end_s, listening, receiver)


def test_a_flow_sends_within_its_time_and_all_of_it_comes() -> None:
    flow = a_flow(0.2, 0.4)
    hears, tells = os.pipe()
    begun = time.monotonic()
    BulkFlows([flow], hears).run(begun)
    os.close(hears)
    os.close(tells)
    told = flow.told()
    assert told["fault"] == "" and told["begin_s"] >= 0.2 and told["end_s"] >= 0.4
    assert sum(told["received_bytes"]) > 0 and told["retransmits"] is not None


def test_flows_without_an_end_go_on_until_they_are_told_to_stop() -> None:
    flows = [a_flow(0.0, None), a_flow(3600.0, None)]
    hears, tells = os.pipe()
    os.write(tells, b'{"stop": true}\n')
    BulkFlows(flows, hears).run(time.monotonic())
    os.close(hears)
    os.close(tells)
    assert all(flow.over for flow in flows)
    assert flows[1].told()["begin_s"] is None and flows[1].received == []


def test_a_flow_that_cannot_connect_says_why() -> None:
    flow = a_flow(0.0, None)
    flow.listening.close()
    flow.listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # no TCP has this port
    flow.listening.bind(("127.0.0.1", 0))
    hears, tells = os.pipe()
    BulkFlows([flow], hears).run(time.monotonic())
    for number in (hears, tells):
        os.close(number)
    assert flow.over and "refused" in flow.fault


def test_bytes_are_counted_in_their_second() -> None:
    flow = a_flow(0.0, None)
    for at_s, count in ((0.5, 10), (2.1, 5), (2.9, 5), (-0.1, 1)):
        flow.came(at_s, count)
    assert flow.received == [11, 0, 10]
    flow.listening.close()
    flow.receiver.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may enter a namespace")
def test_a_congestion_control_that_there_is_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SERVER_IP", "127.0.0.1")
    with pytest.raises(OSError, match="No such file"):
        module.opened_flow({"cc": "nosuch", "begin_s": 0.0, "end_s": None}, 0, os.getpid())

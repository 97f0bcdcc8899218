"""What fills a link while it is measured: as many datagrams as asked for, a little more than it carries."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.checks.fidelity.saturate import FLOOR_MBPS, OVERLOAD, Datagrams, Flow
from testbed.link.tbf import FRAME_BYTES
from traces.trace import Trace

TRACE = Trace("t", (0.0, 1.0, 2.0, 3.0), (0.0, 4.0, 0.0, 9.0))


@contextmanager
def loopback() -> Iterator[tuple[socket.socket, socket.socket]]:
    """(a connected UDP socket, its peer)"""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as near,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far,
    ):
        for opened in (near, far):
            opened.bind(("127.0.0.1", 0))
        near.connect(far.getsockname())
        far.connect(near.getsockname())
        yield near, far


def received(opened: socket.socket) -> list[bytes]:
    """All that has come; over the loopback a datagram is there when the sender's call returns."""
    opened.setblocking(False)
    found = []
    while True:
        try:
            found.append(opened.recv(2048))
        except BlockingIOError:
            return found


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 50])
def test_exactly_as_many_datagrams_go_as_are_asked_for(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr("testbed.checks.fidelity.saturate.MOST_AT_ONCE", 8)
    datagrams = Datagrams(b"the payload")
    with loopback() as (near, far):
        assert datagrams.send(near.fileno(), count) == count
        assert received(far) == [b"the payload"] * count
        assert datagrams.send(near.fileno(), count) == count
        assert received(far) == [b"the payload"] * count, "headers that were used once go again"


def test_more_than_one_call_takes_go_in_several() -> None:
    with loopback() as (near, _):
        assert Datagrams(b"x").send(near.fileno(), 2500) == 2500


def test_a_full_socket_takes_what_it_can() -> None:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with near, far:
        near.setblocking(False)
        went = Datagrams(bytes(1000)).send(near.fileno(), 100_000)
        assert 0 < went < 100_000
        assert len(received(far)) == went


def test_a_broken_socket_is_told() -> None:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with near:
        far.close()
        with pytest.raises(OSError, match=r"refused|not connected"):
            Datagrams(b"x").send(near.fileno(), 3)


def test_a_flow_sends_whole_frames_down_and_an_ack_up_for_every_two() -> None:
    with loopback() as (server, player):
        flow = Flow(TRACE, 0.0, down=server, up=player)
        flow.send(0.02)  # 80 kbit carried
        down, up = received(player), received(server)
    assert len(down) == int((OVERLOAD * 80_000 + FLOOR_MBPS * 20_000) / 8 / FRAME_BYTES) + 2 == 9
    assert {len(payload) for payload in down} == {FRAME_BYTES - 14 - 20 - 8}
    assert [len(payload) for payload in up] == [12] * 4


class Counted:
    """Datagrams that are only counted; a socket that takes so many at a time."""

    def __init__(self, room: int) -> None:
        self.room, self.gone = room, 0

    def send(self, descriptor: int, count: int) -> int:
        assert count >= 0
        went = min(count, self.room)
        self.gone += went
        return went


def goal(start_s: float, elapsed_s: float) -> float:
    """Frames that a flow should have sent, before they are rounded."""
    carried = TRACE.megabits_until(start_s + elapsed_s) - TRACE.megabits_until(start_s)
    return (OVERLOAD * carried + FLOOR_MBPS * elapsed_s) * 1e6 / 8 / FRAME_BYTES


@given(st.floats(0, 10), st.lists(st.floats(0, 30), min_size=1, max_size=30), st.sampled_from([3, 40, 10**9]))
def test_a_flow_catches_up_with_its_goal_and_never_overtakes_it(
    start_s: float, turns_s: Sequence[float], room: int
) -> None:
    """Whenever it is asked, over wraps of the trace and through a socket that is full at times."""
    frames, acks = Counted(room), Counted(10**9)
    with pytest.MonkeyPatch.context() as patch, loopback() as (server, player):
        patch.setattr("testbed.checks.fidelity.saturate._FRAMES", frames)
        patch.setattr("testbed.checks.fidelity.saturate._ACKS", acks)
        flow = Flow(TRACE, start_s, down=server, up=player)
        for elapsed_s in sorted(turns_s):
            before = frames.gone
            flow.send(elapsed_s)
            assert frames.gone <= goal(start_s, elapsed_s) + 2 + 1e-6
            assert frames.gone - before == room or frames.gone >= goal(start_s, elapsed_s) + 1 - 1e-6
            assert acks.gone == frames.gone // 2
            if room == 10**9:
                flow.send(elapsed_s)
                assert (flow.frames, frames.gone - before) == (frames.gone, frames.gone - before)

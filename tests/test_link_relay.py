"""The user-space delay stage by itself: its loss against theory, its delays, its order. No TUN, no root."""

from __future__ import annotations

import itertools
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from testbed.relay import LossProcess, Relay
from testbed.settings import Loss

SERVER = bytes((10, 0, 1, 2))
PLAYER = bytes((10, 0, 3, 2))
DRAWS = 200_000


def packet(destination: bytes, number: int) -> bytes:
    """As much of an IPv4 packet as the relay looks at, and a number."""
    return bytes(16) + destination + struct.pack("!I", number)


def number_of(data: bytes) -> int:
    return int(struct.unpack("!I", data[20:24])[0])


@contextmanager
def running(relay: Relay) -> Iterator[None]:
    """The relay's loop in a thread."""
    ours, theirs = os.pipe()
    thread = threading.Thread(target=relay.run, args=(ours,))
    thread.start()
    try:
        yield
    finally:
        os.close(theirs)
        thread.join(timeout=10)
        os.close(ours)
    assert not thread.is_alive(), "end of input did not end the relay"


@contextmanager
def wires() -> Iterator[tuple[socket.socket, socket.socket]]:
    """(ours, the relay's): packets keep their borders, as on a TUN."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        theirs.setblocking(False)
        ours.settimeout(10)
        yield ours, theirs


def losses(loss: Loss, seed: int = 1) -> list[bool]:
    process = LossProcess(loss, seed)
    return [process.lost() for _ in range(DRAWS)]


@pytest.mark.parametrize("p", [2.0, 10.0, 30.0])
def test_uniform_loss_has_its_rate_and_no_memory(p: float) -> None:
    fates = losses(Loss("uniform", p))
    assert sum(fates) / DRAWS * 100 == pytest.approx(p, rel=0.1)
    after_a_loss = [later for before, later in itertools.pairwise(fates) if before]
    assert sum(after_a_loss) / len(after_a_loss) * 100 == pytest.approx(p, rel=0.3)


@pytest.mark.parametrize(("p", "r", "bad", "good"), [(1, 20, 100, 0), (0.5, 10, 80, 0.1), (5, 50, 100, 0)])
def test_gilbert_elliott_has_its_mean_loss_and_burst_length(
    p: float, r: float, bad: float, good: float
) -> None:
    """Share of time in the bad state p / (p + r); mean stay there 100 / r packets (Elliott, BSTJ 1963)."""
    fates = losses(Loss("gemodel", p, r, bad, good))
    in_bad = p / (p + r)
    assert sum(fates) / DRAWS * 100 == pytest.approx(in_bad * bad + (1 - in_bad) * good, rel=0.15)
    if (bad, good) == (100, 0):
        bursts = [len(list(group)) for lost, group in itertools.groupby(fates) if lost]
        assert sum(bursts) / len(bursts) == pytest.approx(100 / r, rel=0.15)


def test_loss_is_a_function_of_the_seed() -> None:
    loss = Loss("uniform", 10.0)
    assert losses(loss, seed=3) == losses(loss, seed=3)
    assert losses(loss, seed=3) != losses(loss, seed=4)


@pytest.mark.parametrize("jitter_s", [0.0, 0.02])
def test_packets_to_the_server_leave_in_order_and_never_early(jitter_s: float) -> None:
    delay_s, count = 0.03, 100
    with wires() as (ours, theirs):
        relay = Relay(theirs.fileno(), SERVER, delay_s, jitter_s, Loss(), seed=5)
        sent_at: list[float] = []
        waits_s: list[float] = []
        with running(relay):
            for number in range(count):
                sent_at.append(time.monotonic())
                ours.send(packet(SERVER, number))
                time.sleep(0.001)
            for number in range(count):
                assert number_of(ours.recv(2048)) == number
                waits_s.append(time.monotonic() - sent_at[number])
    assert min(waits_s) >= delay_s - jitter_s
    if not jitter_s:
        assert min(waits_s) >= delay_s
    counters = relay.counters
    assert (counters.up_packets, counters.down_packets, counters.lost, counters.overflowed) == (
        count,
        0,
        0,
        0,
    )


def test_jitter_spreads_the_due_times_over_its_width() -> None:
    with wires() as (_, theirs):
        relay = Relay(theirs.fileno(), SERVER, 1.0, 0.5, Loss(), seed=5)
        offsets = []
        for number in range(200):
            relay._waiting.clear()  # each alone: the order that is kept may not hide the draw
            before = time.monotonic()
            relay._hold(packet(SERVER, number))
            offsets.append(relay._waiting[-1][0] - before - 1.0)
    assert -0.5 <= min(offsets) < -0.4
    assert 0.4 < max(offsets) < 0.6


def test_packets_to_the_player_do_not_wait_for_those_to_the_server() -> None:
    with wires() as (ours, theirs):
        relay = Relay(theirs.fileno(), SERVER, 5.0, 0.0, Loss(), seed=5)
        with running(relay):
            ours.send(packet(SERVER, 1))
            for number in range(10, 15):
                ours.send(packet(PLAYER, number))
            begun = time.monotonic()
            assert [number_of(ours.recv(2048)) for _ in range(5)] == list(range(10, 15))
            assert time.monotonic() - begun < 5.0, "they waited as long as the one to the server"


def test_only_packets_to_the_player_are_lost_and_all_are_counted() -> None:
    with wires() as (ours, theirs):
        relay = Relay(theirs.fileno(), SERVER, 0.0, 0.0, Loss("gemodel", 100, 0, 100, 0), seed=5)
        with running(relay):
            for number in range(20):
                ours.send(packet(PLAYER, number))
                ours.send(packet(SERVER, 100 + number))
            assert [number_of(ours.recv(2048)) for _ in range(20)] == list(range(100, 120))
    assert (relay.counters.lost, relay.counters.down_packets, relay.counters.up_packets) == (20, 20, 20)


def test_a_full_queue_drops_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testbed.relay.QUEUE_PACKETS", 3)
    with wires() as (ours, theirs):
        relay = Relay(theirs.fileno(), SERVER, 60.0, 0.0, Loss(), seed=5)
        for number in range(5):
            ours.send(packet(SERVER, number))
        relay.take_in()
        assert relay.counters.overflowed == 2
        rest_s = relay.send_due()
        assert rest_s is not None and 50 < rest_s <= 60

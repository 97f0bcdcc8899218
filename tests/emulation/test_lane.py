"""A lane with real packets: round trip, loss, rate, what the probe makes of them, what the shaper logs."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from testbed.link.bucket import bucket_bytes
from testbed.link.delay_stage import unasked_media
from testbed.link.hosts import run_script
from testbed.link.lane import BOTTLENECK, PLAYER_IP, SERVER_IP, Lane
from testbed.link.log import read_link_log
from testbed.link.namespace import network_namespace
from testbed.link.probe import PathProbe, probe_path
from testbed.link.settings import LinkSettings, Loss
from testbed.link.shaper_client import ShaperClient
from testbed.link.tbf import FRAME_BYTES, TokenBucket
from testbed.machine.finding import Report
from testbed.process.errors import TestbedError
from testbed.verdict.evidence import Evidence
from testbed.verdict.judge import judge
from tests.support.emulation import (
    MARK,
    ROOT,
    all_namespaces,
    marked,
    net_namespace,
    surroundings,
    wait_until,
)
from traces.trace import Trace

pytestmark = pytest.mark.emulation

LIMIT_BYTES = 100_000
_SO_RCVBUFFORCE, _SO_TIMESTAMPNS = 33, 35  # <asm-generic/socket.h>
ROLES = ("server", "wan", "router", "player")
NOISE_MS = 40.0
"""So much longer may a round trip take on a machine that does other things as well."""


@contextmanager
def shaped_lane(
    settings: LinkSettings, backend: str = "relay", rate_mbps: float = 10.0, trace: Trace | None = None
) -> Iterator[tuple[Lane, TokenBucket]]:
    with Lane("sbtest", settings, backend, seed=3, trace=trace) as lane:
        bucket = lane.bucket()
        bucket.create(rate_mbps, bucket_bytes(rate_mbps), LIMIT_BYTES)
        try:
            yield lane, bucket
        finally:
            bucket.close()


def udp(pid: int, address: str, peer: str) -> socket.socket:
    with network_namespace(pid):
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 4_000_000)
    opened.bind((address, 4700))
    opened.connect((peer, 4700))
    opened.settimeout(0.5)
    return opened


@pytest.fixture(params=["relay", "netem"])
def backend(request: pytest.FixtureRequest, machine: Report) -> str:
    if request.param == "netem" and not machine.has_netem:
        pytest.skip("this kernel has no netem")
    if request.param == "relay" and not machine.has_packet_sockets:
        pytest.skip("no packet sockets here")
    return str(request.param)


def test_a_lane_is_what_was_asked_and_leaves_nothing(backend: str) -> None:
    before = surroundings()
    settings = LinkSettings(rtt_ms=40.0, slow_start_after_idle=False)
    with shaped_lane(settings, backend) as (lane, bucket):
        namespaces = {net_namespace(lane.pid(role)) for role in ROLES}
        assert len(namespaces) == 4
        assert lane.tcp_in_force()["tcp_slow_start_after_idle"] == "0"
        assert lane.tcp_in_force()["tcp_no_metrics_save"] == "1"
        qdiscs = lane.qdiscs()
        assert any("tbf 1: dev router-down root" in line for line in qdiscs["router"])
        assert any("netem" in line for line in qdiscs.get("wan", [])) == (backend == "netem")
        found = probe_path(lane, bucket)
        assert found.rtt_min_ms is not None
        assert 40.0 - 1 <= found.rtt_min_ms <= 40.0 + NOISE_MS
        assert found.train_rate_ratio == pytest.approx(1.0, abs=0.3)
        assert (found.echoes_lost, found.train_lost) == (0, 0)
        report = lane.stage_report()
        if backend == "relay":
            assert report.packets >= found.echoes_sent
            assert (report.lost, report.dropped) == (0, 0)
        assert surroundings() == before, "the machine's own network was touched"
    wait_until(lambda: not namespaces & all_namespaces(), "its namespaces go")
    assert surroundings() == before


def test_loss_on_the_way_to_the_player_is_near_the_asked_share(backend: str) -> None:
    sent = 1000
    with shaped_lane(LinkSettings(rtt_ms=0.0, loss=Loss("uniform", 20.0)), backend, 100.0) as (lane, _):
        with (
            udp(lane.pid("server"), SERVER_IP, PLAYER_IP) as server,
            udp(lane.pid("player"), PLAYER_IP, SERVER_IP) as player,
        ):
            arrived = 0
            for _ in range(sent):
                server.send(bytes(20))
                time.sleep(0.0003)
            try:
                while player.recv(100):
                    arrived += 1
            except TimeoutError:
                pass
            for _ in range(50):
                player.send(bytes(20))
            assert sum(1 for _ in range(50) if server.recv(100)) == 50, "the way up is without loss"
        report = lane.stage_report()
    assert (sent - arrived) / sent == pytest.approx(0.2, abs=0.08)
    if backend == "relay":
        assert report.lost == sent - arrived


def trips_up(lane: Lane, t0: float, seconds: float) -> list[tuple[float, float]]:
    """(when it was sent, s since t0; how long it took, ms) of small packets to the server, 10 ms apart."""
    found: list[tuple[float, float]] = []
    with (
        udp(lane.pid("server"), SERVER_IP, PLAYER_IP) as server,
        udp(lane.pid("player"), PLAYER_IP, SERVER_IP) as player,
    ):

        def receive() -> None:
            with suppress(TimeoutError):
                while True:
                    (sent_at,) = struct.unpack("=d", server.recv(100))
                    found.append((sent_at - t0, (time.monotonic() - sent_at) * 1000))

        receiving = threading.Thread(target=receive)
        receiving.start()
        while time.monotonic() < t0 + seconds:
            player.send(struct.pack("=d", time.monotonic()))
            time.sleep(0.01)
        receiving.join()
    return found


def test_a_traces_delays_are_those_of_its_steps(backend: str) -> None:
    """20, 120 and 20 ms on top of 10, half a second each."""
    delays_ms, step_s = (20.0, 120.0, 20.0), 0.5
    times = tuple(step_s * step for step in range(4))
    trace = Trace("t", times, (10.0,) * 4, delay_ms=(0.0, *delays_ms))
    with shaped_lane(LinkSettings(rtt_ms=10.0), backend, trace=trace) as (lane, _):
        t0 = time.monotonic() + 0.05
        lane.delay_stage.play(trace, 0.0, t0)
        trips = trips_up(lane, t0, 3 * step_s - 0.02)
        lane.delay_stage.rest()
        after = trips_up(lane, time.monotonic(), 0.1)
        report = lane.stage_report()
    for step, delay_ms in enumerate(delays_ms):
        # Where the delay has fallen, frames wait for those before them: order is kept.
        begins = step * step_s + (0.15 if step else 0.02)
        took = [ms for at, ms in trips if begins <= at < (step + 1) * step_s - 0.02]
        assert len(took) > 5
        assert min(took) >= 10.0 + delay_ms - 1
        assert statistics.median(took) <= 10.0 + delay_ms + NOISE_MS
    assert 10.0 - 1 <= statistics.median(ms for _, ms in after) <= 10.0 + NOISE_MS
    assert (report.lost, report.dropped) == (0, 0)


def test_a_traces_loss_is_that_of_its_steps(backend: str) -> None:
    """Nothing is lost in the first second and a third of the frames in the next."""
    trace = Trace("t", (0.0, 1.0, 60.0), (100.0,) * 3, loss_pct=(0.0, 0.0, 33.0))
    sent, arrived = [0, 0], [0, 0]
    with shaped_lane(LinkSettings(rtt_ms=0.0), backend, 100.0, trace) as (lane, _):
        with (
            udp(lane.pid("server"), SERVER_IP, PLAYER_IP) as server,
            udp(lane.pid("player"), PLAYER_IP, SERVER_IP) as player,
        ):
            t0 = time.monotonic() + 0.05
            lane.delay_stage.play(trace, 0.0, t0)
            while (since_s := time.monotonic() - t0) < 2.0:
                step = 0 if since_s < 0.8 else 1
                if not 0.8 <= since_s < 1.05:  # the border itself is left out
                    server.send(bytes([step]) * 20)
                    sent[step] += 1
                time.sleep(0.001)
            with suppress(TimeoutError):
                while True:
                    arrived[player.recv(100)[0]] += 1
        report = lane.stage_report()
    assert arrived[0] == sent[0] > 100
    assert (sent[1] - arrived[1]) / sent[1] == pytest.approx(0.33, abs=0.12)
    if backend == "relay":
        assert report.lost == sent[1] - arrived[1]


def test_the_probe_tells_a_wrong_round_trip_and_a_wrong_rate(backend: str) -> None:
    with shaped_lane(LinkSettings(rtt_ms=60.0), backend) as (lane, bucket):
        found = probe_path(lane, bucket)
        assert any("where 120 ms was asked" in fault for fault in found.faults(120.0, 0.0, lossy=False))
        assert any(
            "(median) where 10 ms was asked" in fault for fault in found.faults(10.0, 0.0, lossy=False)
        )

        class Deaf:
            """A tc that silently did not apply."""

            def change(self, *_: object) -> None:
                bucket.change(5.0, 1600, LIMIT_BYTES)

        found = probe_path(lane, Deaf())  # type: ignore[arg-type]
        assert found.train_rate_ratio == pytest.approx(0.5, abs=0.2)
        assert any(
            "Mbit/s passed where 10 was set" in fault for fault in found.faults(60.0, 0.0, lossy=False)
        )


def test_mininet_takes_no_stand_in_for_distutils_from_others() -> None:
    """What it has no use for is not imported, and whoever has a use for it finds the real one."""
    script = (
        "import sys; from testbed.link.lane import _node_class; _node_class();"
        " assert not [name for name in sys.modules if name.startswith('distutils')];"
        " from distutils.version import StrictVersion; assert StrictVersion('1.10') > StrictVersion('1.9')"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


def test_what_scapy_is_loaded_for_needs_no_routes() -> None:
    script = "from testbed.link.probe import load_scapy; load_scapy()"
    done = subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, capture_output=True)
    assert done.stderr == b""


def test_a_path_that_is_cut_is_told() -> None:
    with shaped_lane(LinkSettings(rtt_ms=0.0)) as (lane, bucket):
        run_script(lane.pid("wan"), ["sysctl -qw net.ipv4.ip_forward=0"], "not changed")
        found = probe_path(lane, bucket)
    assert found.faults(0.0, 0.0, lossy=False) == ["none of 8 echo requests came back"]


def test_a_true_path_has_no_faults_and_each_fault_is_named() -> None:
    true = PathProbe(80.2, 80.0, 81.0, 8, 0, 1.001, 48, 0)
    assert true.faults(80.0, 0.0, lossy=False) == []
    lossy = dataclasses.replace(true, echoes_lost=1, train_lost=2)
    assert lossy.faults(80.0, 0.0, lossy=True) == []
    assert "1 of 8 echoes and 2 of 48 frames lost" in lossy.faults(80.0, 0.0, lossy=False)[0]
    jittery = dataclasses.replace(true, rtt_ms=84.0, rtt_min_ms=76.0)
    assert jittery.faults(80.0, 5.0, lossy=False) == []
    assert len(jittery.faults(80.0, 0.0, lossy=False)) == 2
    untold = dataclasses.replace(true, train_rate_ratio=None)
    assert untold.faults(80.0, 0.0, lossy=True) == ["too few frames of the train came through to tell a rate"]


def test_set_up_that_fails_half_way_is_told_and_taken_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MARK, "half way")
    monkeypatch.setattr("testbed.link.lane.ROUTER_UP_IP", "10.0.2.999")
    with pytest.raises(TestbedError, match=r"^lane sbtest: wan: a set-up command failed: .*10\.0\.2\.999"):
        Lane("sbtest", LinkSettings(), "relay").__enter__()
    wait_until(lambda: not marked("half way"), "the hosts go")


def flood(lane: Lane, seconds: float, mbps: float) -> None:
    """Keep the bottleneck busy from the server's side."""
    with (
        udp(lane.pid("server"), SERVER_IP, PLAYER_IP) as server,
        udp(lane.pid("player"), PLAYER_IP, SERVER_IP),  # so that nobody answers that the port is closed
    ):
        payload = bytes(FRAME_BYTES - 42)
        end = time.monotonic() + seconds
        sent_bytes, begun = 0, time.monotonic()
        while (now := time.monotonic()) < end:
            while sent_bytes < (now - begun) * mbps * 1e6 / 8:
                server.send(payload)
                sent_bytes += FRAME_BYTES
            time.sleep(0.002)


def test_a_replayed_trace_passes_what_it_carries_also_after_the_dark(tmp_path: Path) -> None:
    """4, 2, dark, 8 Mbit/s for half a second each, saturated; the wide bounds of a loaded machine."""
    trace = Trace("t", (0.0, 0.5, 1.0, 1.5, 2.0), (0.0, 4.0, 2.0, 0.0, 8.0))
    log = tmp_path / "link.jsonl"

    async def replay(lane: Lane) -> int:
        async with ShaperClient() as shaper:
            await shaper.attach(lane.name, lane.pid("router"), BOTTLENECK, LIMIT_BYTES, trace.mean_mbps)
            t0 = time.monotonic() + 0.2
            await shaper.play(lane.name, trace, 0.0, t0, log)
            await asyncio.to_thread(flood, lane, 2.4, 10.0)
            return await shaper.stop(lane.name)

    with shaped_lane(LinkSettings(rtt_ms=0.0)) as (lane, _):
        count = asyncio.run(replay(lane))
    rows = read_link_log(log)
    assert len(rows) == count >= 4
    assert [row.rate_mbps for row in rows[:4]] == [4.0, 2.0, 0.0, 8.0]
    assert [row.kernel_bytes_per_s for row in rows] == [row.applied_bytes_per_s for row in rows]
    four, two, dark, eight = rows[:4]
    assert four.sent_bytes == pytest.approx(250_000, rel=0.3)
    assert two.sent_bytes == pytest.approx(125_000, rel=0.3)
    assert dark.sent_bytes <= 4 * FRAME_BYTES
    assert eight.sent_bytes == pytest.approx(500_000, rel=0.3), "bytes flow again after the dark"
    assert dark.backlog_min_bytes > 0


def test_a_lane_that_breaks_off_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    trace = Trace("t", (0.0, 0.1, 0.2), (0.0, 4.0, 5.0))

    async def replay(good: Lane, bad: Lane) -> int:
        async with ShaperClient() as shaper:
            t0 = time.monotonic() + 0.1
            for name, lane in (("good", good), ("bad", bad)):
                await shaper.attach(name, lane.pid("router"), BOTTLENECK, LIMIT_BYTES, 4.5)
                await shaper.play(name, trace, 0.0, t0, tmp_path / name)
            await asyncio.sleep(0.3)
            run_script(bad.pid("router"), [f"tc qdisc del dev {BOTTLENECK} root"], "not changed")
            await asyncio.sleep(0.5)
            with pytest.raises(TestbedError, match=r"the replay of lane bad broke off: .*router-down"):
                await shaper.stop("bad")
            return await shaper.stop("good")

    with (
        shaped_lane(LinkSettings(rtt_ms=0.0)) as (good, _),
        shaped_lane(LinkSettings(rtt_ms=0.0)) as (bad, _),
    ):
        count = asyncio.run(replay(good, bad))
    assert count == len(read_link_log(tmp_path / "good")) >= 6


def test_a_replay_stopped_within_its_first_step_has_a_row(tmp_path: Path) -> None:
    trace = Trace("t", (0.0, 60.0), (0.0, 4.0))
    log = tmp_path / "link.jsonl"

    async def replay(lane: Lane) -> int:
        async with ShaperClient() as shaper:
            await shaper.attach(lane.name, lane.pid("router"), BOTTLENECK, LIMIT_BYTES, 4.0)
            await shaper.play(lane.name, trace, 0.0, time.monotonic(), log)
            await asyncio.sleep(0.2)
            return await shaper.stop(lane.name)

    with shaped_lane(LinkSettings(rtt_ms=0.0)) as (lane, _):
        assert asyncio.run(replay(lane)) >= 1
    rows = read_link_log(log)
    assert judge(Evidence(rows)).reasons == () or rows[0].late_ms > 20  # a machine that was asleep just then
    assert rows[0].duration_s <= rows[0].measured_s + rows[0].late_ms / 1000 + 1e-3
    assert json.loads(log.read_text().splitlines()[0])["rate_mbps"] == 4.0


def stamped_udp(pid: int) -> socket.socket:
    """The player's end, each datagram with the kernel's time of its arrival."""
    opened = udp(pid, PLAYER_IP, SERVER_IP)
    opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    return opened


def one_way_ms(lane: Lane, count: int, gap_s: float) -> list[float]:
    """One-way delays of datagrams from the server to the player."""
    delays = []
    with udp(lane.pid("server"), SERVER_IP, PLAYER_IP) as server, stamped_udp(lane.pid("player")) as player:
        for _ in range(count):
            server.send(struct.pack("!d", time.time()))
            time.sleep(gap_s)
        with suppress(TimeoutError):
            while len(delays) < count:
                data, ancillary, _, _ = player.recvmsg(100, 64)
                seconds, nanoseconds = struct.unpack_from("=qq", ancillary[0][2])
                delays.append(1000 * (seconds + nanoseconds / 1e9 - struct.unpack("!d", data)[0]))
    return delays


def test_the_media_direction_has_its_delay_and_jitter(backend: str) -> None:
    settings = LinkSettings(rtt_ms=60.0, media_delay_ms=20.0, media_jitter_ms=8.0)
    with shaped_lane(settings, backend) as (lane, bucket):
        assert probe_path(lane, bucket).faults(settings.idle_rtt_ms, settings.varies_ms, lossy=False) == []
        delays = one_way_ms(lane, 120, 0.005)
        report = lane.stage_report()
    assert len(delays) == 120
    assert min(delays) >= 12.0 - NOISE_MS / 10
    assert statistics.median(delays) == pytest.approx(20.0, abs=8.0)
    assert max(delays) - min(delays) > 6.0, "it varies"
    if backend == "relay":
        assert report.media is not None
        assert report.media.frames >= 120
        assert unasked_media(report.media, settings) == []


def test_frames_reach_the_player_at_the_grants() -> None:
    settings = LinkSettings(rtt_ms=20.0, grant_ms=25.0)
    with shaped_lane(settings) as (lane, bucket):
        assert probe_path(lane, bucket).faults(settings.idle_rtt_ms, settings.varies_ms, lossy=False) == []
        delays = one_way_ms(lane, 80, 0.003)
        report = lane.stage_report()
    assert len(delays) == 80
    assert min(delays) < 12.0 and max(delays) > 15.0, "some come just before a grant, some just after one"
    assert report.media is not None
    assert report.media.off_grant_max_ms < 0.001
    assert unasked_media(report.media, settings) == []

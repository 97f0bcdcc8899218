"""The user-space delay stage by itself: its loss against theory, its delays, its order. No network."""

from __future__ import annotations

import itertools
import json
import math
import os
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.link.delay_line import DelayLine, LateFrames
from testbed.link.delay_stage import late_media, unasked_media
from testbed.link.packed_trace import packed
from testbed.link.relay import LossProcess, MediaDelay, Relay, Schedule, clock_offset
from testbed.link.settings import LinkSettings, Loss
from tests.support.link_fakes import Clock
from traces.trace import Trace

DRAWS = 200_000
CERTAIN = Loss("gemodel", 100, 0, 100, 0)
"""Everything is lost."""
VARYING = Trace("v", (0.0, 1.0, 3.0), (9.0, 5.0, 6.0), delay_ms=(0, 20, 120), loss_pct=(0, 10, 30))


class FakePort:
    """Frames that come in with the stamps they are given, and what went out."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.coming: deque[tuple[bytes, float]] = deque()
        self.out: list[bytes] = []
        self.room, self.drops = math.inf, 0

    def comes(self, number: int, stamped: float | None = None) -> None:
        """A frame comes, now or with this stamp (monotonic; the wall clock's is what the relay sees)."""
        now = self._clock.now if stamped is None else stamped
        self.coming.append((frame(number), now + self._clock.wall_offset_s))

    def take(self) -> tuple[bytes, float] | None:
        return self.coming.popleft() if self.coming else None

    def put(self, packet: bytes) -> bool:
        if len(self.out) >= self.room:
            return False
        self.out.append(packet)
        return True

    def dropped(self) -> int:
        drops, self.drops = self.drops, 0
        return drops

    def fileno(self) -> int:
        raise AssertionError("nobody waits for a fake")


class Wire:
    """A `Port` over a socket pair: packets keep their borders, stamps are those of the reading."""

    def __init__(self) -> None:
        self.ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ours.settimeout(10)
        self._theirs.setblocking(False)

    def take(self) -> tuple[bytes, float] | None:
        try:
            return self._theirs.recv(2048), time.time()
        except BlockingIOError:
            return None

    def put(self, packet: bytes) -> bool:
        self._theirs.send(packet)
        return True

    def dropped(self) -> int:
        return 0

    def fileno(self) -> int:
        return self._theirs.fileno()

    def close(self) -> None:
        self.ours.close()
        self._theirs.close()


def frame(number: int) -> bytes:
    return struct.pack("!I", number)


def number_of(data: bytes) -> int:
    return int(struct.unpack("!I", data)[0])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    stopped = Clock()
    monkeypatch.setattr("testbed.link.relay.time", stopped)
    return stopped


class Bench:
    """A relay between two fakes."""

    def __init__(
        self, clock: Clock, delay_s: float, jitter_s: float = 0.0, loss: Loss | None = None, seed: int = 5
    ) -> None:
        self.clock, self.near, self.far = clock, FakePort(clock), FakePort(clock)
        self.relay = Relay(self.near, self.far, delay_s, jitter_s, loss or Loss(), seed, lossy=True)
        self.relay.take_in()

    def turn(self, after_s: float = 0.0) -> float | None:
        """Time goes on, then a turn of the relay's loop; seconds until the next frame is due."""
        self.clock.now += after_s
        self.relay.take_in()
        return self.relay.send_due()

    @property
    def left(self) -> list[int]:
        """What has left to the server."""
        return [number_of(packet) for packet in self.far.out]


@dataclass(frozen=True)
class Live:
    """A relay that runs, its wires, and where its questions go."""

    near: Wire
    far: Wire
    questions: int
    relay: Relay


@contextmanager
def running(delay_s: float, jitter_s: float = 0.0, loss: Loss | None = None) -> Iterator[Live]:
    """The relay's loop in a thread, on real sockets."""
    near, far = Wire(), Wire()
    relay = Relay(near, far, delay_s, jitter_s, loss or Loss(), seed=5, lossy=True)
    ours, theirs = os.pipe()
    thread = threading.Thread(target=relay.run, args=(ours,))
    thread.start()
    try:
        yield Live(near, far, theirs, relay)
    finally:
        os.close(theirs)
        thread.join(timeout=10)
        for opened in (near, far):
            opened.close()
        os.close(ours)
    assert not thread.is_alive(), "end of input did not end the relay"


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
    sent_at: list[float] = []
    waits_s: list[float] = []
    with running(delay_s, jitter_s) as live:
        for number in range(count):
            sent_at.append(time.monotonic())
            live.near.ours.send(frame(number))
            time.sleep(0.001)
        for number in range(count):
            assert number_of(live.far.ours.recv(2048)) == number
            waits_s.append(time.monotonic() - sent_at[number])
    assert min(waits_s) >= delay_s - jitter_s - 1e-4  # two clocks are held against each other: to 50 µs
    report = live.relay.report()
    assert (report.up_packets, report.down_packets, report.lost, report.overflowed) == (count, 0, 0, 0)


def test_packets_to_the_player_do_not_wait_for_those_to_the_server(clock: Clock) -> None:
    bench = Bench(clock, delay_s=5.0)
    bench.near.comes(1)
    for number in range(10, 15):
        bench.far.comes(number)
    assert bench.turn() == pytest.approx(5.0)
    assert [number_of(packet) for packet in bench.near.out] == list(range(10, 15))
    assert bench.left == []


def test_only_packets_to_the_player_are_lost_and_all_are_counted(clock: Clock) -> None:
    bench = Bench(clock, delay_s=0.0, loss=CERTAIN)
    for number in range(20):
        bench.far.comes(number)
        bench.near.comes(100 + number)
    bench.turn()
    assert (bench.left, bench.near.out) == (list(range(100, 120)), [])
    report = bench.relay.report()
    assert (report.lost, report.down_packets, report.up_packets) == (20, 20, 20)


def test_packets_to_the_player_are_left_alone_where_none_are_to_be_lost(clock: Clock) -> None:
    near, far = FakePort(clock), FakePort(clock)
    relay = Relay(near, far, 0.0, 0.0, Loss(), seed=5, lossy=False)
    far.comes(1)
    far.drops = 3  # a socket that takes nothing in has nothing to say
    relay.take_in()
    assert (len(far.coming), near.out) == (1, [])
    assert relay.report().overflowed == 0


@given(st.floats(0.01, 1.0), st.lists(st.floats(0.0, 0.5), min_size=1, max_size=30))
def test_a_frame_is_due_a_delay_after_its_stamp_however_late_it_is_read(
    delay_s: float, gaps_s: Sequence[float]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock()
        patch.setattr("testbed.link.relay.time", clock)
        bench = Bench(clock, delay_s)
        late_s = []
        for number, gap_s in enumerate(gaps_s):
            bench.near.comes(number)
            rest = bench.turn(gap_s)  # away for so long before the frame is read
            assert bench.left == list(range(number + (rest is None)))
            if rest is not None:
                assert rest == pytest.approx(delay_s - gap_s, abs=1e-6)
                assert bench.turn(rest + 1e-9) is None
            late_s.append(max(gap_s - delay_s, 0.0))
        report = bench.relay.report()
    assert report.late_mean_ms == pytest.approx(1000 * sum(late_s) / len(late_s), abs=0.01)
    assert report.late_max_ms == pytest.approx(1000 * max(late_s), abs=0.01)


def test_jitter_spreads_the_due_times_over_its_width(clock: Clock) -> None:
    bench, rests = Bench(clock, delay_s=1.0, jitter_s=0.5), []
    for number in range(200):  # each alone: the order that is kept may not hide the draw
        bench.near.comes(number)
        rest = bench.turn()
        assert rest is not None
        rests.append(rest)
        bench.turn(2.0)
    assert 0.5 <= min(rests) < 0.6
    assert 1.4 < max(rests) <= 1.5


def test_jitter_never_reorders(clock: Clock) -> None:
    bench = Bench(clock, delay_s=0.1, jitter_s=0.1)
    for number in range(100):
        bench.near.comes(number)
        bench.turn(0.001)
    bench.turn(0.3)
    assert bench.left == list(range(100))


def test_a_traces_delay_counts_from_its_t0_and_is_added_to_the_asked_one(clock: Clock) -> None:
    bench = Bench(clock, delay_s=0.05)
    bench.relay.play(VARYING, 0.0, clock.now + 1.0)
    waits_s = []
    for number in range(6):  # a second apart, from a second before t0 on; the trace wraps after three
        clock.now = 1000.5 + number
        bench.relay.take_in()
        bench.near.comes(number)
        waits_s.append(bench.turn())
        bench.turn(0.4)
    assert waits_s == [pytest.approx(wait_s) for wait_s in (0.07, 0.07, 0.17, 0.17, 0.07, 0.17)]


def test_a_frame_read_late_has_the_delay_of_the_step_in_which_it_came(clock: Clock) -> None:
    bench = Bench(clock, delay_s=0.0)
    bench.relay.play(VARYING, 0.0, clock.now - 0.99)
    bench.near.comes(1)
    assert bench.turn(0.015) == pytest.approx(0.005), "20 ms, though 120 are in force when it is read"


def test_order_is_kept_when_the_delay_falls(clock: Clock) -> None:
    bench = Bench(clock, delay_s=0.0)
    bench.relay.play(VARYING, 0.0, clock.now - 2.99)
    bench.near.comes(1)  # is due 120 ms from now
    bench.turn(0.02)
    bench.near.comes(2)  # would be due 40 ms from then
    assert bench.turn() == pytest.approx(0.1)
    assert bench.turn(0.06) == pytest.approx(0.04) and bench.left == []
    assert bench.turn(0.05) is None and bench.left == [1, 2]
    assert bench.relay.report().late_max_ms == pytest.approx(10.0), "held for order's sake is not late"


def test_without_a_trace_again_nothing_is_added(clock: Clock) -> None:
    bench = Bench(clock, delay_s=0.05)
    bench.relay.play(VARYING, 1.0, clock.now)
    assert bench.relay._answer({"do": "rest"}) == {"playing": False}
    bench.near.comes(1)
    assert bench.turn() == pytest.approx(0.05)


@given(
    st.lists(st.tuples(st.floats(0.01, 5.0), st.floats(0, 300), st.floats(0, 50)), min_size=1, max_size=8),
    st.floats(0, 20),
    st.lists(st.floats(0, 30), min_size=1, max_size=20),
)
def test_a_schedule_says_what_the_trace_says(
    steps: Sequence[tuple[float, float, float]], start_s: float, asked_s: Sequence[float]
) -> None:
    """Over its steps and wraps; borders themselves, where rounding decides, are left out."""
    ends = (0.0, *itertools.accumulate(length for length, _, _ in steps))
    delays, lost = ((0.0, *values) for values in list(zip(*steps, strict=True))[1:])
    trace = Trace("t", ends, (1.0,) * len(ends), delay_ms=delays, loss_pct=lost)
    t0 = 1000.0
    schedule = Schedule(trace, start_s, t0)
    assert schedule.at(t0 - 5.0).start_s == 0.0
    for since_s in sorted(asked_s):
        step = schedule.at(t0 + since_s)
        place = start_s + since_s
        if all(abs(math.remainder(place - end, trace.duration_s)) > 1e-6 for end in ends):
            assert (step.delay_ms, step.loss_pct) == (trace.delay_at(place), trace.loss_at(place))
            assert step.start_s <= since_s + 1e-6


@pytest.mark.parametrize(
    ("asked", "share"),
    [
        (Loss(), 0.3),
        (Loss("uniform", 10.0), 1 - 0.9 * 0.7),
        (Loss("gemodel", 2, 18, 80, 1), 1 - (0.1 * 0.2 + 0.9 * 0.99) * 0.7),
    ],
    ids=lambda value: value.kind if isinstance(value, Loss) else "",
)
def test_a_traces_loss_comes_on_top_of_the_asked_one(clock: Clock, asked: Loss, share: float) -> None:
    bench, count = Bench(clock, delay_s=0.0, loss=asked), 30_000
    bench.relay.play(replace(VARYING, loss_pct=(0, 30, 30)), 0.0, clock.now)
    for number in range(count):
        bench.far.comes(number)
        if number % 50 == 49:
            bench.turn()
    report = bench.relay.report()
    assert report.lost / count == pytest.approx(share, rel=0.05)
    assert (report.down_packets, report.lost + len(bench.near.out)) == (count, count)


def test_a_trace_loses_frames_in_its_own_steps_only(clock: Clock) -> None:
    bench = Bench(clock, delay_s=0.0)
    bench.relay.play(replace(VARYING, loss_pct=(0, 0, 50)), 0.0, clock.now + 1e-3)
    lost = []
    for second in range(6):
        before = bench.relay.lost
        clock.now = 1000.5 + second
        for number in range(60):
            bench.far.comes(number)
        bench.turn()
        lost.append(bench.relay.lost - before)
    assert (lost[0], lost[3]) == (0, 0)
    assert all(10 < lost[second] < 50 for second in (1, 2, 4, 5))


def test_a_full_queue_drops_and_counts(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testbed.link.delay_line.QUEUE_FRAMES", 3)
    bench = Bench(clock, delay_s=60.0)
    for number in range(5):
        bench.near.comes(number)
    assert bench.turn() == pytest.approx(60.0)
    assert bench.relay.report().overflowed == 2
    bench.turn(60.1)
    assert bench.left == [0, 1, 2]


def test_what_finds_no_room_anywhere_is_counted(clock: Clock) -> None:
    bench = Bench(clock, delay_s=0.0)
    bench.far.room = bench.near.room = 1
    for number in range(3):
        bench.near.comes(number)
        bench.far.comes(number)
    bench.turn()
    assert (len(bench.far.out), len(bench.near.out)) == (1, 1)
    assert bench.relay.report().overflowed == 4
    bench.near.drops, bench.far.drops = 7, 5
    assert bench.relay.report().overflowed == 16
    assert bench.relay.report().overflowed == 16, "a drop is told once"


@pytest.mark.parametrize(
    ("stepped_s", "wait_s"),
    [(0.0, 0.06), (3600.0, 0.05), (-3600.0, 0.08)],
    ids=["true", "the wall clock went on an hour", "it went back an hour"],
)
def test_a_stamp_that_lies_is_held_to_what_is_known(clock: Clock, stepped_s: float, wait_s: float) -> None:
    """The last look was 30 ms ago, the frame came 20 ms ago; the clock was set in between."""
    bench = Bench(clock, delay_s=0.08)
    clock.now += 0.01
    bench.near.comes(1)
    clock.wall_offset_s += stepped_s
    assert bench.turn(0.02) == pytest.approx(wait_s, abs=1e-6)


def test_what_did_not_fit_into_a_batch_keeps_its_stamp(clock: Clock) -> None:
    bench = Bench(clock, delay_s=0.08)
    for number in range(100):
        bench.near.comes(number)
    bench.turn(0.01)
    assert bench.near.coming, "one turn does not take them all"
    while bench.near.coming:
        bench.turn(0.01)
    bench.turn(1000.0801 - clock.now)
    assert bench.left == list(range(100)), "all were due 80 ms after they came"


def test_two_clocks_that_cannot_be_read_together_keep_their_last_difference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("testbed.link.relay.time", Clock(wall_offset_s=77.0, tick_s=1e-6))
    assert clock_offset(3.0) == pytest.approx(77.0, abs=1e-5)
    monkeypatch.setattr("testbed.link.relay.time", Clock(wall_offset_s=77.0, tick_s=1e-3))
    assert clock_offset(3.0) == 3.0


@given(st.lists(st.floats(0, 0.09), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_quantiles_of_lateness_are_of_the_nearest_rank(late_s: list[float], share: float) -> None:
    lateness = LateFrames()
    for one_s in late_s:
        lateness.add(one_s)
    nearest = sorted(late_s)[math.ceil(share * len(late_s) - 1e-9) - 1]
    assert lateness.quantile_ms(share) == pytest.approx(nearest * 1000, abs=0.051)
    assert lateness.max_ms == max(late_s) * 1000
    assert lateness.mean_ms == pytest.approx(1000 * sum(late_s) / len(late_s))


def test_no_frames_are_not_late() -> None:
    lateness = LateFrames()
    assert (lateness.quantile_ms(0.99), lateness.mean_ms, lateness.max_ms) == (0.0, 0.0, 0.0)


def test_questions_are_answered_while_frames_pass(capsys: pytest.CaptureFixture[str]) -> None:
    with running(delay_s=0.0, loss=CERTAIN) as live:
        live.near.ours.send(frame(1))
        assert number_of(live.far.ours.recv(2048)) == 1
        played = {"do": "play", "trace": packed(VARYING), "start_s": 1.0, "t0": time.monotonic()}
        lines = "".join(json.dumps(line) + "\n" for line in (played, {"do": "rest"}, {"do": "report"}))
        half = len(lines) // 2
        os.write(live.questions, lines[:half].encode())
        live.near.ours.send(frame(2))  # comes while a line is only half there
        assert number_of(live.far.ours.recv(2048)) == 2
        os.write(live.questions, lines[half:].encode())
    playing, resting, report = map(json.loads, capsys.readouterr().out.splitlines())
    assert (playing, resting) == ({"playing": True}, {"playing": False})
    assert (report["up_packets"], report["lost"], report["real_time"]) == (2, 0, False)


def media_bench(clock: Clock, media: MediaDelay, loss: Loss | None = None) -> Bench:
    """A relay whose packets to the player wait."""
    bench = Bench(clock, delay_s=0.05)
    bench.relay = Relay(bench.near, bench.far, 0.05, 0.0, loss or Loss(), 5, lossy=True, media=media)
    bench.relay.take_in()
    return bench


def test_packets_to_the_player_wait_their_own_time(clock: Clock) -> None:
    bench = media_bench(clock, MediaDelay(0.02, 0.0, 0.0))
    bench.far.comes(1)
    bench.near.comes(2)
    assert bench.turn() == pytest.approx(0.02)
    assert bench.turn(0.0201) == pytest.approx(0.0299)
    assert ([number_of(packet) for packet in bench.near.out], bench.left) == ([1], [])
    assert bench.turn(0.03) is None
    assert bench.left == [2]
    media = bench.relay.report().media
    assert media is not None
    assert (media.frames, media.due_min_ms, media.due_max_ms) == (1, 20.0, 20.0)
    assert media.late_max_ms == pytest.approx(0.1)


def test_packets_leave_together_at_the_grants(clock: Clock) -> None:
    """Of grants every 10 ms; frames at 0.5, 3 and 9 ms after one, and 1 ms after the next."""
    clock.now = 100.0
    bench = media_bench(clock, MediaDelay(0.0, 0.0, 0.010))
    left: list[tuple[float, int]] = []
    for number, at in enumerate((0.0005, 0.003, 0.009, 0.011)):
        bench.turn(100.0 + at - clock.now)
        bench.far.comes(number)
        rest = bench.turn()
        left += [(round(clock.now - 100.0, 4), number_of(packet)) for packet in bench.near.out[len(left) :]]
    assert rest == pytest.approx(0.009)
    bench.turn(rest + 1e-6)
    left += [(round(clock.now - 100.0, 4), number_of(packet)) for packet in bench.near.out[len(left) :]]
    assert left == [(0.011, 0), (0.011, 1), (0.011, 2), (0.02, 3)], "the first three were due at 10 ms"
    media = bench.relay.report().media
    assert media is not None
    assert media.off_grant_max_ms < 0.001
    assert (media.due_min_ms, media.due_max_ms) == (
        pytest.approx(1.0, abs=0.01),
        pytest.approx(9.5, abs=0.01),
    )


@given(st.lists(st.floats(0.0, 0.02), min_size=1, max_size=60), st.sampled_from([0.0, 0.007]))
def test_a_media_packet_waits_within_its_bounds_and_keeps_its_place(
    gaps_s: Sequence[float], grant_s: float
) -> None:
    line = DelayLine(0.03, 0.01, grant_s, seed=2)
    now, arrived = 50.0, []
    for number, gap_s in enumerate(gaps_s):
        now += gap_s
        arrived.append(now)
        assert line.hold(frame(number), now)
    left: list[int] = []
    while (due := line.next_due) is not None:
        left.append(number_of(line.pop(due)))
        assert 0.02 - 1e-9 <= due - arrived[left[-1]] <= 0.04 + grant_s + 1e-9
        assert not grant_s or abs(due / grant_s - round(due / grant_s)) < 1e-6
    assert left == list(range(len(gaps_s)))


@pytest.mark.parametrize("grant_ms", [0.0, 10.0])
def test_what_was_asked_passes_and_another_jitter_does_not(grant_ms: float) -> None:
    line, now = DelayLine(0.02, 0.005, grant_ms / 1000, seed=4), 7.0
    for number in range(4000):
        now += 0.004
        line.hold(frame(number), now)
        while (due := line.next_due) is not None and due <= now:
            line.pop(due)
    delays = line.delays()
    asked = LinkSettings(media_delay_ms=20, media_jitter_ms=5, grant_ms=grant_ms)
    assert delays.drawn_deviation_ms == pytest.approx(5 / math.sqrt(3), rel=0.03)
    assert unasked_media(delays, asked) == []
    assert len(unasked_media(delays, replace(asked, media_jitter_ms=2))) == 2
    assert (
        "where 20 to 30 ms was asked"
        in unasked_media(delays, LinkSettings(media_delay_ms=25, media_jitter_ms=5))[0]
    )
    late = replace(delays, late_mean_ms=0.6, late_p99_ms=6.0)
    assert [words.split(":")[1].split(",")[0] for words in late_media(late)] == [
        " in the mean 0.6 ms",
        " one in a hundred 6.0 ms",
    ]


def test_media_packets_are_lost_before_they_wait(clock: Clock) -> None:
    bench = media_bench(clock, MediaDelay(0.02, 0.0, 0.0), CERTAIN)
    for number in range(20):
        bench.far.comes(number)
    assert bench.turn() is None
    report = bench.relay.report()
    assert (report.lost, report.down_packets, report.media and report.media.frames) == (20, 20, 0)

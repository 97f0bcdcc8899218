"""The shaper without a kernel: what it asks of a bucket, when, and what the log says of it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.link.bucket import bucket_bytes
from testbed.link.correction import HORIZON_S, MOST_SHARE, SHORT_S
from testbed.link.log import LinkRow, read_link_log
from testbed.link.packed_trace import packed
from testbed.link.shaper import EARLY_S, SAMPLE_S, WRITING_S, Replay, Shaper, read
from testbed.link.tbf import FRAME_BYTES
from testbed.process.children import to_wait_s
from testbed.process.errors import TestbedError
from tests.support.link_fakes import Clock, FakeBucket
from traces.trace import Trace

LIMIT_BYTES = 60_000
FULL = 20 * FRAME_BYTES
TICK_S = 1e-6
"""A look at the clock takes this long where a test waits for it to go on."""


class Bench:
    """A replay on a fake bucket; times are since its t0."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        self.t0 = self.clock.now
        monkeypatch.setattr("testbed.link.shaper.time", self.clock)
        self.bucket = FakeBucket(self.clock, backlog_bytes=FULL)
        self.log: IO[str] = io.StringIO()

    def begin(self, trace: Trace, start_s: float = 0.0) -> None:
        """The link has the trace's first rate already, and its bucket is full."""
        rate_mbps = trace.rate_at(start_s)
        self.replay = Replay("lane", self.bucket, LIMIT_BYTES, rate_mbps)  # type: ignore[arg-type]
        assert self.bucket.changes == [(rate_mbps, bucket_bytes(rate_mbps), LIMIT_BYTES)]
        self.bucket.changes.clear()
        assert self.replay.begin(trace, start_s, self.t0, self.log) == self.t0

    def advance(self, due_s: float, sent_bytes: float = 0.0, late_s: float = 0.0) -> float:
        """A step begins, so many bytes after the last event; when the next is due."""
        self.clock.now = self.t0 + due_s + late_s
        self.bucket.sent_bytes += round(sent_bytes)
        return self.replay.advance(self.t0 + due_s) - self.t0

    def sample(self, at_s: float, sent_bytes: float = 0.0) -> None:
        self.clock.now = self.t0 + at_s
        self.bucket.sent_bytes += round(sent_bytes)
        self.replay.sample()

    def asked(self) -> list[float]:
        """Rates that the bucket was asked for since the last question, Mbit/s."""
        rates = [round(rate, 6) for rate, _, _ in self.bucket.changes]
        self.bucket.changes.clear()
        return rates

    def rows(self) -> list[LinkRow]:
        self.replay.write_rows()
        assert isinstance(self.log, io.StringIO)
        return [LinkRow(**json.loads(line)) for line in self.log.getvalue().splitlines()]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def flat(rate_mbps: float, length_s: float = 1.0) -> Trace:
    return Trace("flat", (0.0, length_s), (0.0, rate_mbps))


@pytest.mark.parametrize(
    ("takes_s", "tries", "best"),
    [
        ([0.00005], 1, 1),
        ([0.002, 0.00005, 0.009], 2, 2),
        ([0.002, 0.001, 0.003], 3, 2),
        ([0.001, 0.002, 0.003], 3, 1),
    ],
)
def test_a_reading_that_was_interrupted_is_taken_again_and_the_quickest_counts(
    monkeypatch: pytest.MonkeyPatch, takes_s: list[float], tries: int, best: int
) -> None:
    clock = Clock()
    monkeypatch.setattr("testbed.link.shaper.time", clock)
    bucket = FakeBucket(clock, reads_take_s=list(takes_s))
    bucket.on_read = lambda: setattr(bucket, "sent_bytes", bucket.reads)
    reading = read(bucket)  # type: ignore[arg-type]
    assert (bucket.reads, reading.counters.sent_bytes) == (tries, best)
    assert reading.at == pytest.approx(1000.0 + sum(takes_s[: best - 1]) + takes_s[best - 1] / 2)


def test_rates_are_asked_for_when_they_change_and_only_then(bench: Bench) -> None:
    bench.begin(Trace("t", (0.0, 1.0, 2.0, 3.0), (0.0, 2.0, 4.0, 4.0)))
    assert bench.advance(0.0) == 1.0
    assert bench.asked() == [], "it was there already"
    assert bench.advance(1.0, 250_000) == 2.0
    assert bench.bucket.changes[0][1:] == (bucket_bytes(4.0), LIMIT_BYTES)
    bench.sample(1.5, 250_000)
    bench.asked()
    assert bench.advance(2.0, 250_000) == 3.0
    assert bench.asked() == []
    assert bench.advance(3.0, 500_000) == 4.0, "the trace wraps"
    assert [row.rate_mbps for row in bench.rows()] == [2.0, 4.0, 4.0]


def test_what_lacks_is_made_up_for_within_the_step_and_then_the_rate_is_the_traces(bench: Bench) -> None:
    bench.begin(flat(8.0))
    bench.advance(0.0)
    bench.sample(0.02, 12_000)  # 20,000 were carried
    assert bench.bucket.changes[0][1:] == (bucket_bytes(8.0), LIMIT_BYTES), "the bucket is the trace's rate's"
    (more,) = bench.asked()
    assert 8.0 < more <= (1 + MOST_SHARE) * 8.0
    bench.sample(0.04, 28_000)
    assert bench.asked() == [8.0]
    bench.advance(1.0, 960_000)
    (row,) = bench.rows()
    assert (row.corrections, row.refills, row.sent_bytes) == (1, 2, 1_000_000)
    assert row.corrected_bytes == pytest.approx((more - 8.0) * HORIZON_S * 1e6 / 8, abs=0.1)


@pytest.mark.parametrize(("waiting_bytes", "made_up_for"), [(FULL, True), (2 * FRAME_BYTES, False)])
def test_a_short_step_lacks_only_what_surely_waited(
    bench: Bench, waiting_bytes: int, made_up_for: bool
) -> None:
    """Two frames at both looks at a step of 20 ms: it carries fourteen, the queue may have been empty."""
    bench.begin(Trace("t", (0.0, 0.02, 0.04), (0.0, 8.0, 8.0)))
    bench.bucket.backlog_bytes = waiting_bytes
    bench.advance(0.0)
    bench.asked()
    bench.advance(0.02, 8_000)
    (rate,) = bench.asked() or [8.0]
    assert (rate > 8.0) is made_up_for


def test_what_was_too_much_is_taken_back(bench: Bench) -> None:
    bench.begin(flat(8.0))
    bench.advance(0.0)
    bench.sample(0.02, 26_000)
    (less,) = bench.asked()
    assert (1 - MOST_SHARE) * 8.0 <= less < 8.0
    bench.advance(1.0, 974_000)
    assert bench.rows()[0].corrected_bytes < 0


def test_a_correction_counts_for_as_long_as_it_is_in_force(bench: Bench) -> None:
    """The shaper looks again only after 50 ms, so that it corrects for longer than it wanted to."""
    bench.begin(flat(8.0))
    bench.advance(0.0)
    bench.sample(0.02, 12_000)
    (more,) = bench.asked()
    bench.sample(0.07, 58_000)
    assert bench.asked() == [8.0]
    bench.advance(1.0, 930_000)
    assert bench.rows()[0].corrected_bytes == pytest.approx((more - 8.0) * 0.05 * 1e6 / 8, abs=0.1)


@pytest.mark.parametrize(
    ("at_s", "sent_bytes", "backlog_bytes", "why"),
    [
        (0.02, 20_000, FULL, "nothing lacks"),
        (0.998, 900_000, FULL, "the next change is near"),
        (0.02, 0, 0, "an idle link is owed nothing"),
        (0.02, 0, FRAME_BYTES - 1, "nor is one that has less than a frame to send"),
    ],
)
def test_no_correction_where_there_is_none_to_make(
    bench: Bench, at_s: float, sent_bytes: int, backlog_bytes: int, why: str
) -> None:
    bench.begin(flat(8.0))
    bench.advance(0.0)
    bench.bucket.backlog_bytes = backlog_bytes
    bench.sample(at_s, sent_bytes)
    assert bench.asked() == [], why


@pytest.mark.parametrize("step_s", [SHORT_S / 5, 1.0])
def test_a_dark_step_is_dark_however_short(bench: Bench, step_s: float) -> None:
    bench.begin(Trace("t", (0.0, step_s, 2 * step_s), (0.0, 8.0, 0.0)))
    bench.advance(0.0)
    bench.advance(step_s, step_s * 1_000_000)
    assert bench.asked() == [0.0]
    bench.advance(2 * step_s)
    (rate,) = bench.asked()
    assert rate >= (1 - MOST_SHARE) * 8.0
    assert [row.rate_mbps for row in bench.rows()] == [8.0, 0.0]


@pytest.mark.parametrize(("dark_steps", "asked"), [(1, []), (4, [0.0]), (30, [0.0])])
def test_many_short_dark_steps_are_as_dark_as_a_long_one(
    bench: Bench, dark_steps: int, asked: list[float]
) -> None:
    """In one of them the refill of a change is more than the 1000 bytes that a link left alone passes."""
    steps = 2 + dark_steps
    times = tuple(0.02 * step for step in range(steps + 1))
    bench.begin(Trace("t", times, (0.0, 0.4, *[0.0] * dark_steps, 0.4)))
    bench.advance(0.0)
    bench.advance(0.02, 1000 + bucket_bytes(0.4))  # no token is left
    assert bench.asked() == asked
    for step in range(1, dark_steps):
        bench.advance(0.02 * (step + 1))
    assert bench.asked() == []


def test_a_sample_before_the_first_step_does_nothing(bench: Bench) -> None:
    bench.begin(flat(2.0))
    reads = bench.bucket.reads
    bench.sample(0.5)
    assert (bench.bucket.reads, bench.asked()) == (reads, [])


def test_a_row_says_what_happened_in_its_step(bench: Bench) -> None:
    trace = Trace("t", (0.0, 1.0, 2.0), (0.0, 2.0, 4.0), delay_ms=(0, 20, 120), loss_pct=(0, 1.5, 0))
    bench.begin(trace)
    bench.advance(0.0, late_s=0.003)
    bench.bucket.backlog_bytes, bench.bucket.drops = 3 * FRAME_BYTES, 4
    bench.sample(0.5, 124_250)
    bench.bucket.backlog_bytes = 9 * FRAME_BYTES
    bench.advance(1.0, 125_000, late_s=0.001)
    bench.bucket.drops = 5
    bench.advance(2.0, 500_000)
    first, second = bench.rows()
    assert (first.step, first.start_s, first.duration_s, first.late_ms) == (0, 0.0, 1.0, 3.0)
    assert (first.read_s, first.measured_s) == (0.003, 0.998)
    assert (first.sent_bytes, first.sent_packets, first.drops) == (249_250, 249_250 // FRAME_BYTES, 4)
    assert (first.backlog_start_bytes, first.backlog_min_bytes, first.backlog_end_bytes) == (
        FULL,
        3 * FRAME_BYTES,
        9 * FRAME_BYTES,
    )
    assert (first.delay_ms, first.loss_pct, first.foreign) == (20, 1.5, "")
    assert (second.step, second.late_ms, second.read_s, second.measured_s) == (1, 1.0, 1.001, 0.999)
    assert (second.drops, second.backlog_min_bytes, second.delay_ms) == (1, 9 * FRAME_BYTES, 120)
    assert second.applied_bytes_per_s == second.kernel_bytes_per_s


def test_bytes_are_held_against_the_rate_that_the_trace_had_when_they_passed(bench: Bench) -> None:
    """A step begins 10 ms late, with its predecessor's rate in force until then: what it should have carried
    meanwhile is made up for, and the other way round taken back."""
    bench.begin(Trace("t", (0.0, 0.3, 0.6), (0.0, 2.0, 8.0)))
    bench.advance(0.0)
    bench.advance(0.3, 0.31 * 250_000, late_s=0.01)
    (more,) = bench.asked()
    assert more > 8.0
    bench.advance(0.6, 0.29 * 1_000_000 + 7_500 + 10_000, late_s=0.01)
    (less,) = bench.asked()
    assert less < 2.0


@pytest.mark.parametrize("at_sample", [True, False])
def test_what_was_foreign_is_in_the_row_of_its_step_only(bench: Bench, at_sample: bool) -> None:
    bench.begin(flat(2.0))
    bench.advance(0.0)
    if at_sample:
        bench.bucket.foreign_words = "a queue of 9 bytes where 60000 were set"
        bench.sample(0.5, 125_000)
        bench.bucket.foreign_words = ""
        bench.advance(1.0, 125_000)
    else:
        bench.bucket.foreign_words = "a queue of 9 bytes where 60000 were set"
        bench.advance(1.0, 250_000)
        bench.bucket.foreign_words = ""
    bench.advance(2.0, 250_000)
    assert [row.foreign for row in bench.rows()] == ["a queue of 9 bytes where 60000 were set", ""]


@pytest.mark.parametrize("field", ["sent_bytes", "drops"])
def test_counters_that_run_backwards_are_foreign(bench: Bench, field: str) -> None:
    bench.bucket.sent_bytes, bench.bucket.drops = 10**6, 10
    bench.begin(flat(2.0))
    bench.advance(0.0)
    setattr(bench.bucket, field, 0)
    bench.sample(0.5)
    bench.advance(1.0, 250_000)
    (row,) = bench.rows()
    assert row.foreign == "counters that ran backwards: another qdisc was there"


@pytest.mark.parametrize(
    ("rates_mbps", "backlog_bytes", "kicks"),
    [
        ((0.0, 8.0), FULL, 1),
        ((0.0, 8.0), 0, 0),
        ((8.0, 2.0), FULL, 0),
        ((40.0, 90.0), FULL, 0),  # a frame takes 0.3 ms: nobody notices that it sleeps for so long
    ],
)
def test_a_bucket_that_would_oversleep_a_change_is_woken(
    bench: Bench, rates_mbps: Sequence[float], backlog_bytes: int, kicks: int
) -> None:
    bench.begin(Trace("t", (0.0, 1.0, 2.0), (0.0, *rates_mbps)))
    bench.advance(0.0)
    bench.bucket.backlog_bytes = backlog_bytes
    bench.sample(0.5, max(rates_mbps[0] * 62_500, FRAME_BYTES))  # in the dark one leaves on credit
    bench.bucket.kicks = 0
    bench.advance(1.0, rates_mbps[0] * 62_500)
    assert bench.bucket.kicks == kicks
    bench.advance(2.0, rates_mbps[1] * 125_000)
    assert bench.rows()[1].kicks == kicks


@given(st.floats(0, 1e5))
def test_a_wait_is_never_longer_than_the_rest_and_long_ones_are_cut(rest_s: float) -> None:
    waited = to_wait_s(rest_s)
    assert waited is not None and 0.98 * rest_s <= waited <= rest_s
    assert waited * 1.001 <= rest_s or rest_s < 0.01, "what the kernel may add to it is cut off"


def test_without_a_deadline_there_is_no_end_to_wait_for() -> None:
    assert to_wait_s(None) is None


def test_a_step_that_is_cut_short_has_its_row(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "log"
    bench.log = path.open("w")
    bench.begin(flat(2.0), start_s=0.25)
    bench.advance(0.0)
    bench.advance(0.75, 187_500)
    bench.clock.now = bench.t0 + 1.0
    bench.bucket.sent_bytes += 62_500
    assert bench.replay.end() == 2
    whole, cut = read_link_log(path)
    assert (whole.start_s, whole.duration_s, whole.sent_bytes) == (0.0, 0.75, 187_500)
    assert (cut.start_s, cut.duration_s, cut.measured_s, cut.sent_bytes) == (0.75, 0.25, 0.25, 62_500)
    assert bench.replay.end() == 2, "a replay ends once"


@dataclass(frozen=True)
class Event:
    """What a shaper did, when, for which lane; of a writing, how many rows."""

    what: str
    at: float
    lane: str
    count: int = 0


class Course:
    """A shaper whose lanes have fake buckets, on a clock that goes on as it waits; and what it did."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.clock = Clock(tick_s=TICK_S)
        self.events: list[Event] = []
        self.buckets: dict[str, FakeBucket] = {}
        self.folder = folder
        self.shaper = Shaper()
        monkeypatch.setattr("testbed.link.shaper.time", self.clock)
        monkeypatch.setattr("testbed.link.shaper.TokenBucket", self._bucket)
        for name in ("advance", "sample", "write_rows"):
            monkeypatch.setattr(Replay, name, self._noted(name, getattr(Replay, name)))

    def _bucket(self, pid: int, interface: str) -> FakeBucket:
        return self.buckets.setdefault(interface, FakeBucket(self.clock))

    def _noted(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def noting(replay: Replay, *arguments: float) -> Any:
            rows = len(replay._unwritten)
            if name != "write_rows" or rows:
                self.events.append(Event(name, self.clock.now, replay.lane, rows))
            return method(replay, *arguments)

        return noting

    def log(self, lane: str) -> Path:
        return self.folder / lane

    def play(self, lane: str, trace: Trace, in_s: float, log: Path | None = None) -> float:
        """Attach a lane and play a trace on it; its t0."""
        attach = {"do": "attach", "lane": lane, "pid": 1, "interface": lane, "limit_bytes": LIMIT_BYTES}
        assert self.shaper.command({**attach, "rate_mbps": 3.0}) == {"lane": lane}
        t0 = self.clock.now + in_s
        play = {"do": "play", "lane": lane, "trace": packed(trace), "start_s": 0.0, "t0": t0}
        assert self.shaper.command({**play, "log": str(log or self.log(lane))}) == {"lane": lane}
        return t0

    def stop(self, lane: str) -> dict[str, Any]:
        return self.shaper.command({"do": "stop", "lane": lane})

    def go_on(self, seconds: float) -> None:
        """The shaper's loop, without commands."""
        until = self.clock.now + seconds
        while self.clock.now < until:
            rest = self.shaper.work()
            self.clock.now += seconds if rest is None else rest

    def times(self, what: str, lane: str) -> list[float]:
        return [event.at for event in self.events if (event.what, event.lane) == (what, lane)]


@pytest.fixture
def course(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Course:
    return Course(monkeypatch, tmp_path)


TENTHS = Trace("tenths", (0.0, 0.1, 0.2), (0.0, 2.0, 4.0))


def test_a_shaper_is_awake_before_a_step_and_on_time(course: Course) -> None:
    assert course.shaper.work() is None, "nothing is planned"
    t0 = course.play("a", TENTHS, in_s=1.0)
    reads = course.buckets["a"].reads
    assert course.shaper.work() == pytest.approx(1.0 - EARLY_S, abs=1e-4)
    course.clock.now = t0 - EARLY_S / 2
    course.shaper.work()
    assert course.buckets["a"].reads >= reads + 2, "it has read the counters before it was due"
    course.go_on(1.0)
    steps = course.times("advance", "a")
    assert steps == [pytest.approx(t0 + 0.1 * step, abs=20 * TICK_S) for step in range(len(steps))]
    assert len(steps) >= 10 and all(at >= t0 + 0.1 * step for step, at in enumerate(steps))
    samples = course.times("sample", "a")
    assert len(samples) >= 0.95 * 1.0 / SAMPLE_S


def test_a_step_goes_before_a_sample_that_is_due_as_well(course: Course) -> None:
    t0 = course.play("z", TENTHS, in_s=1.0)
    course.play("a", TENTHS, in_s=1.0 - SAMPLE_S - (course.clock.now - (t0 - 1.0)))
    course.clock.now = t0 + 0.5
    course.shaper.work()
    late = [event.what for event in course.events if event.lane == "z"]
    assert late[0] == "advance"
    course.events.clear()
    course.shaper._due = [(course.clock.now - 1.0, 1, "a"), (course.clock.now - 1.0, 0, "z")]
    course.shaper._due.sort()
    course.shaper.work()
    assert [event.what for event in course.events][:2] == ["advance", "sample"]


def test_rows_are_written_when_nothing_is_due(course: Course) -> None:
    """Ten lanes whose steps come at odd times: no writing begins shortly before anything else."""
    for lane in range(10):
        course.play(f"lane{lane}", TENTHS, in_s=0.5 + 0.0137 * lane)
    course.go_on(3.0)
    written = [index for index, event in enumerate(course.events) if event.what == "write_rows"]
    assert len(written) > 20
    for index in written:
        later = [event.at for event in course.events[index + 1 :] if event.what != "write_rows"]
        assert not later or later[0] - course.events[index].at > WRITING_S - 20 * TICK_S
    for lane in range(10):
        steps = len(course.times("advance", f"lane{lane}"))
        assert course.stop(f"lane{lane}") == {"lane": f"lane{lane}", "rows": steps}
        assert len(read_link_log(course.log(f"lane{lane}"))) == steps


def test_steps_that_leave_no_time_to_write_are_written_in_the_end(course: Course) -> None:
    fine = Trace("fine", (0.0, 0.002, 0.004), (0.0, 2.0, 4.0))
    for lane in range(3):
        course.play(f"lane{lane}", fine, in_s=0.5 + 0.0007 * lane - 3 * TICK_S * lane)
    course.go_on(0.7)
    assert not [event for event in course.events if event.what == "write_rows"]
    assert course.stop("lane0")["rows"] >= 90
    rows = read_link_log(course.log("lane0"))
    assert [row.step for row in rows] == list(range(len(rows))) and len(rows) >= 90


def test_a_shaper_that_cannot_keep_up_still_hears_commands(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testbed.link.shaper.MOST_AT_ONCE", 5)
    course.play("a", TENTHS, in_s=0.1)
    course.clock.now += 100.0
    assert course.shaper.work() == 0.0
    assert len(course.events) == 5


def gone() -> None:
    raise TestbedError("the kernel refused a tbf on bad: No such file or directory")


def test_a_lane_whose_qdisc_has_gone_breaks_off_alone(course: Course) -> None:
    for lane in ("good", "bad"):
        course.play(lane, TENTHS, in_s=0.1)
    course.go_on(0.3)
    course.buckets["bad"].on_read = gone
    course.go_on(0.3)
    assert course.shaper.command({"do": "check", "lane": "good"}) == {"lane": "good", "fault": None}
    fault = course.shaper.command({"do": "check", "lane": "bad"})["fault"]
    assert fault == "the kernel refused a tbf on bad: No such file or directory"
    with pytest.raises(TestbedError, match="the replay of lane bad broke off: the kernel refused"):
        course.stop("bad")
    assert course.stop("good")["rows"] == len(course.times("advance", "good")) >= 5


def test_a_log_that_cannot_be_written_is_told_and_the_shaper_goes_on(course: Course) -> None:
    course.play("full", TENTHS, in_s=0.1, log=Path("/dev/full"))
    course.play("good", TENTHS, in_s=0.1)
    course.go_on(0.5)
    with pytest.raises(OSError, match="No space left"):
        course.stop("full")
    assert course.stop("full")["rows"] >= 4, "asked again it says what it counted"
    assert course.stop("good")["rows"] == len(read_link_log(course.log("good"))) >= 4


def test_a_qdisc_that_is_gone_when_its_step_is_awaited_takes_no_other_lane_along(course: Course) -> None:
    for lane in ("good", "bad"):
        course.play(lane, TENTHS, in_s=0.1)
    course.buckets["bad"].on_read = gone
    course.shaper._await(course.clock.now, "bad")
    course.go_on(0.5)
    assert "No such file" in course.shaper.command({"do": "check", "lane": "bad"})["fault"]
    assert course.stop("good")["rows"] >= 4


def test_a_qdisc_that_is_gone_at_the_stop_leaves_its_rows_and_the_other_lanes(course: Course) -> None:
    fine = Trace("fine", (0.0, 0.002, 0.004), (0.0, 2.0, 4.0))
    for lane in ("good", "bad"):
        course.play(lane, fine, in_s=0.1)
    course.go_on(0.12)
    course.buckets["bad"].on_read = gone
    with pytest.raises(TestbedError, match="No such file"):
        course.stop("bad")
    assert read_link_log(course.log("bad")), "what was known before is told"
    course.go_on(0.1)
    course.shaper._write_logs()
    assert course.stop("good")["rows"] >= 40


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"do": "stop", "lane": "nobody's"}, "no lane nobody's is attached"),
        ({"do": "dance", "lane": "nobody's"}, "unknown command 'dance'"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused(course: Course, line: dict[str, Any], said: str) -> None:
    with pytest.raises(TestbedError, match=said):
        course.shaper.command(line)

"""The process that replays traces: one for all lanes of a run, on absolute monotonic deadlines.

Commands come as JSON lines on stdin, answers go as JSON lines to stdout:

    {"do": "attach", "lane": NAME, "pid": PID, "interface": NAME, "limit_bytes": N, "rate_mbps": R,
     "making": {"bucket_s": S, "corrects": BOOL}}
    {"do": "play", "lane": NAME, "trace": {...}, "start_s": S, "t0": MONOTONIC, "log": PATH}
    {"do": "check", "lane": NAME}     what broke its replay off, or null
    {"do": "stop", "lane": NAME}

The link log gets a line at the end of every step (long steps are cut to a second): what rate was in
force and how late it came, and from the kernel's own counters what passed. At end of input it leaves.
"""

from __future__ import annotations

import heapq
import json
import math
import os
import select
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

from testbed.link.bucket import AS_IS, Making, Wakes, bucket_bytes
from testbed.link.correction import SHORT_S, Ledger
from testbed.link.log import LinkRow
from testbed.link.packed_trace import unpacked
from testbed.link.step_bytes import OFTEN_LOOKED_AT_S
from testbed.link.tbf import DARK_BYTES_PER_S, FRAME_BYTES, Counters, TokenBucket, bytes_per_s
from testbed.process.children import SHAPER_PRIORITY, real_time, to_wait_s, undisturbed
from testbed.process.errors import TestbedError
from traces.files import fresh
from traces.trace import Step, Trace

LONGEST_STEP_S = 1.1
"""Longer steps are logged in equal pieces of at most this; the rate is not sent again."""

SAMPLE_S = 0.02
"""How often a link is looked at within a step: whether its queue was ever empty, what passed …"""

SAMPLES_PER_S = 1250
"""… but all of them together no more often than this: a look takes 50 µs."""

OVERSLEEP_S = 0.0005
"""A sleeping tbf that would oversleep a change by more is woken."""

MOST_AT_ONCE = 4096
"""Deadlines served before the next look at the commands."""

SHORTEST_CORRECTION_S = 0.004
"""Nothing is corrected this near to the end of a step: the next change does it."""

EARLY_S = 0.0005
"""The shaper is awake this long before a step begins: a processor that slept takes a while to come back."""

WRITING_S = 0.001
"""With less time than this to the next deadline no log is written."""

READ_WITHIN_S = 0.0005
READ_TRIES = 3
"""A reading takes 50 µs; one that took longer was interrupted, and is taken again so often."""


def pieces(steps: Iterator[Step]) -> Iterator[Step]:
    """Steps of at most `LONGEST_STEP_S`, same rates."""
    for step in steps:
        parts = math.ceil(step.duration_s / LONGEST_STEP_S)
        length = step.duration_s / parts
        for part in range(parts):
            yield replace(step, start_s=step.start_s + part * length, duration_s=length)


@dataclass(frozen=True, slots=True)
class CounterReading:
    """The kernel's counters at a moment."""

    counters: Counters
    at: float
    """Monotonic."""

    @property
    def waiting(self) -> bool:
        """Whether at least a frame waits."""
        return self.counters.backlog_bytes >= FRAME_BYTES


def read(bucket: TokenBucket) -> CounterReading:
    """Read the counters, again where the clock says that we were away meanwhile: who doesn't know when a
    counter was read knows nothing of a rate."""
    best, best_took_s = None, math.inf
    for _ in range(READ_TRIES):
        begun = time.monotonic()
        counters = bucket.read()
        took_s = time.monotonic() - begun
        if took_s < best_took_s:
            best, best_took_s = CounterReading(counters, begun + took_s / 2), took_s
        if took_s <= READ_WITHIN_S:
            break
    assert best is not None
    return best


class Replay:
    """One lane's replay: the token bucket, where it is in the trace, and its log."""

    def __init__(
        self,
        lane: str,
        bucket: TokenBucket,
        limit_bytes: int,
        rate_mbps: float,
        making: Making = AS_IS,
        wakes: Wakes | None = None,
    ) -> None:
        self.lane = lane
        self._making, self._wakes = making, wakes or Wakes()
        self.bucket = bucket
        self._limit_bytes = limit_bytes
        self._asked_mbps = rate_mbps
        self._steps: Iterator[Step] = iter(())
        self._step: Step | None = None
        self._next: Step | None = None
        self._coming: deque[Step] = deque()
        """Those after the next one that were looked at ahead of their time."""
        self._t0 = 0.0
        self._log: IO[str] | None = None
        self._number = 0
        self._late_s = 0.0
        bucket.change(rate_mbps, self._bucket_bytes(rate_mbps), limit_bytes)
        self._begin = self._last = read(bucket)
        """The readings at the step's begin, and the last one."""
        self._lowest_bytes = 0
        self._corrections, self._corrected_bytes, self._refills, self._kicks = 0, 0.0, 0, 0
        self._foreign = ""
        full = self._bucket_bytes(rate_mbps)
        self._ledger = Ledger(rate_mbps * 1e6 / 8, full, full)
        self._unwritten: list[LinkRow] = []

    def _bucket_bytes(self, rate_mbps: float) -> int:
        fixed_s = self._making.bucket_s
        return bucket_bytes(rate_mbps, self._wakes.bucket_s if fixed_s is None else fixed_s)

    def begin(self, trace: Trace, start_s: float, t0: float, log: IO[str]) -> float:
        """Get ready to replay from `start_s` of the trace at monotonic time `t0`; returns t0."""
        self._steps, self._t0, self._log = pieces(trace.steps(start_s)), t0, log
        self._coming.clear()
        self._step, self._next, self._number = None, next(self._steps), 0
        self._ledger.ahead_bytes = 0.0
        return t0

    def sample(self) -> None:
        """Look at the link in the middle of a step and correct its rate."""
        step = self._step
        if step is None:
            return
        reading = read(self.bucket)
        self._account(reading, step.rate_mbps * (reading.at - self._last.at), step)
        left_s = self._end_of(step) - reading.at
        if self._making.corrects and left_s >= SHORTEST_CORRECTION_S:
            self._settle_rate(step, left_s)

    def advance(self, due: float) -> float:
        """End the present step (if any), apply the next rate, log; returns the next deadline."""
        step, self._step = self._step, self._next
        assert self._step is not None
        self._next = self._coming.popleft() if self._coming else next(self._steps)
        reading = read(self.bucket)
        if step is not None:
            end = self._end_of(step)
            megabits = step.rate_mbps * (end - self._last.at) + self._step.rate_mbps * (reading.at - end)
            self._account(reading, megabits, step)
            self._ledger.end_step(step.duration_s, self._step.rate_mbps * 1e6 / 8)
            self._write(step, reading)
        self._begin = self._last = reading
        self._lowest_bytes = reading.counters.backlog_bytes
        self._corrections, self._corrected_bytes, self._refills, self._kicks = 0, 0.0, 0, 0
        self._settle_rate(self._step, self._end_of(self._step) - reading.at, begins=True)
        self._late_s = time.monotonic() - due
        return self._t0 + self._next.start_s

    def _end_of(self, step: Step) -> float:
        return self._t0 + step.start_s + step.duration_s

    def _account(self, reading: CounterReading, megabits: float, step: Step) -> None:
        """What passed since the last reading, in that step, and what the trace carries meanwhile."""
        before, now = self._last.counters, reading.counters
        if now.sent_bytes < before.sent_bytes or now.drops < before.drops:
            self._foreign = self._foreign or "counters that ran backwards: another qdisc was there"
        self._foreign = self._foreign or self.bucket.foreign(now)
        self._lowest_bytes = min(self._lowest_bytes, now.backlog_bytes)
        elapsed_s, true_rate = reading.at - self._last.at, step.rate_mbps * 1e6 / 8
        self._corrected_bytes += (self._ledger.rate - true_rate) * elapsed_s
        self._ledger.account(
            elapsed_s,
            now.sent_bytes - before.sent_bytes,
            megabits * 1e6 / 8,
            self._waited(reading, megabits * 1e6 / 8, step),
            true_rate,
        )
        self._last = reading

    def _waited(self, reading: CounterReading, carried: float, step: Step) -> bool:
        """Whether frames waited since the last reading: at both, and in a step with few looks as many from
        the first on as the trace carried. A queue of two frames at both may have been empty meanwhile."""
        last = self._last
        if not (reading.waiting and last.waiting):
            return False
        return step.duration_s >= OFTEN_LOOKED_AT_S or last.counters.backlog_bytes >= carried

    def _settle_rate(self, step: Step, left_s: float, begins: bool = False) -> None:
        """Put in force what the step wants for the `left_s` that it lasts: its rate, or one that sets right
        what was too much or too little; or leave the link alone where a change would bring nothing."""
        true_rate = step.rate_mbps * 1e6 / 8
        left_s += self._dark_after_s(step)
        bucket, short = self._bucket_bytes(step.rate_mbps), step.duration_s < SHORT_S
        wanted = self._ledger.wanted(true_rate, bucket, left_s, short, begins)
        if not self._making.corrects:
            wanted = true_rate if step.rate_mbps != self._asked_mbps else None
        if wanted is None:
            return
        if wanted != true_rate:
            self._corrections += 1
        self._change(wanted * 8 / 1e6, step.rate_mbps)

    def _dark_after_s(self, step: Step) -> float:
        """How long it stays dark after a dark step, up to `SHORT_S` and a step: in each of many short ones a
        change's refill is more than what a rate that is left alone passes, and in all of them less."""
        dark_s, place, following = 0.0, 0, self._next
        while step.rate_mbps == 0 and following is not None and following.rate_mbps == 0 and dark_s < SHORT_S:
            dark_s += following.duration_s
            if place == len(self._coming):
                self._coming.append(next(self._steps))
            following, place = self._coming[place], place + 1
        return dark_s

    def _change(self, rate_mbps: float, true_mbps: float) -> None:
        """Have the kernel change the rate, in place; the bucket is the trace's own rate's."""
        sleeps_s = (FRAME_BYTES - self._ledger.tokens_bytes) / max(self._ledger.rate, DARK_BYTES_PER_S)
        bucket = self._bucket_bytes(true_mbps)
        self._asked_mbps = rate_mbps
        self.bucket.change(rate_mbps, bucket, self._limit_bytes)
        self._ledger.changed(rate_mbps * 1e6 / 8, bucket)
        self._refills += 1
        if self._last.counters.backlog_bytes and sleeps_s > OVERSLEEP_S:
            self._kicks += 1
            self.bucket.kick()

    def _write(self, step: Step, reading: CounterReading) -> None:
        counters, begin = reading.counters, self._begin
        row = LinkRow(
            step=self._number,
            start_s=round(step.start_s, 6),
            duration_s=round(step.duration_s, 6),
            late_ms=round(self._late_s * 1000, 3),
            rate_mbps=step.rate_mbps,
            applied_bytes_per_s=bytes_per_s(self._asked_mbps),
            kernel_bytes_per_s=counters.rate_bytes_per_s,
            measured_s=round(reading.at - begin.at, 6),
            sent_bytes=counters.sent_bytes - begin.counters.sent_bytes,
            backlog_start_bytes=begin.counters.backlog_bytes,
            backlog_min_bytes=min(self._lowest_bytes, counters.backlog_bytes),
            backlog_end_bytes=counters.backlog_bytes,
            drops=counters.drops - begin.counters.drops,
            sent_packets=counters.sent_packets - begin.counters.sent_packets,
            corrections=self._corrections,
            corrected_bytes=round(self._corrected_bytes, 1),
            refills=self._refills,
            kicks=self._kicks,
            foreign=self._foreign,
            delay_ms=step.delay_ms,
            loss_pct=step.loss_pct,
            read_s=round(begin.at - self._t0, 6),
            bucket_bytes=self._ledger.bucket_bytes,
        )
        self._number += 1
        self._foreign = ""
        self._unwritten.append(row)

    def write_rows(self) -> None:
        """Write what the steps that are over have left to be written: no lane's rate waits for it."""
        rows, self._unwritten = self._unwritten, []
        for row in rows:
            assert self._log is not None
            self._log.write(json.dumps(asdict(row), separators=(",", ":")) + "\n")

    def end(self) -> int:
        """Log what has passed of the present step and finish the log; the number of its rows.

        Whoever asked syncs the file: a slow disk may not hold up the other lanes' rates.
        """
        log = self._log
        if log is not None:
            try:
                with log:
                    try:
                        if self._step is not None:
                            self._write_cut(self._step)
                    finally:  # its qdisc may be gone: what the steps before it passed is known all the same
                        self.write_rows()
            finally:  # a log that there is no room for ends all the same
                self._log = None
        return self._number

    def _write_cut(self, step: Step) -> None:
        """The row of a step that is cut short now."""
        reading = read(self.bucket)
        cut = replace(step, duration_s=max(reading.at - self._t0 - step.start_s, 0.0))
        self._account(reading, step.rate_mbps * (reading.at - self._last.at), step)
        self._write(cut, reading)

    def give_up(self) -> None:
        """Close the log as it is."""
        log, self._log = self._log, None
        self._unwritten = []
        if log is not None:
            with suppress(OSError):  # what could not be written is why we give up
                log.close()


class Shaper:
    """All lanes' replays, one loop."""

    def __init__(self) -> None:
        self._wakes = Wakes()
        self._replays: dict[str, Replay] = {}
        self._due: list[tuple[float, int, str]] = []
        """(monotonic deadline, 0 for a step and 1 for a sample, lane), a heap."""
        self._faults: dict[str, str] = {}
        """Why a lane is no longer replayed, until its `stop` asks."""
        self._written = True
        """Whether no row of a step waits to be written."""

    def command(self, line: dict[str, Any]) -> dict[str, Any]:
        """Carry out one command and answer it.

        Raises:
            TestbedError: a lane whose replay broke off, or that there is not.
            KeyError, OSError: a field is missing, or what it names can't be opened.
        """
        lane = line["lane"]
        if line["do"] == "attach":
            bucket = TokenBucket(line["pid"], line["interface"])
            making = Making(**line.get("making", {}))
            limit, rate = line["limit_bytes"], line["rate_mbps"]
            self._replays[lane] = Replay(lane, bucket, limit, rate, making, self._wakes)
        elif line["do"] == "play":
            trace = unpacked(line["trace"])
            log = os.fdopen(fresh(Path(line["log"])), "w", encoding="utf-8")  # closed by `end`
            begin = self._replays[lane].begin(trace, line["start_s"], line["t0"], log)
            heapq.heappush(self._due, (begin, 0, lane))
            heapq.heappush(self._due, (begin + self._sample_s, 1, lane))
        elif line["do"] == "check":
            return {"lane": lane, "fault": self._faults.get(lane)}
        elif line["do"] == "stop":
            self._forget(lane)
            if lane in self._faults:
                raise TestbedError(f"the replay of lane {lane} broke off: {self._faults.pop(lane)}")
            if lane not in self._replays:
                raise TestbedError(f"no lane {lane} is attached")
            return {"lane": lane, "rows": self._replays[lane].end()}
        else:
            raise TestbedError(f"unknown command {line['do']!r}")
        return {"lane": lane}

    @property
    def _sample_s(self) -> float:
        return max(SAMPLE_S, len(self._replays) / SAMPLES_PER_S)

    def work(self) -> float | None:
        """Do what is due; seconds until the next deadline, None when nothing is planned.

        After `MOST_AT_ONCE` it returns, so that a shaper that cannot keep up still hears commands.
        """
        for _ in range(MOST_AT_ONCE):
            if not self._due:
                return None
            due, kind, lane = self._due[0]
            rest = due - time.monotonic()
            if rest > 0:
                if not self._written and rest > WRITING_S:
                    self._write_logs()
                elif kind != 0:
                    return rest
                elif rest > EARLY_S:
                    return rest - EARLY_S
                else:
                    self._await(due, lane)
                continue
            heapq.heappop(self._due)
            self._written = self._written and kind == 1
            replay = self._replays[lane]
            try:
                if kind == 0:
                    heapq.heappush(self._due, (replay.advance(due), 0, lane))
                else:
                    replay.sample()
                    heapq.heappush(self._due, (max(due, time.monotonic()) + self._sample_s, 1, lane))
            except (TestbedError, OSError) as error:  # its qdisc is gone
                self._break_off(lane, error)
        return 0.0

    def _await(self, due: float, lane: str) -> None:
        """Be there when a step begins: awake, and with what it takes in the processor's caches."""
        with suppress(TestbedError, OSError):  # a qdisc that is gone breaks off the step itself
            self._replays[lane].bucket.read()
        while time.monotonic() < due:
            pass

    def _write_logs(self) -> None:
        """Write the rows of steps that are over, now that nothing is due."""
        self._written = True
        for lane, replay in self._replays.items():
            try:
                replay.write_rows()
            except OSError as error:  # there is no room for its log
                self._break_off(lane, error)

    def _break_off(self, lane: str, error: Exception) -> None:
        self._faults[lane] = str(error)
        self._forget(lane)
        self._replays[lane].give_up()

    def _forget(self, lane: str) -> None:
        """Nothing more is due for a lane."""
        self._due = [entry for entry in self._due if entry[2] != lane]
        heapq.heapify(self._due)

    def run(self, commands: int) -> None:
        """Serve until end of input on descriptor `commands`."""
        pending = b""
        rest: float | None = None
        while True:
            slept, waited_s = time.monotonic(), to_wait_s(rest)
            ready, _, _ = select.select([commands], [], [], waited_s)
            if not ready and waited_s:
                self._wakes.add(time.monotonic() - slept - waited_s)
            if ready:
                data = os.read(commands, 1 << 20)
                if not data:
                    return
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    self._answer(line)
            rest = self.work()

    def _answer(self, line: bytes) -> None:
        try:
            answer = self.command(json.loads(line))
        except (TestbedError, OSError) as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


def main() -> int:
    granted = real_time(SHAPER_PRIORITY)
    undisturbed()
    print(json.dumps({"ready": True, "real_time": granted}), flush=True)
    Shaper().run(sys.stdin.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())

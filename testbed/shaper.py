"""The process that replays traces: one for all lanes of a run, on absolute monotonic deadlines.

Commands come as JSON lines on stdin, answers go as JSON lines to stdout:

    {"do": "attach", "lane": NAME, "pid": PID, "interface": NAME, "limit_bytes": N, "rate_mbps": R}
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
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any

from testbed.children import SHAPER_PRIORITY, real_time
from testbed.errors import TestbedError
from testbed.link_log import LinkRow
from testbed.tbf import FRAME_BYTES, Counters, TokenBucket, bytes_per_s
from traces.trace import Step, Trace

LONGEST_STEP_S = 1.1
"""Longer steps are logged in equal pieces of at most this; the rate is not sent again."""

SAMPLE_S = 0.05
"""How often the queue is looked at within a step, to know that it was never empty."""

BURST_BYTES = 1600
"""One frame and a little: idle links save up no more credit than that."""

BURST_S = 0.0004
"""… but at least what passes in this time, so that a late timer loses nothing at high rates."""

KICK_BELOW_MBPS = 12.0
"""Below it a sleeping tbf may oversleep a change by more than a millisecond (a frame's time)."""

MOST_AT_ONCE = 4096
"""Deadlines served before the next look at the commands."""

REPAY_FRAMES = 3
"""At most this many frames of credit or debt are carried from one step into the next."""

REPAY_SHARE = 0.5
"""… and at most this share of the next step's bytes."""


def burst_bytes(rate_mbps: float) -> int:
    """The bucket's size at a rate: it follows the rate (see DESIGN on tbf bursts)."""
    return max(BURST_BYTES, round(rate_mbps * 1e6 / 8 * BURST_S))


def pieces(steps: Iterator[Step]) -> Iterator[Step]:
    """Steps of at most `LONGEST_STEP_S`, same rates."""
    for step in steps:
        parts = math.ceil(step.duration_s / LONGEST_STEP_S)
        length = step.duration_s / parts
        for part in range(parts):
            yield Step(step.start_s + part * length, length, step.rate_mbps)


class Replay:
    """One lane's replay: the token bucket, where it is in the trace, and its log."""

    def __init__(self, lane: str, bucket: TokenBucket, limit_bytes: int, rate_mbps: float) -> None:
        self.lane = lane
        self.bucket = bucket
        self._limit_bytes = limit_bytes
        self._asked_mbps = rate_mbps
        self._steps: Iterator[Step] = iter(())
        self._step: Step | None = None
        self._next: Step | None = None
        self._t0 = 0.0
        self._log: IO[str] | None = None
        self._number = 0
        self._late_s = 0.0
        self._read_at = 0.0
        self._last = bucket.read()
        self._lowest_bytes = 0
        self._owed_bytes = 0.0
        bucket.change(rate_mbps, burst_bytes(rate_mbps), limit_bytes)

    def begin(self, trace: Trace, start_s: float, t0: float, log: IO[str]) -> float:
        """Get ready to replay from `start_s` of the trace at monotonic time `t0`; returns t0."""
        self._steps, self._t0, self._log = pieces(trace.steps(start_s)), t0, log
        self._step, self._next, self._number = None, next(self._steps), 0
        self._owed_bytes = 0.0
        return t0

    def sample(self) -> None:
        """Look at the queue in the middle of a step."""
        self._lowest_bytes = min(self._lowest_bytes, self.bucket.read().backlog_bytes)

    def advance(self, due: float) -> float:
        """End the present step (if any), apply the next rate, log; returns the next deadline."""
        step, self._step = self._step, self._next
        assert self._step is not None
        self._next = next(self._steps)
        counters = self.bucket.read()
        read_at = time.monotonic()
        if step is not None:
            self._settle(step, self._step, counters.sent_bytes, counters.backlog_bytes, read_at)
            self._write(step, counters, read_at)
        self._apply(self._step, counters.backlog_bytes)
        self._late_s = time.monotonic() - due
        self._last, self._read_at, self._lowest_bytes = counters, read_at, counters.backlog_bytes
        return self._t0 + self._next.start_s

    def _settle(
        self, step: Step, following: Step, sent_bytes: int, backlog_bytes: int, read_at: float
    ) -> None:
        """Carry what the link delivered too much, or backlogged too little, into the next step.

        Every change of a tbf refills its bucket, and timers are late now and then; both show as a
        difference between the kernel's counter and the trace's integral between the two readings.
        Less than the integral is a debt to the player only while frames were waiting: an idle link
        saves nothing up.
        """
        end = self._t0 + following.start_s
        megabits = step.rate_mbps * (end - self._read_at) + following.rate_mbps * (read_at - end)
        over = sent_bytes - self._last.sent_bytes - megabits * 1e6 / 8
        backlogged = min(self._lowest_bytes, backlog_bytes) >= FRAME_BYTES
        limit = REPAY_FRAMES * FRAME_BYTES
        self._owed_bytes = max(-limit if backlogged else 0.0, min(limit, self._owed_bytes + over))

    def _apply(self, step: Step, backlog_bytes: int) -> None:
        rate = step.rate_mbps
        if rate > 0 and self._owed_bytes:
            repay = self._owed_bytes * 8 / 1e6 / step.duration_s
            rate -= max(-REPAY_SHARE * rate, min(REPAY_SHARE * rate, repay))
        before, self._asked_mbps = self._asked_mbps, rate
        if rate == before:
            return
        self.bucket.change(rate, burst_bytes(rate), self._limit_bytes)
        if backlog_bytes and before < KICK_BELOW_MBPS and rate > before:
            self.bucket.kick()

    def _write(self, step: Step, counters: Counters, read_at: float) -> None:
        assert self._log is not None
        row = LinkRow(
            step=self._number,
            start_s=round(step.start_s, 6),
            duration_s=round(step.duration_s, 6),
            late_ms=round(self._late_s * 1000, 3),
            rate_mbps=step.rate_mbps,
            applied_bytes_per_s=bytes_per_s(self._asked_mbps),
            kernel_bytes_per_s=counters.rate_bytes_per_s,
            measured_s=round(read_at - self._read_at, 6),
            sent_bytes=counters.sent_bytes - self._last.sent_bytes,
            backlog_start_bytes=self._last.backlog_bytes,
            backlog_min_bytes=min(self._lowest_bytes, counters.backlog_bytes),
            backlog_end_bytes=counters.backlog_bytes,
            drops=counters.drops - self._last.drops,
        )
        self._number += 1
        self._log.write(json.dumps(asdict(row), separators=(",", ":")) + "\n")

    def end(self) -> int:
        """Log what has passed of the present step and finish the log; the number of its rows.

        Whoever asked syncs the file: a slow disk may not hold up the other lanes' rates.
        """
        log = self._log
        if log is not None:
            with log:
                if self._step is not None:
                    self._write_cut(self._step)
            self._log = None
        return self._number

    def _write_cut(self, step: Step) -> None:
        """The row of a step that is cut short now."""
        counters, read_at = self.bucket.read(), time.monotonic()
        cut = replace(step, duration_s=max(read_at - self._t0 - step.start_s, 0.0))
        self._write(cut, counters, read_at)

    def give_up(self) -> None:
        """Close the log as it is."""
        log, self._log = self._log, None
        if log is not None:
            with suppress(OSError):  # what could not be written is why we give up
                log.close()


class Shaper:
    """All lanes' replays, one loop."""

    def __init__(self) -> None:
        self._replays: dict[str, Replay] = {}
        self._due: list[tuple[float, int, str]] = []
        """(monotonic deadline, 0 for a step and 1 for a sample, lane), a heap."""
        self._faults: dict[str, str] = {}
        """Why a lane is no longer replayed, until its `stop` asks."""

    def command(self, line: dict[str, Any]) -> dict[str, Any]:
        """Carry out one command and answer it."""
        lane = line["lane"]
        if line["do"] == "attach":
            bucket = TokenBucket(line["pid"], line["interface"])
            self._replays[lane] = Replay(lane, bucket, line["limit_bytes"], line["rate_mbps"])
        elif line["do"] == "play":
            values = line["trace"]
            trace = Trace(values["name"], tuple(values["time_s"]), tuple(values["rate_mbps"]))
            log = Path(line["log"]).open("w", encoding="utf-8")  # noqa: SIM115 - closed by `end`
            begin = self._replays[lane].begin(trace, line["start_s"], line["t0"], log)
            heapq.heappush(self._due, (begin, 0, lane))
            heapq.heappush(self._due, (begin + SAMPLE_S, 1, lane))
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
                return rest
            heapq.heappop(self._due)
            replay = self._replays[lane]
            try:
                if kind == 0:
                    heapq.heappush(self._due, (replay.advance(due), 0, lane))
                else:
                    replay.sample()
                    heapq.heappush(self._due, (max(due, time.monotonic()) + SAMPLE_S, 1, lane))
            except (TestbedError, OSError) as error:  # its qdisc is gone, or there is no room for its log
                self._faults[lane] = str(error)
                self._forget(lane)
                replay.give_up()
        return 0.0

    def _forget(self, lane: str) -> None:
        """Nothing more is due for a lane."""
        self._due = [entry for entry in self._due if entry[2] != lane]
        heapq.heapify(self._due)

    def run(self, commands: int) -> None:
        """Serve until end of input on descriptor `commands`."""
        pending = b""
        rest: float | None = None
        while True:
            ready, _, _ = select.select([commands], [], [], rest)
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
    print(json.dumps({"ready": True, "real_time": granted}), flush=True)
    Shaper().run(sys.stdin.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A call driven event by event from Python, as an emulated one is: the same functions, another loop.

What comes to the receiver and what comes back wait in queues of Python's own, and the earliest event is
picked from a heap. It is held against the compiled loop (`player/call/simulated/events.py`)."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

import numpy as np

from player.call.feedback_batch import FeedbackBatch, room_for_feedback
from player.call.media.assembly import give_up
from player.call.media.capturing import capture
from player.call.media.encoder import want_key
from player.call.media.facts import FACTS, FIELDS, note
from player.call.media.feedback import miss_report, report, take
from player.call.media.pacer import due_s, send
from player.call.media.playout import end
from player.call.media.receiver_state import ARRIVAL, new_receivers
from player.call.media.receiving import receive
from player.call.media.recovery import ask_again, resend
from player.call.media.sender_state import new_senders
from player.call.packets import MOST_NACKED, MOST_REPORTED
from player.call.path import CallPath
from player.call.settings import CallSettings
from player.call.simulated.batch import path_seeds
from player.call.simulated.passage import send_back_s, send_off
from player.call.simulated.state import new_paths
from traces.trace import Trace

ARRIVES, REPORTS, COMES_BACK, CAPTURES, LEAVES = range(5)


class DrivenCall:
    """One call; `rule` answers each feedback with kbit/s, or None to leave the rate."""

    def __init__(self, call: CallSettings, trace: Trace, path: CallPath, seed: int, start_s: float) -> None:
        seeds, starts = np.array([seed], np.uint64), np.array([start_s])
        self.call, self.path = call, path
        self.sender, self.receiver = new_senders(call, seeds), new_receivers(call, 1)
        self.paths = new_paths(call, path, [trace], np.array([0]), starts, path_seeds(seeds))
        self.batch = room_for_feedback(1, MOST_REPORTED)
        self.heard: list[tuple[Any, ...]] = []
        self.complete_s: dict[int, float] = {}
        """When each frame's last packet came, as this class counts them."""
        self._parts: dict[int, set[int]] = {}
        self._events: list[tuple[float, int, int, Any]] = []
        self._number = 0
        self._past, self.facts = np.zeros(1, FACTS), np.zeros(FIELDS)
        self._told = np.zeros(len(self.receiver.arrivals[0]), ARRIVAL)

    def _at(self, time_s: float, kind: int, what: Any = None) -> None:
        self._number += 1
        heapq.heappush(self._events, (time_s, kind, self._number, what))

    def run(self, rule: Callable[[FeedbackBatch], float | None]) -> None:
        """The whole call."""
        feedback_s = self.call.feedback_ms / 1000.0
        self._at(feedback_s, REPORTS, 1)
        self._at(0.0, CAPTURES, 0)
        s = self.sender.record[0]
        while True:
            leave_s = due_s(s)
            soonest = self._events[0]
            if (leave_s, LEAVES) < soonest[:2]:
                now_s, kind, what = leave_s, LEAVES, None
            else:
                now_s, kind, _, what = heapq.heappop(self._events)
            if now_s > self.call.duration_s:
                end(self.receiver.record[0], self.receiver.shown[0], self.call.duration_s)
                return
            self._handle(now_s, kind, what, rule)

    def _handle(self, now_s: float, kind: int, what: Any, rule: Callable[..., float | None]) -> None:
        s = self.sender.record[0]
        if kind == ARRIVES:
            self._arrive(what, now_s)
        elif kind == REPORTS:
            self._report(now_s)
            self._at((what + 1) * (self.call.feedback_ms / 1000.0), REPORTS, what + 1)
        elif kind == COMES_BACK:
            self._come_back(what, now_s, rule)
        elif kind == CAPTURES:
            capture(s, self.sender.media[0], self.sender.seconds[0], now_s)
            self._at((what + 1) * float(s["frame_s"]), CAPTURES, what + 1)
        else:
            self._leave(now_s)

    def _network(self) -> tuple[Any, ...]:
        paths = self.paths
        return paths.time_s, paths.bytes_per_s, paths.delay_s, paths.loss

    def _leave(self, now_s: float) -> None:
        sender, paths = self.sender, self.paths
        seq = send(
            sender.record[0], sender.media[0], sender.resends[0], sender.history[0], sender.seconds[0], now_s
        )
        if seq < 0:
            return
        packet = sender.history[0][seq % len(sender.history[0])]
        c, flights = paths.record[0], paths.flights[0]
        if send_off(c, flights, *self._network(), packet, now_s):
            flight = flights[(int(c["flights_tail"]) - 1) % len(flights)].copy()
            self._at(float(flight["leaves_s"]), ARRIVES, flight)

    def _arrive(self, flight: Any, now_s: float) -> None:
        self.paths.record[0]["flights_head"] += 1
        r = self.receiver
        state = (r.record[0], r.arrivals[0], r.missing[0], r.frames[0], r.shown[0], r.seconds[0], r.delays[0])
        gap = receive(*state, flight, now_s)
        parts = self._parts.setdefault(int(flight["frame"]), set())
        if flight["count"] and int(flight["index"]) not in parts:
            parts.add(int(flight["index"]))
            if len(parts) == flight["count"]:
                self.complete_s[float(flight["captured_s"])] = now_s
        if gap:
            first = int(flight["seq"]) - gap
            self._send_back(("nack", range(first, first + gap)), now_s)

    def _report(self, now_s: float) -> None:
        r = self.receiver
        wants_key = give_up(r.record[0], now_s)
        first, count = report(r.record[0])
        slots = [r.arrivals[0][seq % len(r.arrivals[0])].copy() for seq in range(first, first + count)]
        self._send_back(("report", first, count, slots, wants_key, now_s), now_s)
        asked = np.empty(MOST_NACKED, np.int64)
        comes_s = float(self.paths.record[0]["back_left_s"])
        for place in range(ask_again(r.record[0], r.missing[0], asked, now_s)):
            self._put_back(("nack", range(asked[place], asked[place] + 1)), now_s, comes_s)

    def _send_back(self, message: tuple[Any, ...], now_s: float) -> None:
        times, _, delays, loss = self._network()
        self._put_back(message, now_s, send_back_s(self.paths.record[0], times, delays, loss, now_s))

    def _put_back(self, message: tuple[Any, ...], now_s: float, comes_s: float) -> None:
        if any(begin <= now_s < end for begin, end in self.path.feedback_lost_s):
            message = ("lost",) if message[0] == "report" else ("nothing",)
        self._at(comes_s, COMES_BACK, message)

    def _come_back(self, message: tuple[Any, ...], now_s: float, rule: Callable[..., float | None]) -> None:
        sender, s = self.sender, self.sender.record[0]
        if message[0] == "nack":
            for seq in message[1]:
                resend(s, sender.resends[0], sender.history[0], seq, now_s)
        if message[0] not in ("report", "lost"):
            return
        if message[0] == "lost":
            miss_report(s, now_s, self.batch, 0)
        else:
            _, first, count, slots, wants_key, made_s = message
            if wants_key:
                want_key(s, now_s)
            for slot in slots:
                self._told[int(slot["seq"]) % len(self._told)] = slot
            take(s, sender.history[0], self._told, first, count, made_s, now_s, self.batch, 0)
        self._heard(rule)

    def _heard(self, rule: Callable[..., float | None]) -> None:
        note(self._past[0], self.sender.record[0], self.batch, 0, self.facts)
        packets = int(self.batch.packets[0])
        self.heard.append(
            (
                *self.facts.tolist(),
                *(float(getattr(self.batch, name)[0]) for name in ("now_s", "heard", "packets", "rtt_s")),
                *(self.batch.arrived_s[0, :packets].tolist()),
                *(self.batch.seq[0, :packets].tolist()),
            )
        )
        kbps = rule(self.batch)
        if kbps is not None:
            self.sender.record[0]["target_kbps"] = kbps

"""A sender, a link of given rates and its feedback, in plain Python: enough to see what a rule of calls does.

Frames of even size, a pacer, 40 ms of way in each direction, a queue that drops at its tail. No playout and
no repeats; the product's own simulated call has those.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from player.call.feedback_batch import FeedbackBatch, room_for_feedback

WIRE_BYTES, PAYLOAD_BYTES, WAY_S, INTERVAL_S, FPS = 1242, 1200, 0.040, 0.050, 25.0
OVERHEAD_BYTES = WIRE_BYTES - PAYLOAD_BYTES
CLUSTER_S, CLUSTER_PACKETS = 0.015, 5
ROOM = 2048


@dataclass
class Sent:
    """A packet on its way."""

    seq: int
    size_bytes: int
    sent_s: float
    arrived_s: float
    probe: int = 0


@dataclass
class ConstantCall:
    """One call; `run` it with a rule that has `begin`, `step` and `take_probe_kbps` of one row."""

    steps: Sequence[tuple[float, float]]
    """(from second, Mbit/s), the first from 0; whole frames count."""
    queue_bytes: int = 50_000
    pacing: float = 1.1
    min_kbps: float = 80.0
    start_kbps: float = 300.0
    max_kbps: float = 2500.0
    jitter_s: float = 0.0
    seed: int = 0
    lost: int = 0
    sent: int = 0
    packets: list[Sent] = field(default_factory=list)
    targets_kbps: list[float] = field(default_factory=list)

    def run(self, rule: Any, state: Any, duration_s: float, may_probe: bool = False) -> None:
        """Fills `packets` and, one an interval, `targets_kbps`."""
        self._waiting: deque[int] = deque()
        self._clusters: deque[list[float]] = deque()
        self._way: deque[Sent] = deque()
        self._next_send_s, self._free_s, self._taken, self._frames = 0.0, 0.0, 0, 0
        self._rng = np.random.default_rng(self.seed)
        rule.begin(state, 0, self.start_kbps, self.min_kbps, self.max_kbps, may_probe)
        target_kbps = self.start_kbps
        for interval in range(round(duration_s / INTERVAL_S)):
            now_s = (interval + 1) * INTERVAL_S
            self._probe(float(rule.take_probe_kbps(state, 0)))
            sent_bytes = self._send_until(interval * INTERVAL_S, now_s, target_kbps)
            feedback = self._feedback(now_s, interval, target_kbps, sent_bytes)
            answer = float(rule.step(state, 0, feedback))
            target_kbps = min(max(answer, self.min_kbps), self.max_kbps)
            self.targets_kbps.append(target_kbps)

    def queue_delays_s(self, since_s: float) -> np.ndarray:
        """One-way delay over the empty way's, of what arrived of packets sent since then."""
        empty_s = WAY_S
        return np.array([p.arrived_s - p.sent_s - empty_s for p in self.packets if p.sent_s >= since_s])

    def _probe(self, kbps: float) -> None:
        if kbps > 0:
            self._taken += 1
            self._clusters.append([self._taken, kbps, 0, 0, math.nan])

    def _send_until(self, from_s: float, now_s: float, target_kbps: float) -> int:
        before = self.sent
        while self._frames / FPS < now_s:
            captured_s = max(self._frames / FPS, from_s)
            self._drain(from_s, captured_s, target_kbps)
            from_s = captured_s
            self._capture(round(target_kbps * 1000 / 8 / FPS))
        self._drain(from_s, now_s, target_kbps)
        return self.sent - before

    def _capture(self, size: int) -> None:
        self._frames += 1
        self._waiting.extend(PAYLOAD_BYTES for _ in range(size // PAYLOAD_BYTES))
        if size % PAYLOAD_BYTES:
            self._waiting.append(size % PAYLOAD_BYTES)

    def _drain(self, from_s: float, to_s: float, target_kbps: float) -> None:
        while self._clusters:
            number, kbps, size, count, begun_s = self._clusters[0]
            begun_s = from_s if math.isnan(begun_s) else begun_s
            due_s = begun_s + size * 8 / 1000 / kbps
            if due_s >= to_s:
                self._clusters[0][4] = begun_s
                return
            bytes_now = self._waiting.popleft() if self._waiting else PAYLOAD_BYTES
            self._put(max(due_s, from_s), bytes_now, int(number))
            self._clusters[0] = [number, kbps, size + bytes_now, count + 1, begun_s]
            if size + bytes_now >= kbps * 125 * CLUSTER_S and count + 1 >= CLUSTER_PACKETS:
                self._clusters.popleft()
            self._next_send_s = max(due_s, from_s)
        while self._waiting:
            at_s = max(self._next_send_s, from_s)
            if at_s >= to_s:
                return
            size = self._waiting.popleft()
            self._put(at_s, size, 0)
            self._next_send_s = at_s + size * 8 / 1000 / (target_kbps * self.pacing)

    def _put(self, at_s: float, size_bytes: int, probe: int) -> None:
        seq = self.packets[-1].seq + 1 + self._gap if self.packets else self._gap
        self.sent += size_bytes
        waiting_bytes = self._backlog_bytes(at_s)
        if waiting_bytes + size_bytes + OVERHEAD_BYTES > self.queue_bytes:
            self._gap += 1
            self.lost += 1
            self._way.append(Sent(seq, size_bytes, at_s, math.nan, probe))
            return
        self._gap = 0
        self._free_s = self._served(max(at_s, self._free_s), (size_bytes + OVERHEAD_BYTES) * 8e-6)
        late_s = abs(self._rng.normal(0.0, self.jitter_s)) if self.jitter_s else 0.0
        before_s = self.packets[-1].arrived_s if self.packets else 0.0
        packet = Sent(seq, size_bytes, at_s, max(self._free_s + WAY_S + late_s, before_s), probe)
        self.packets.append(packet)
        self._way.append(packet)

    _gap = 0

    def _backlog_bytes(self, at_s: float) -> float:
        return sum(
            mbps * 125_000 * max(0.0, min(end_s, self._free_s) - max(from_s, at_s))
            for (from_s, mbps), end_s in zip(self.steps, self._ends(), strict=True)
        )

    def _ends(self) -> list[float]:
        return [from_s for from_s, _ in self.steps[1:]] + [math.inf]

    def _served(self, from_s: float, mbit: float) -> float:
        """When so much has passed a link that begins with it at `from_s`."""
        for (begin_s, mbps), end_s in zip(self.steps, self._ends(), strict=True):
            at_s = max(from_s, begin_s)
            if at_s >= end_s:
                continue
            if mbps * (end_s - at_s) >= mbit:
                return at_s + mbit / mbps
            mbit -= mbps * (end_s - at_s)
        raise AssertionError("the last step is dark")

    def _feedback(self, now_s: float, interval: int, target_kbps: float, sent_bytes: int) -> FeedbackBatch:
        made_s = now_s - WAY_S
        newest = max((place for place, p in enumerate(self._way) if p.arrived_s <= made_s), default=-1)
        told = [self._way.popleft() for _ in range(newest + 1)]
        batch = room_for_feedback(1, ROOM)
        batch.now_s[0], batch.heard[0], batch.packets[0] = now_s, True, len(told)
        batch.sent_bytes[0], batch.target_kbps[0], batch.interval[0] = sent_bytes, target_kbps, interval
        batch.rtt_s[0] = told[-1].arrived_s - told[-1].sent_s + WAY_S if told else math.nan
        batch.pacer_bytes[0] = sum(self._waiting)
        for place, packet in enumerate(told):
            batch.seq[0, place], batch.size_bytes[0, place] = packet.seq, packet.size_bytes
            batch.sent_s[0, place], batch.arrived_s[0, place] = packet.sent_s, packet.arrived_s
            batch.probe[0, place] = packet.probe
        return batch

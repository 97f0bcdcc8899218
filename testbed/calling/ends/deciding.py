"""A call's policy, asked in a thread of normal priority beside the real-time loop; the old rate holds.

The loop never waits for it. Whatever the policy does (raise, answer nonsense, hang, compute for ever) costs
it the answer: the loop takes GCC's rate, and the record says why.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from player.call.compiled_rule import HasCompiledRule
from player.call.feedback_batch import FeedbackBatch, room_for_feedback
from player.call.observation import HISTORY, CallObservation, Interval, ReportedPacket
from player.call.packets import MOST_REPORTED
from player.call.policy import CallPolicy, IllegalRate, Rate, as_rate
from player.call.settings import CallSettings
from player.faults import one_line
from testbed.calling.ends.sender_box import ROWS, SenderBox

NOT_YET = "its answer was late"


@dataclass(frozen=True)
class Answer:
    """What came of a question."""

    by: str
    """Empty where the policy has not decided."""
    reason: str
    took_s: float


class Deciding:
    """The thread. `start`, `answer_to`, `stop`.

    Args:
        told, wakes: eventfds: feedback is here; an answer is.
        begun: a fault of its reset, in words; it isn't asked then.
    """

    def __init__(
        self,
        policy: CallPolicy,
        call: CallSettings,
        box: SenderBox,
        told: int,
        wakes: int,
        unfit: str = "",
    ) -> None:
        self._policy = policy
        self._call = call
        self._box = box
        self._told = told
        self._wakes = wakes
        self._unfit = unfit
        self._rule = _CompiledRule(policy, call) if isinstance(policy, HasCompiledRule) else None
        self._seen = 0
        self._history: deque[Interval] = deque(maxlen=HISTORY + 1)
        self._answers: dict[int, Answer] = {}
        self._stopping = False
        self._shown = False
        self._thread = threading.Thread(target=self._work, name="policy", daemon=True)

    def start(self) -> None:
        """Begin to wait for feedback."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more; a policy that hangs is not waited for."""
        self._stopping = True
        os.eventfd_write(self._told, 1)

    def answer_to(self, question: int) -> Answer:
        """What is known of a question."""
        return self._answers.get(question, Answer("", self._unfit or NOT_YET, 0.0))

    def _work(self) -> None:
        while True:
            os.eventfd_read(self._told)
            if self._stopping:
                return
            asked = self._catch_up()
            if asked is not None:
                self._ask(*asked)

    def _catch_up(self) -> tuple[int, CallObservation] | None:
        """Take in the feedbacks that have come; the newest with which the policy is to be asked."""
        control = self._box.control[0]
        count, every = int(control["feedbacks"]), int(control["every"])
        asked = None
        for feedback in range(max(self._seen, count - ROWS // 2), count):
            self._history.append(interval_of(self._box.facts[feedback % ROWS]))
            if (feedback + 1) % every == 0:
                *past, now = self._history
                packets = packets_of(self._box, feedback % ROWS)
                asked = feedback, CallObservation(now, packets, tuple(past))
        self._seen = count
        return asked

    def _ask(self, question: int, observation: CallObservation) -> None:
        begun = time.monotonic()
        rate, fault = Rate(float("nan")), self._unfit
        if not fault:
            try:
                rate = as_rate(self._decided(question, observation), self._call)
            except IllegalRate as error:
                fault = str(error)
            except BaseException as error:  # a policy's fault of whatever kind costs it the answer alone
                fault = f"policy raised {one_line(error)}"
                self._show(error)
        took_s = time.monotonic() - begun
        self._answers[question] = Answer("" if fault else rate.by, fault or rate.reason, took_s)
        self._answers.pop(question - 40 * ROWS, None)
        answer = self._box.answer[0]
        answer["kbps"], answer["probe_kbps"] = rate.kbps, rate.probe_kbps
        answer["question"] = question
        answer["number"] += 1
        os.eventfd_write(self._wakes, 1)

    def _decided(self, question: int, observation: CallObservation) -> Rate | float:
        if self._rule is not None:
            return self._rule.step(self._box, question)
        return self._policy.decide(observation)

    def _show(self, error: BaseException) -> None:
        """The first traceback, for the session's log."""
        if not self._shown:
            self._shown = True
            traceback.print_exception(error)


class _CompiledRule:
    """A rule that is compiled, run on the feedback itself; made and tried before the call begins, for making
    machine code takes its time."""

    def __init__(self, policy: HasCompiledRule, call: CallSettings) -> None:
        self._rule = policy.compiled_rule()
        self._limits = (call.start_kbps, call.min_kbps, call.max_kbps)
        self._may_probe = bool(getattr(policy, "may_probe", True))
        self._begin()
        self._rule.step(self._state, 0, room_for_feedback(1, MOST_REPORTED))
        self._begin()

    def _begin(self) -> None:
        self._state = self._rule.new_state(1)
        self._rule.begin(self._state, 0, *self._limits, self._may_probe)
        self._probe_kbps = float(self._rule.take_probe_kbps(self._state, 0))

    def step(self, box: SenderBox, question: int) -> Rate:
        """The rule's rate after a feedback."""
        row = question % ROWS
        told: list[Any] = [array[row : row + 1] for array in box.feedback]
        kbps = self._rule.step(self._state, 0, FeedbackBatch(*told))
        first, self._probe_kbps = self._probe_kbps, 0.0
        return Rate(float(kbps), probe_kbps=first or float(self._rule.take_probe_kbps(self._state, 0)))


def interval_of(facts: Any) -> Interval:
    """A row of facts as a policy sees it."""
    values: dict[str, Any] = dict(zip(Interval._fields, facts.tolist(), strict=True))
    for name in ("interval", "lost_packets", "frames_dropped"):
        values[name] = int(values[name])
    values["heard"] = bool(values["heard"])
    return Interval(**values)


def packets_of(box: SenderBox, row: int) -> tuple[ReportedPacket, ...]:
    """The packets that a feedback tells of."""
    told, count = box.feedback, int(box.feedback.packets[row])
    columns = [getattr(told, name)[row, :count].tolist() for name in ReportedPacket._fields]
    return tuple(
        ReportedPacket(seq, size, sent_s, None if np.isnan(arrived_s) else arrived_s)
        for seq, size, sent_s, arrived_s in zip(*columns, strict=True)
    )

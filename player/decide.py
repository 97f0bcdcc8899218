"""Asks the policy, off the event loop and with a deadline; who cannot decide is replaced.

An exception, an illegal answer or a missed deadline costs the policy this one chunk: the fallback
decides it, and the decision says why. The policy runs in a daemon thread of its own, so that one
that hangs stops neither a download nor a timer nor the end of the program.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from player.defaults import DEADLINE_S
from player.faults import LONGEST_REASON, PolicyFault, in_words, is_interrupt, one_line, raised, traceback_of
from player.observation import Observation
from player.policy import BY_FALLBACK, Decision, HearsEnd, IllegalDecision, Policy, as_decision, shortly
from player.qoe import QoE
from player.video.video import Video

RESET_DEADLINE_S = 60.0
"""A reset may load a model; nothing is streaming yet."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TimedDecision:
    """A decision and the real time that it took."""

    decision: Decision
    decision_s: float


class Decider:
    """A policy with its stand-in, for one session. Use it from one event loop.

    Args:
        policy: whom to ask.
        fallback: a rule that is quick enough to run on the event loop.
        levels: of the ladder.
        deadline_s: for one `select`.
        reset_deadline_s: for `reset`.
        delay_s: how much later than it is made the policy's decision is heard.
        strict: nobody stands in for the policy: its first fault is raised as `PolicyFault`.
    """

    def __init__(
        self,
        policy: Policy,
        fallback: Policy,
        levels: int,
        deadline_s: float = DEADLINE_S,
        reset_deadline_s: float = RESET_DEADLINE_S,
        delay_s: float = 0.0,
        strict: bool = False,
    ) -> None:
        for name, seconds in (("decision deadline", deadline_s), ("reset deadline", reset_deadline_s)):
            if not (math.isfinite(seconds) and seconds > 0):
                raise ValueError(f"{name} {seconds} s: must be positive and finite")
        self._policy = policy
        self._fallback = fallback
        self._levels = levels
        self._deadline_s = deadline_s
        self._reset_deadline_s = reset_deadline_s
        self._delay_s = delay_s
        self._strict = strict
        self._worker = _Worker()
        self._late: asyncio.Future[_Outcome] | None = None
        self._late_what = ""
        self._unfit = ""
        self._shown = False
        self._fallback_unfit = ""

    async def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        """Begin a session. A policy whose reset fails is not asked at all in this session.

        Raises:
            PolicyFault: it failed, and we are strict.
        """
        try:
            self._fallback.reset(video, seed, qoe)
        except BaseException as error:
            if is_interrupt(error):
                raise
            self._fallback_unfit = f"fallback's reset raised {one_line(error)}"
        try:
            await self._ask(lambda: self._policy.reset(video, seed, qoe), self._reset_deadline_s, "reset")
        except _Unfit as error:
            self._unfit = str(error)

    async def select(self, observation: Observation) -> TimedDecision:
        """The level of the next chunk, always a legal one.

        Raises:
            PolicyFault: the policy has not decided, and we are strict.
        """
        begun = time.monotonic()
        decision = await self._decide(observation)
        return TimedDecision(decision, time.monotonic() - begun)

    def ended(self, observation: Observation) -> None:
        """Tell a policy that wants to know (`HearsEnd`) how the session ended; don't wait for it.

        One that was late hears it after what it is busy with, one whose reset failed not at all.
        """
        policy = self._policy
        if isinstance(policy, HearsEnd) and not self._unfit:
            self._worker.submit(lambda: policy.ended(observation)).add_done_callback(_log_fault)

    def close(self) -> None:
        """Let the thread go once its present call is over; don't wait for it."""
        self._worker.close()

    async def _decide(self, observation: Observation) -> Decision:
        if self._unfit:
            return self._fall_back(observation, self._unfit)
        if self._late is not None and not self._late.done():
            return self._fall_back(observation, f"policy is still busy with {self._late_what}")
        self._late = None
        what = f"chunk {observation.chunk}"
        try:
            answer = await self._ask(lambda: self._answer(observation), self._deadline_s, what)
            return recordable(as_decision(answer, self._levels))
        except _Unfit as error:
            return self._fall_back(observation, str(error))
        except IllegalDecision as error:
            if self._strict:
                raise PolicyFault(in_words(str(error), observation.chunk)) from None
            return self._fall_back(observation, str(error))

    def _answer(self, observation: Observation) -> Any:
        """In the policy's thread: what it says, after its delay."""
        answer = self._policy.select(observation)
        if self._delay_s > 0:
            time.sleep(self._delay_s)
        return answer

    async def _ask(self, call: Callable[[], Any], deadline_s: float, what: str) -> Any:
        """The policy's answer.

        Raises:
            _Unfit: it raised, or has not answered by the deadline.
            PolicyFault: the same, where we are strict.
        """
        answer = self._worker.submit(call)
        done, _ = await asyncio.wait({answer}, timeout=deadline_s)
        if not done:
            self._late, self._late_what = answer, what
            why = f"policy took over {deadline_s:g} s for {what}"
            if self._strict:
                raise PolicyFault(in_words(why), self._worker.stack())
            raise _Unfit(why)
        outcome = answer.result()
        if outcome.error is not None:
            why = raised(outcome.error, self._policy, what)
            if self._strict:
                raise PolicyFault(in_words(why), traceback_of(outcome.error))
            if not self._shown:  # the record has each fault's text; its traceback is shown once
                self._shown = True
                _log.warning("%s", in_words(why), exc_info=outcome.error)
            raise _Unfit(why)
        return outcome.answer

    def _fall_back(self, observation: Observation, why: str) -> Decision:
        try:
            if self._fallback_unfit:
                return Decision(0, BY_FALLBACK, f"{why}; {self._fallback_unfit}")
            level = as_decision(self._fallback.select(observation), self._levels).level
        except BaseException as error:
            if is_interrupt(error):
                raise
            return Decision(0, BY_FALLBACK, f"{why}; fallback raised {one_line(error)}")
        return Decision(level, BY_FALLBACK, why)


def _log_fault(told: asyncio.Future[_Outcome]) -> None:
    error = None if told.cancelled() else told.result().error
    if error is not None:
        _log.warning("the policy raised %s when it was told the session's end", one_line(error))


def recordable(decision: Decision) -> Decision:
    """The decision with a reason of bounded length.

    Raises:
        IllegalDecision: `by` or `reason` is not text.
    """
    if not isinstance(decision.by, str) or not isinstance(decision.reason, str):
        raise IllegalDecision(
            f"answered by {shortly(decision.by)}, reason {shortly(decision.reason)}; both must be text"
        )
    return Decision(decision.level, decision.by, " ".join(decision.reason.split())[:LONGEST_REASON])


class _Unfit(Exception):
    """The policy gave no answer; the text says why."""


@dataclass(frozen=True)
class _Outcome:
    answer: Any = None
    error: BaseException | None = None


_Call = tuple[Callable[[], Any], "asyncio.Future[_Outcome]"]


class _Worker:
    """One daemon thread that makes one call at a time."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="policy", daemon=True)
        self._thread.start()

    def submit(self, call: Callable[[], Any]) -> asyncio.Future[_Outcome]:
        future: asyncio.Future[_Outcome] = asyncio.get_running_loop().create_future()
        self._calls.put((call, future))
        return future

    def close(self) -> None:
        self._calls.put(None)

    def stack(self) -> str:
        """Where it is at this moment."""
        frame = sys._current_frames().get(self._thread.ident or 0)
        return "" if frame is None else "".join(traceback.format_stack(frame)).rstrip()

    def _run(self) -> None:
        while (item := self._calls.get()) is not None:
            call, future = item
            try:
                outcome = _Outcome(answer=call())
            except BaseException as error:  # SystemExit too: a policy may not end its thread
                outcome = _Outcome(error=error)
            try:
                future.get_loop().call_soon_threadsafe(_settle, future, outcome)
            except RuntimeError:  # the loop is closed: the session ended before this late answer
                return


def _settle(future: asyncio.Future[_Outcome], outcome: _Outcome) -> None:
    if not future.done():
        future.set_result(outcome)

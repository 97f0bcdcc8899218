"""A queue with deadlines: the earliest first, and what cannot make it is told so at once.

Every request names its own deadline: `apc` its budget, `netllm` what a player can wait. No forward takes
longer than half of what the hastiest open session allows (nor than half of the server's budget, where all
allow less), so that whoever arrives while one runs can still have the next. A request is admitted if, after
all with earlier deadlines, its own forward would be done in time by what the machine's forwards have taken
lately (`step_time.py`); else it is refused while there is still time to decide it otherwise. Overload means
more refusals, not late answers.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence

from policies.llm.serving.batcher import (
    GATHER_S,
    LARGEST_BATCH,
    LONGEST_QUEUE,
    Hopeless,
    QueueFull,
    WaitingSteps,
)
from policies.llm.serving.returning import Returning
from policies.llm.serving.step_time import StepTime

BUDGET_S = 0.1
"""Trailblazer's."""
LONGEST_FORWARD = 0.5
"""Of the budget."""
GUARD = 0.1
"""Of what a request allows, kept for the way there and back."""
PROBE_EVERY_S = 2.0
"""An idle machine that refused everybody for so long takes the next request all the same: only forwards teach
that it has become quicker again."""
RECOVERED = 0.5
"""A probe that took less than this share of what was expected: what was learned is of another time."""


class DeadlineQueue:
    """Earliest deadline first, in short forwards; a `batcher.BatchQueue`.

    Args:
        budget_s: the shortest that a request is expected to allow; where all open sessions allow more,
            forwards may be as much longer.
        gather_s, largest, longest, sessions: as of `batch_by_arrival.ArrivalQueue`.
        step_time: what forwards take; learned anew if None.
    """

    def __init__(
        self,
        budget_s: float = BUDGET_S,
        gather_s: float = GATHER_S,
        largest: int = LARGEST_BATCH,
        longest: int = LONGEST_QUEUE,
        sessions: Callable[[], int] = lambda: LARGEST_BATCH,
        step_time: StepTime | None = None,
    ) -> None:
        self._budget_s = budget_s
        self._largest, self._longest, self._sessions = largest, longest, sessions
        self.step_time = step_time if step_time is not None else StepTime()
        self._waiting: list[WaitingSteps] = []
        """By deadline."""
        self._ends_s: list[float] = []
        """When the forwards that run, or are next, will be done at the latest."""
        self._refusing_since_s: float | None = None
        """No forward has run since, though the machine was idle."""
        self._probe: WaitingSteps | None = None
        self._most_sessions = largest
        """Of the next batch."""
        self._allowed_s: dict[int, float] = {}
        """What each open session's last request allowed."""
        self._returning = Returning(gather_s)
        self.refused = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def deadline_s(self, work: WaitingSteps) -> float:
        """When a request's forward has to be done."""
        if work.answered:
            return work.deadline_s
        return work.arrived_s + (1.0 - GUARD) * (work.deadline_s - work.arrived_s)

    def push(self, work: WaitingSteps) -> None:
        """Admit a request.

        Raises:
            QueueFull: too many wait.
            Hopeless: it would be late.
        """
        if len(self._waiting) >= self._longest:
            raise QueueFull(f"{self._longest} requests are waiting")
        if not work.answered:
            self._allowed_s[work.slot] = work.deadline_s - work.arrived_s
        place = bisect.bisect_right(self._waiting, self.deadline_s(work), key=self.deadline_s)
        ahead = self._waiting[:place]
        begin_s = max([work.arrived_s, *self._ends_s])
        done_s = begin_s + self._time_of([*ahead, work])
        idle = not self._waiting and not self._ends_s
        if idle:  # try what can be expected to be in time
            done_s = begin_s + self.step_time.expect_s(work.rows)
        if done_s > self.deadline_s(work) and idle and self._may_probe(work.arrived_s):
            self._probe = work
        elif done_s > self.deadline_s(work):
            self.refused += 1
            raise Hopeless(
                f"light: it would take {1000.0 * (done_s - work.arrived_s):.0f} ms, {place} requests ahead"
            )
        self._waiting.insert(place, work)
        if not work.answered:
            self._returning.asked(work.slot, work.arrived_s)

    def _may_probe(self, now_s: float) -> bool:
        """Whether everybody was refused for long; remembers since when."""
        if self._refusing_since_s is None:
            self._refusing_since_s = now_s
        return now_s >= self._refusing_since_s + PROBE_EVERY_S

    def _time_of(self, works: Sequence[WaitingSteps]) -> float:
        """What the forwards of these requests take, one after the other, by their bounds."""
        most, seconds, steps, sessions = self._most_steps(), 0.0, 0, 0
        for work in works:
            own = work.rows
            if sessions and (steps + own > most or sessions >= self._most_sessions):
                seconds += self.step_time.bound_s(steps)
                steps = sessions = 0
            steps, sessions = steps + own, sessions + 1
        return seconds + self.step_time.bound_s(steps)

    def _most_steps(self) -> int:
        """New steps of one forward; 1 or more. Where not even one fits into half of what is allowed, all of
        it is used: more and shorter forwards would help nobody.
        """
        allowed_s = self._hastiest_s()
        most = self.step_time.most_steps(LONGEST_FORWARD * allowed_s)
        return max(most or self.step_time.most_steps((1.0 - GUARD) * allowed_s), 1)

    def due_s(self) -> float:
        """As `returning.py` has it; at once when all who could are there, or more than one forward holds.
        Nobody's deadline is waited away.
        """
        first_s, rows = self._first_s(), self._rows()
        complete = len(self._waiting) >= min(self._most_sessions, max(self._sessions(), 1))
        if complete or rows > self._most_steps():
            return first_s
        latest_s = self.deadline_s(self._waiting[0]) - self.step_time.bound_s(rows)
        return min(self._returning.begins_s(first_s, self.step_time.fixed_s), latest_s)

    def reads_until_s(self) -> float:
        latest_s = self.deadline_s(self._waiting[0]) - self.step_time.bound_s(self._rows())
        return min(self._returning.reads_until_s(self._first_s(), self.step_time.fixed_s), latest_s)

    def _first_s(self) -> float:
        return min(work.arrived_s for work in self._waiting)

    def _rows(self) -> int:
        """That forwards of all who wait compute."""
        return sum(work.rows for work in self._waiting)

    def take(self, now_s: float) -> tuple[list[WaitingSteps], list[WaitingSteps]]:
        """The next batch: as many as fit into one forward that the first of them survives."""
        batch: list[WaitingSteps] = []
        late: list[WaitingSteps] = []
        left: list[WaitingSteps] = []
        steps, most = 0, self._most_steps()
        for work in self._waiting:
            own = work.rows
            probes = work is self._probe and now_s < work.deadline_s
            if not probes and now_s + self.step_time.expect_s(own) > self.deadline_s(work):
                late.append(work)
            elif (
                len(batch) >= self._most_sessions
                or (batch and steps + own > most)
                or (batch and now_s + self.step_time.bound_s(steps + own) > self.deadline_s(batch[0]))
            ):
                left.append(work)
            else:
                batch.append(work)
                steps += own
        self._waiting = left
        if self._probe in late:
            self._probe = None
        self.refused += len(late)
        if batch:
            self._ends_s.append(max([now_s, *self._ends_s]) + self.step_time.bound_s(steps))
        return batch, late

    def goes_ahead(self, now_s: float) -> bool:
        """Where it and the one that runs are done together within half of what the hastiest allows, and no
        deadline of who waits comes before that."""
        if len(self._waiting) < self._most_sessions and self._rows() <= self._most_steps():
            return False
        steps = min(self._rows(), self._most_steps())
        done_s = max([now_s, *self._ends_s]) + self.step_time.bound_s(steps)
        in_time = done_s <= self.deadline_s(self._waiting[0])
        return in_time and done_s - now_s <= LONGEST_FORWARD * self._hastiest_s()

    def _hastiest_s(self) -> float:
        """What the hastiest open session allows, the budget where all allow less."""
        return max(min(self._allowed_s.values(), default=0.0), self._budget_s)

    def took(self, batch: Sequence[WaitingSteps], seconds: float) -> None:
        """Learn what forwards take."""
        rows = sum(work.rows for work in batch)
        if self._probe in batch and seconds < RECOVERED * self.step_time.expect_s(rows):
            self.step_time.forget()
        self.step_time.took(rows, seconds)
        self._ran()

    def learn(self, steps: int, seconds: float) -> None:
        self.step_time.took(steps, seconds)

    def answered(self, batch: Sequence[WaitingSteps], now_s: float) -> None:
        self._returning.free(now_s)
        self._returning.answered((work.slot for work in batch if not work.answered), now_s)
        self._most_sessions = self._returning.largest(self.step_time.fixed_s) or self._largest

    def left(self, slot: int) -> None:
        self._allowed_s.pop(slot, None)
        self._returning.left(slot)

    def failed(self) -> None:
        """The forward is over, and teaches nothing."""
        self._ran()

    def _ran(self) -> None:
        del self._ends_s[:1]
        self._refusing_since_s = self._probe = None

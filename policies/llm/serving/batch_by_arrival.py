"""Batches of those who came first: what a server without a time budget forms."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from policies.llm.serving.batcher import GATHER_S, LARGEST_BATCH, LONGEST_QUEUE, QueueFull, WaitingSteps
from policies.llm.serving.returning import Returning
from policies.llm.serving.step_time import StepTime


class ArrivalQueue:
    """First come, first served. The first waits `gather_s` for more, unless all who could come are there, and
    for those who are about to (`returning.py`).

    Args:
        gather_s: how long the first waits.
        largest: requests in a batch.
        longest: requests waiting.
        sessions: how many could ask: the open ones.
    """

    def __init__(
        self,
        gather_s: float = GATHER_S,
        largest: int = LARGEST_BATCH,
        longest: int = LONGEST_QUEUE,
        sessions: Callable[[], int] = lambda: LARGEST_BATCH,
    ) -> None:
        self._largest, self._longest = largest, longest
        self._most_sessions = largest
        """Of the next batch."""
        self._sessions = sessions
        self._waiting: deque[WaitingSteps] = deque()
        self._step_time, self._returning = StepTime(), Returning(gather_s)

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, work: WaitingSteps) -> None:
        if len(self._waiting) >= self._longest:
            raise QueueFull(f"{self._longest} requests are waiting")
        self._waiting.append(work)
        if not work.answered:
            self._returning.asked(work.slot, work.arrived_s)

    def due_s(self) -> float:
        first_s = self._waiting[0].arrived_s
        if len(self._waiting) >= min(self._most_sessions, self._sessions()):
            return first_s
        return self._returning.begins_s(first_s, self._step_time.fixed_s)

    def reads_until_s(self) -> float:
        return self._returning.reads_until_s(self._waiting[0].arrived_s, self._step_time.fixed_s)

    def take(self, now_s: float) -> tuple[list[WaitingSteps], list[WaitingSteps]]:
        batch: list[WaitingSteps] = []
        late: list[WaitingSteps] = []
        while self._waiting and len(batch) < self._most_sessions:
            work = self._waiting.popleft()
            (batch if now_s < work.deadline_s else late).append(work)
        return batch, late

    def goes_ahead(self, now_s: float) -> bool:
        return len(self._waiting) >= self._most_sessions

    def took(self, batch: Sequence[WaitingSteps], seconds: float) -> None:
        """Learn what sharing a forward is worth."""
        self._step_time.took(sum(work.rows for work in batch), seconds)

    def learn(self, steps: int, seconds: float) -> None:
        self._step_time.took(steps, seconds)

    def answered(self, batch: Sequence[WaitingSteps], now_s: float) -> None:
        self._returning.free(now_s)
        self._returning.answered((work.slot for work in batch if not work.answered), now_s)
        self._most_sessions = self._returning.largest(self._step_time.fixed_s) or self._largest

    def left(self, slot: int) -> None:
        self._returning.left(slot)

    def failed(self) -> None:
        """First come, first served needs no forecast."""

"""Batches of those who came first: what a server without a time budget forms."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from policies.llm.serving.batcher import GATHER_S, LARGEST_BATCH, LONGEST_QUEUE, QueueFull, WaitingSteps


class ArrivalQueue:
    """First come, first served. The first waits `gather_s` for more, unless all who could come are there.

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
        self._gather_s, self._largest, self._longest = gather_s, largest, longest
        self._sessions = sessions
        self._waiting: deque[WaitingSteps] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, work: WaitingSteps) -> None:
        if len(self._waiting) >= self._longest:
            raise QueueFull(f"{self._longest} requests are waiting")
        self._waiting.append(work)

    def due_s(self) -> float:
        complete = len(self._waiting) >= min(self._largest, self._sessions())
        return self._waiting[0].arrived_s + (0.0 if complete else self._gather_s)

    def take(self, now_s: float) -> tuple[list[WaitingSteps], list[WaitingSteps]]:
        batch: list[WaitingSteps] = []
        late: list[WaitingSteps] = []
        while self._waiting and len(batch) < self._largest:
            work = self._waiting.popleft()
            (batch if now_s < work.deadline_s else late).append(work)
        return batch, late

    def took(self, batch: Sequence[WaitingSteps], seconds: float) -> None:
        """First come, first served needs no forecast."""

    def failed(self) -> None:
        """Nor here."""

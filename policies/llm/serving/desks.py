"""Where a request goes: to its task's desk, and from there to the counter of the engine that decides it; and
how much there may be of all that.

A task has a desk: its sessions. An engine has a counter: the queue before it and its forwards. Engines of
one task each have a counter each; where one engine decides several tasks, their desks have one in common, and
requests of all of them wait in one queue, by their deadlines, and share forwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from policies.llm.engine.contract import ServingEngine, SharedForwards, SharingEngine
from policies.llm.serving.batch_by_arrival import ArrivalQueue
from policies.llm.serving.batch_by_deadline import BUDGET_S, DeadlineQueue
from policies.llm.serving.batcher import (
    GATHER_S,
    LARGEST_BATCH,
    LONGEST_QUEUE,
    Answers,
    Batcher,
    BatchQueue,
    Fill,
    WaitingSteps,
)
from policies.llm.serving.metrics import Metrics
from policies.llm.serving.protocol import MOST_BODY_BYTES, Answer
from policies.llm.serving.sessions import IDLE_S, MOST_SESSIONS, ServedSessions
from policies.llm.task import NextSteps, Task, Vectors

MakesQueue = Callable[[Callable[[], int]], BatchQueue]
"""A queue, given how many sessions are open."""


@dataclass(frozen=True)
class Limits:
    """How much a server takes on."""

    sessions: int = MOST_SESSIONS
    idle_s: float = IDLE_S
    waiting: int = LONGEST_QUEUE
    batch: int = LARGEST_BATCH
    gather_s: float = GATHER_S
    budget_s: float | None = BUDGET_S
    """Earliest deadline first, no forward longer than half of this; None: first come, first served."""
    body_bytes: int = MOST_BODY_BYTES

    def queue(self, sessions: Callable[[], int]) -> BatchQueue:
        """A queue within these limits, given how many sessions are open."""
        if self.budget_s is None:
            return ArrivalQueue(self.gather_s, self.batch, self.waiting, sessions)
        return DeadlineQueue(self.budget_s, self.gather_s, self.batch, self.waiting, sessions)


@dataclass(frozen=True)
class TaskEngine:
    """A task and the engine that decides it. Nobody else may use the engine, or those that it shares forwards
    with."""

    task: Task
    engine: ServingEngine


class Counter:
    """An engine, the queue before it, and its forwards.

    Args:
        tasks: those that it decides.
        queue: makes the queue.
        delay_s: wait so long before every forward.
    """

    def __init__(
        self,
        engine: SharedForwards,
        tasks: Sequence[Task],
        queue: MakesQueue,
        delay_s: float,
        metrics: Metrics,
    ) -> None:
        self._tasks, self._metrics = tasks, metrics
        self.desks: list[Desk] = []
        self.queue = queue(self.open_sessions)
        fill: Fill = tasks[0].fill if len(tasks) == 1 else fill_each
        answers: Answers | None = tasks[0].answers if len(tasks) == 1 else None
        self.batcher = Batcher(
            engine, self.queue, fill, answers=answers, delay_s=delay_s, observe=self._observe
        )

    def open_sessions(self) -> int:
        """Of all its desks."""
        return sum(len(desk.sessions) for desk in self.desks)

    def _observe(self, batch: Sequence[WaitingSteps], seconds: float) -> None:
        """A forward that several tasks shared counts for each of them."""
        for name in {self._name_of(work) for work in batch}:
            self._metrics.forward_s.labels(name).observe(seconds)
            self._metrics.batch.labels(name).observe(len(batch))
        self._metrics.steps.inc(sum(len(work.asked.steps) for work in batch))
        self._metrics.rows.inc(sum(work.rows for work in batch))

    def _name_of(self, work: WaitingSteps) -> str:
        task = work.asked.task
        return self._tasks[0].name if task is None else task.name


class Desk:
    """A task and its sessions.

    Args:
        counter: where they are decided.
    """

    def __init__(self, served: TaskEngine, counter: Counter, limits: Limits, metrics: Metrics) -> None:
        self.task, self.engine, self.counter = served.task, served.engine, counter
        self.asking: set[asyncio.Task[Answer]] = set()
        """Requests that wait for their answer."""
        self.sessions = ServedSessions(
            counter.batcher,
            served.engine.open,
            served.task,
            target=served.engine.info.target,
            most=limits.sessions,
            idle_s=limits.idle_s,
            rebuilt=metrics.rebuilt.inc,
        )
        counter.desks.append(self)


def desks_of(
    served: Sequence[TaskEngine], queue: MakesQueue, limits: Limits, delay_s: float, metrics: Metrics
) -> Mapping[str, Desk]:
    """By task; engines that share forwards get one counter."""
    groups: dict[int, list[TaskEngine]] = {}
    for each in served:
        groups.setdefault(id(_forwards(each.engine)), []).append(each)
    found = {}
    for group in groups.values():
        tasks = [each.task for each in group]
        counter = Counter(_forwards(group[0].engine), tasks, queue, delay_s, metrics)
        found.update({each.task.name: Desk(each, counter, limits, metrics) for each in group})
    return {each.task.name: found[each.task.name] for each in served}


def _forwards(engine: ServingEngine) -> SharedForwards:
    return engine.forwards if isinstance(engine, SharingEngine) else engine


def fill_each(asked: Sequence[NextSteps]) -> list[Vectors]:
    """`Task.fill` of steps of several tasks, those of each at once."""
    places: dict[str, list[int]] = {}
    for place, each in enumerate(asked):
        assert each.task is not None
        places.setdefault(each.task.name, []).append(place)
    found: dict[int, Vectors] = {}
    for own in places.values():
        task = asked[own[0]].task
        assert task is not None
        found |= dict(zip(own, task.fill([asked[place] for place in own]), strict=True))
    return [found[place] for place in range(len(asked))]

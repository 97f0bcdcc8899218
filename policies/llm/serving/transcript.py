"""A session as its decider knows it: the steps so far, and what the model is fed of each.

The same for a session that the server keeps and for one that is decided in the player's own process, so
that both feed the model the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from policies.llm.task import Decided, NextSteps, Task, Vectors


class Transcript:
    """All steps of one session, in order.

    Args:
        target: the return that is asked for, of an adapter that was made with returns.
    """

    def __init__(self, task: Task, context: Any, target: float | None = None) -> None:
        self.task, self.context, self._target = task, context, target
        self.steps: list[Any] = []
        self._past: Any = task.empty

    def features(self, steps: Sequence[Any]) -> Vectors:
        """(len(steps), width) the model's input for steps that follow those of the session."""
        return self.task.fill([self.next(steps)])[0]

    def next(self, steps: Sequence[Any]) -> NextSteps:
        """What the model's input is made of for these steps; the session may not grow until it is."""
        return NextSteps(steps, self._past, self.context, self._target, self.task)

    def append(self, steps: Sequence[Any]) -> None:
        """The model has taken these steps in."""
        for step in steps:
            self._past = self.task.after(self._past, step)
            self.steps.append(step)

    def decide(self, output: Vectors, vector: Vectors) -> Decided:
        """What (head width,) of output after the last step, whose input was (width,), come to."""
        return self.task.answer(output, vector)

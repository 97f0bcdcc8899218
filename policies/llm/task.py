"""What a task is: all that the language model, its server and its training need to know of one.

Video is one, calls, viewports and jobs are others. Model, engine, serving and learning take a `Task` and name
none; each lives in a folder of `tasks/` and is found by its name. A task that a test makes up:

    class Parity(Task):
        name, modalities, head = "parity", (Modality("number", SCALAR, (1,)),), Choice(2)

        def features(self, step, past, context, target=None):
            return np.array([step], np.float32)

        def load_step(self, given, where, index):
            return number(given, where)
"""

from __future__ import annotations

import importlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.llm.head import ABSENT, Choice, Head, Pointer
from policies.llm.modality import Modality, width

Vectors = NDArray[np.float32]
DEFAULT = "ladder"
SHIPPED = {
    DEFAULT: "policies.llm.tasks.ladder.task:TASK",
    "call": "policies.llm.tasks.call.task:TASK",
    "viewport": "policies.llm.tasks.viewport.task:TASK",
    "jobs": "policies.llm.tasks.jobs.task:TASK",
}
"""Name: where the task is; imported when it is asked for."""
UNNAMED = "abr"
"""What folders are of that were made before tasks had names."""
GONE = {"abr": f"it chose among six levels alone; {DEFAULT} plays any ladder: collect and adapt again for it"}
"""Tasks that there were: what became of each, and the way out."""
_MADE: dict[str, Task] = {}


class TaskError(ValueError):
    """No such task, or it can't do what is asked of it; the message names those that there are."""


@dataclass(frozen=True)
class Decided:
    """What an output comes to."""

    value: Any
    margin: float | None
    """How far it was ahead of the second best; None where nothing else could be taken."""


def best_of(logits: Vectors) -> list[Decided]:
    """The best of each row, -inf what may not be taken, with its margin."""
    bests = logits.argmax(axis=1).tolist()
    two = (
        np.partition(logits, -2, axis=1)[:, -2:] if logits.shape[1] > 1 else np.full((len(logits), 2), np.inf)
    )
    margins = (two[:, 1] - two[:, 0]).tolist()
    return [
        Decided(best, margin if math.isfinite(margin) else None)
        for best, margin in zip(bests, margins, strict=True)
    ]


@dataclass(frozen=True)
class NextSteps:
    """Steps of a session that follow those it has, and all that their vectors are made of."""

    steps: Sequence[Any]
    past: Any
    """Of the first of them."""
    context: Any
    target: float | None = None
    task: Task | None = None
    """Whose they are, where steps of several tasks wait together."""


class Task(ABC):
    """One kind of decision.

    A session has a `context`, which holds from its first step to its last, and steps. What a step's vector is
    made of besides the step is `past`: what `after` made of the steps before it. Context, step, past and
    value are the task's own types, frozen and comparable.
    """

    name: str
    modalities: tuple[Modality, ...]
    """What a step's vector holds, in order."""
    head: Head
    shipped: Path | None = None
    """The adapter that is served where none is named."""
    commands: Mapping[str, str] = {}
    """Command of `python -m policies.llm` that is this task's own: the module that has it."""
    options: Mapping[str, str] = {}
    """`module:function` of what adds a command's options, where its own module takes long to import; of the
    others it is their module's `add_parser`."""
    teaches: str = ""
    """`module:name` of what makes a `learning.course.Course` of a pool's facts; empty: none."""
    sampled: str = ""
    """`module:name` of what makes context and steps of some session, given a number: for timing, and for
    trying a server out; empty: none."""
    empty: Any = ()
    """`past` before the first step."""
    prompt: str = ""
    """Words that may stand in front of every session's steps: what is decided, for what goal, in which
    units."""

    # ---- a step ------------------------------------------------------------------------------------

    @abstractmethod
    def features(self, step: Any, past: Any, context: Any, target: float | None = None) -> Vectors:
        """(width,) what the model is fed of a step.

        Args:
            target: the return that is asked for, of an adapter that was made with returns.
        """

    def after(self, past: Any, step: Any) -> Any:
        """`past` of the next step."""
        return past

    def fill(self, asked: Sequence[NextSteps]) -> list[Vectors]:
        """(steps, width) for each session: `features` of all of them at once, within rounding. The same to
        the last bit in any company, and step by step as all at once.

        A server asks for a whole batch, on a thread of its own: a task whose vectors are dear makes them in
        compiled code that lets the others run.
        """
        return [np.stack(list(self.rows(each))) for each in asked]

    def rows(self, asked: NextSteps) -> Iterator[Vectors]:
        """The rows of one session's `fill`, one by one."""
        past = asked.past
        for step in asked.steps:
            yield self.features(step, past, asked.context, asked.target)
            past = self.after(past, step)

    def scores(self, output: Vectors, vector: Vectors) -> Vectors:
        """(options,) what `answer` takes the largest of, of a choice or a pointer; -inf for what may not be
        taken after a step of that input."""
        return np.where(output > ABSENT / 2, output, np.float32(-np.inf))

    def answer(self, output: Vectors, vector: Vectors) -> Decided:
        """What (head width,) of output after a step of that (width,) input come to."""
        return self.head_answer(output)

    def answers(self, outputs: Vectors, vectors: Vectors) -> list[Decided]:
        """`answer` of a batch: (sessions, head width) and (sessions, width)."""
        return [self.answer(output, vector) for output, vector in zip(outputs, vectors, strict=True)]

    def head_answer(self, output: Vectors) -> Decided:
        """The best of a choice with its margin; of other heads the numbers themselves.

        Raises:
            ValueError: a pointer's step without any option.
        """
        if not isinstance(self.head, Choice | Pointer):
            return Decided(tuple(float(number) for number in output), None)
        there = np.sort(output[output > ABSENT / 2])
        if not len(there):
            raise ValueError(f"the task {self.name}: a step without an option to choose")
        margin = float(there[-1] - there[-2]) if len(there) > 1 else math.inf
        return Decided(int(output.argmax()), margin if math.isfinite(margin) else None)

    def ready(self) -> None:  # noqa: B027
        """Do now what would make the first step slow, such as compiling."""

    @property
    def width(self) -> int:
        """Numbers of a step's vector."""
        return width(self.modalities)

    # ---- the wire ----------------------------------------------------------------------------------
    # What JSON cannot hold is `serving.fields.FieldError`, which names the field.

    def load_context(self, given: Any) -> Any:
        """A context from JSON.

        Raises:
            FieldError: it is none.
        """
        return given

    def dump_context(self, context: Any) -> Any:
        """A context as JSON holds it."""
        return context

    @abstractmethod
    def load_step(self, given: Any, where: str, index: int) -> Any:
        """A step from JSON.

        Args:
            where: names it in an error.
            index: of the session's steps, 0 the first.

        Raises:
            FieldError: it is none.
        """

    def dump_step(self, step: Any) -> Any:
        """A step as JSON holds it."""
        return step

    def check(self, steps: Sequence[Any], context: Any) -> None:  # noqa: B027
        """What can only be judged with the context at hand.

        Raises:
            FieldError: a step that does not fit it.
        """

    def load_value(self, given: Any, where: str) -> Any:
        """An answer's value from JSON.

        Raises:
            FieldError: it is none.
        """
        return given

    def dump_value(self, value: Any) -> Any:
        """An answer's value as JSON holds it."""
        return value

    def sample(self, number: int) -> tuple[Any, list[Any]]:
        """Context and steps of some session, the same for the same number.

        Raises:
            TaskError: the task has none to show.
        """
        if not self.sampled:
            raise TaskError(f"the task {self.name} has no sessions to try a server with")
        context, steps = named(self.sampled)(number)
        return context, list(steps)

    # ---- learning ----------------------------------------------------------------------------------

    def course(self, facts: Mapping[str, Any]) -> Any:
        """How an adapter learns this task from a pool, a `learning.course.Course`; None: by imitation alone.

        Args:
            facts: what the pool's manifest says.
        """
        return named(self.teaches)(facts) if self.teaches else None


def named(place: str) -> Any:
    """What stands at `module:name`."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def register(task: Task) -> None:
    """Make a task known by its name, in this process."""
    _MADE[task.name] = task


def names() -> list[str]:
    """All tasks that are known."""
    return sorted({*SHIPPED, *_MADE})


def task_named(name: str) -> Task:
    """The task of a name.

    Raises:
        TaskError: there is none, or not any more.
    """
    if name not in _MADE and name in SHIPPED:
        register(named(SHIPPED[name]))
    if name not in _MADE:
        raise TaskError(f"task {name!r}{gone(name) or '; there are ' + ', '.join(names())}")
    return _MADE[name]


def gone(name: str) -> str:
    """Why there is no task of a name any more, and the way out; empty where there is, or never was."""
    return f": there is none any more, {GONE[name]}" if name in GONE and name not in _MADE else ""

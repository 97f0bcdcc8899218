"""What would have had to be otherwise: the nearest value of one input with which another level is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policies.explain.inputs import INPUTS, StepInput
from policies.explain.occlusion import Telling
from policies.explain.replayed import TaskSteps
from policies.llm.engine.engine import Engine
from policies.llm.task import NextSteps
from policies.llm.tasks.ladder.task import TASK
from policies.llm.tasks.ladder.wire import VideoStep

PROBES = 16
"""Steps that are tried at once."""
HALVINGS = 7
"""Of the distance between a value that changes nothing and the next one tried that does."""


@dataclass(frozen=True)
class OtherValue:
    """An input's nearest value, to one side, with which another option is chosen."""

    given: StepInput
    was: float
    becomes: float
    chosen: int
    """The option then."""

    @property
    def step_share(self) -> float:
        """How far that is, as a share of the larger of the two values: to compare inputs by."""
        return abs(self.becomes - self.was) / max(abs(self.becomes), abs(self.was), 1e-9)


@dataclass
class _Search:
    """One input to one side: `same` chooses as the session did, `other` does not."""

    given: StepInput
    was: float
    same: float
    other: float
    chosen: int


class Probing:
    """Tries other last steps of a session, whose contexts up to there are cached.

    Args:
        engine: with PROBES free slots.
    """

    def __init__(self, engine: Engine, session: TaskSteps) -> None:
        self._engine, self._session = engine, session
        self._probes = [Telling(engine, session, session.steps) for _ in range(PROBES)]

    def at(self, chunk: int) -> list[OtherValue]:
        """For the decision of a chunk, the nearest first; `chunk` may only grow from call to call."""
        told = [each.until(chunk) for each in self._probes]
        self._engine.forward(told)
        step = self._session.steps[chunk]
        chosen = self._chosen(chunk, [step])[0]
        searches = self._crossings(chunk, step, chosen)
        for _ in range(HALVINGS):
            tried = [(each.same + each.other) / 2.0 for each in searches]
            found = self._chosen(
                chunk, [each.given.put(step, value) for each, value in zip(searches, tried, strict=True)]
            )
            for each, value, option in zip(searches, tried, found, strict=True):
                if option == chosen:
                    each.same = value
                else:
                    each.other, each.chosen = value, option
        self._engine.instead([(slot, rows[-1:]) for slot, rows in told])  # the next step follows the true one
        values = [OtherValue(each.given, each.was, each.other, each.chosen) for each in searches]
        return sorted(values, key=lambda each: each.step_share)

    def _crossings(self, chunk: int, step: VideoStep, chosen: int) -> list[_Search]:
        """Each input to each side, where some value that is tried there changes the decision."""
        sides = []
        for given in INPUTS:
            was = given.value(step)
            if was is not None:
                sides += [(given, was, (was, *values)) for values in given.tried(step) if values]
        steps = [given.put(step, value) for given, _, values in sides for value in values[1:]]
        options = iter(self._chosen(chunk, steps))
        found = []
        for given, was, values in sides:
            after = [next(options) for _ in values[1:]]
            first = next((place for place, option in enumerate(after) if option != chosen), None)
            if first is not None:
                found.append(_Search(given, was, values[first], values[first + 1], after[first]))
        return found

    def _chosen(self, chunk: int, steps: Sequence[VideoStep]) -> list[int]:
        """What is chosen where each of these stands in the place of the chunk's own step."""
        if not steps:
            return []
        session, target = self._session, self._engine.info.target
        past = session.pasts[chunk]
        filled = TASK.fill([NextSteps([step], past, session.context, target) for step in steps])
        found: list[int] = []
        for begin in range(0, len(steps), PROBES):
            part = filled[begin : begin + PROBES]
            slots = [probe.slot for probe in self._probes[: len(part)]]
            outputs = self._engine.instead(list(zip(slots, part, strict=True)))
            for output, (vector,) in zip(outputs, part, strict=True):
                found.append(int(TASK.scores(output, vector).argmax()))
        return found

    def close(self) -> None:
        """Give all slots back."""
        for each in self._probes:
            each.close()

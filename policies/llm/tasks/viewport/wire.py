"""A viewer on the wire: what is newly known at each sample of the head, and what is answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from player.viewport.windows import FUTURE
from policies.llm.serving.fields import FieldError, Fields, length, number
from policies.llm.tasks.viewport.vectors import MODALITIES, Vectors
from traces.heads.head import AXES

MOST = 1e3
ANSWERED = FUTURE * AXES


@dataclass(frozen=True, slots=True)
class ViewStep:
    """A sample: the numbers of each of `MODALITIES`, in order and as the model is fed them."""

    head: tuple[float, ...]
    others: tuple[float, ...]
    map: tuple[float, ...]

    @classmethod
    def of(cls, vector: Vectors) -> ViewStep:
        """The step of a (WIDTH,) vector."""
        numbers, parts, begin = vector.tolist(), [], 0
        for each in MODALITIES:
            parts.append(tuple(numbers[begin : begin + each.size]))
            begin += each.size
        return cls(*parts)


def dump_step(step: ViewStep) -> dict[str, Any]:
    """A step as JSON holds it."""
    return {each.name: list(getattr(step, each.name)) for each in MODALITIES}


def load_step(given: object, where: str) -> ViewStep:
    """Raises FieldError: what of it is not as it must be."""
    step = Fields.of(given, where)
    made = ViewStep(
        *(_numbers(step.take(each.name), f"{where}.{each.name}", each.size) for each in MODALITIES)
    )
    step.nothing_else()
    return made


def load_value(given: object, where: str) -> tuple[float, ...]:
    """Raises FieldError: no numbers, or not as many as are answered."""
    return _numbers(given, where, ANSWERED)


def _numbers(given: object, where: str, count: int) -> tuple[float, ...]:
    if not (isinstance(given, list) and len(given) == count):
        raise FieldError(where, f"{length(given)}; expected a list of {count}")
    return tuple(number(each, f"{where}[{place}]", -MOST, MOST) for place, each in enumerate(given))

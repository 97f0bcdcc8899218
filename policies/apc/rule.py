"""A rule of thresholds: the decision is hard where one of a few facts is past its threshold.

Thresholds are a JSON file, one rule for each light policy, which `python -m policies.apc sweep` picks on
validation traces. How far the worst fact is past its threshold is the score. Once a session's decisions go
to the model they do so until the score has fallen below `hold` of the price, so that it doesn't flap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from policies.apc import call_facts, facts
from policies.apc.scheduler import AnyFacts, Routing
from traces.escaping import visible
from traces.safe_reading import BadFileError, read_json, shown
from traces.words import of_a_fault

NAMES = (*facts.NAMES, *call_facts.NAMES)
SHIPPED = Path(__file__).parent / "rule.json"
SWEEP = "python -m policies.apc sweep"
HOLD = 0.8
SCORE_LIMIT = 10.0
"""A fact at ten times its threshold is as hard as it gets."""


BY_SIZE = ("trend",)
"""Facts whose sign doesn't count; where another is below 0, as a slack is, every `below` holds."""


class SchedulerError(ValueError):
    """A scheduler's file that can't be used; the message names it, the fault and the way out."""


@dataclass(frozen=True)
class Condition:
    """A fact past a threshold. One of `above` and `below` is None.

    Raises:
        ValueError: not one of the facts, or not exactly one positive threshold.
    """

    fact: str
    above: float | None = None
    below: float | None = None

    def __post_init__(self) -> None:
        if self.fact not in NAMES:
            raise ValueError(f"no fact {self.fact!r}; there are {', '.join(NAMES)}")
        given = [each for each in (self.above, self.below) if each is not None]
        if len(given) != 1 or not 0.0 < given[0] < math.inf:
            raise ValueError(f"{self.fact}: expected one positive threshold, above or below")

    def score(self, facts: AnyFacts) -> float:
        """1 at the threshold, more beyond it, 0 to `SCORE_LIMIT`; a trend counts by its size."""
        value = counted(self.fact, float(getattr(facts, self.fact)))
        if self.above is not None:
            return min(max(value / self.above, 0.0), SCORE_LIMIT)
        assert self.below is not None
        return self.below / value if value * SCORE_LIMIT > self.below else SCORE_LIMIT

    def __str__(self) -> str:
        return (
            f"{self.fact} below {self.below:g}" if self.above is None else f"{self.fact} above {self.above:g}"
        )


def counted(fact: str, value: Any) -> Any:
    """A fact's value as thresholds compare it; a number or an array."""
    return abs(value) if fact in BY_SIZE else value


@dataclass(frozen=True)
class Thresholds:
    """A rule's conditions; the decision is hard where one of them holds.

    Raises:
        ValueError: no condition, or a hold outside of 0 to 1.
    """

    conditions: tuple[Condition, ...]
    hold: float = HOLD

    def __post_init__(self) -> None:
        if not self.conditions:
            raise ValueError("no condition; take the scheduler `never`")
        if not 0.0 < self.hold <= 1.0:
            raise ValueError(f"hold {self.hold}: must be above 0, and at most 1")

    def to_json(self) -> dict[str, Any]:
        conditions = [
            {name: value for name, value in asdict(each).items() if value is not None}
            for each in self.conditions
        ]
        return {"hold": self.hold, "conditions": conditions}

    @classmethod
    def from_json(cls, held: Mapping[str, Any]) -> Thresholds:
        """Raises KeyError, TypeError or ValueError for what is none."""
        return cls(tuple(Condition(**each) for each in held["conditions"]), float(held["hold"]))


class Rule:
    """Routes by thresholds, with hysteresis."""

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds = thresholds
        self._asking = False

    def reset(self, seed: int) -> None:
        self._asking = False

    def route(self, facts: AnyFacts, price: float = 1.0) -> Routing:
        scores = [each.score(facts) for each in self.thresholds.conditions]
        score = max(scores)
        worst = self.thresholds.conditions[scores.index(score)]
        held = self._asking and score < price
        self._asking = score >= price * (self.thresholds.hold if self._asking else 1.0)
        value = getattr(facts, worst.fact)
        if not self._asking:
            reason = f"easy: {worst.fact} {value:.2f}"
        else:
            reason = f"{'still hard' if held else 'hard'}: {worst.fact} {value:.2f}"
        return Routing(self._asking, reason, score)

    def heard(self, delay_ms: float) -> None:
        """Thresholds know no time."""


def read_rule(light: str, path: Path = SHIPPED, makes: str = SWEEP) -> Thresholds:
    """The thresholds beside a light policy.

    Args:
        makes: the command that makes them.

    Raises:
        SchedulerError: no such file, none for this policy, or something else in it.
    """
    try:
        rules = read_json(path)["rules"]
        if not isinstance(rules, dict):
            raise TypeError(f"rules is {shown(rules)}")
        if light in rules:
            return Thresholds.from_json(rules[light])
        known: Sequence[str] = sorted(map(visible, rules))
    except OSError as error:
        raise SchedulerError(f"{path}: {error.strerror}; make one with: {makes}") from None
    except BadFileError as error:
        raise SchedulerError(f"{error}; no thresholds") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SchedulerError(f"{path}: no thresholds: {of_a_fault(error)}") from None
    raise SchedulerError(
        f"{path}: no thresholds beside the light policy {light}; it has {', '.join(known)}; make them with:"
        f" {makes} --light {light}"
    )

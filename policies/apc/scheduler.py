"""What a scheduler is: it looks at the facts and says who decides, why, and what that may gain.

A scheduler gives each decision a *score*: how much there is to gain by asking the language model, in
units in which 1 is what its file holds worth asking for. Whoever asks it names a *price*, 1 unless the
model is short (`dynamic.py`); the model is asked where the score reaches the price.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Protocol

from policies.apc.call_facts import CallFacts
from policies.apc.facts import Facts

AnyFacts = Facts | CallFacts
"""Of a video's chunk, or of a call's rate."""


@dataclass(frozen=True, slots=True)
class Routing:
    """Who is to decide a chunk, or a rate."""

    to_llm: bool
    reason: str
    gain: float
    """The score."""


class Scheduler(Protocol):
    """Routes the decisions of one session."""

    def reset(self, seed: int) -> None:
        """A new session."""

    def route(self, facts: AnyFacts, price: float = 1.0) -> Routing:
        """Who decides the next one. A `price` above 1 has fewer asked of the model."""

    def heard(self, delay_ms: float) -> None:
        """The model was asked, and this is how long it took."""


class Always:
    """The language model decides whatever it can: NetLLM with a light policy behind it."""

    def reset(self, seed: int) -> None:
        """Nothing to forget."""

    def route(self, facts: AnyFacts, price: float = 1.0) -> Routing:
        return Routing(True, "always", 1.0)

    def heard(self, delay_ms: float) -> None:
        """It is asked whatever it takes."""


class Never:
    """The light policy alone."""

    def reset(self, seed: int) -> None:
        """Nothing to forget."""

    def route(self, facts: AnyFacts, price: float = 1.0) -> Routing:
        return Routing(False, "never", 0.0)

    def heard(self, delay_ms: float) -> None:
        """Nobody asks it."""


class RandomShare:
    """The control: a given share of decisions, drawn without a look at them.

    Args:
        share: of decisions that go to the language model, 0 to 1.

    Raises:
        ValueError: another share.
    """

    def __init__(self, share: float) -> None:
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"share {share}: must be 0 to 1")
        self._share = share
        self._random = random.Random(0)

    def reset(self, seed: int) -> None:
        self._random = random.Random(seed)

    def route(self, facts: AnyFacts, price: float = 1.0) -> Routing:
        drawn = self._random.random() < self._share / price
        return Routing(drawn, f"drawn with a share of {self._share:g}", 1.0 if drawn else 0.0)

    def heard(self, delay_ms: float) -> None:
        """The share stays."""

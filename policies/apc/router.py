"""Light policy and scheduler side by side: for every chunk the light decision, and who is to decide."""

from __future__ import annotations

from dataclasses import dataclass

from player.observation import Observation
from player.qoe import QoE
from player.video.video import Video
from policies.apc import facts
from policies.apc.dynamic import Price
from policies.apc.light import Light, LightDecision
from policies.apc.scheduler import Routing, Scheduler
from policies.view.asked import Asked

NOTHING_KNOWN = Routing(False, "easy: nothing known of the link yet", 0.0)


@dataclass(frozen=True, slots=True)
class Considered:
    """What is known of a decision before the model is asked."""

    light: LightDecision
    """The level that it will be unless the model decides."""
    routing: Routing
    facts: facts.Facts | None
    """None before the first chunk is in."""


class Router:
    """One session's.

    Args:
        light: decides what is easy, and whatever the model doesn't.
        scheduler: says what is hard.
        price: moves with the measured delay; None for static thresholds.
    """

    def __init__(self, light: Light, scheduler: Scheduler, price: Price | None = None) -> None:
        self.light, self._scheduler, self._price = light, scheduler, price

    @property
    def price(self) -> float:
        """What a score has to reach now."""
        return self._price.value if self._price is not None else 1.0

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        """A new session. The price stays: it is the machine's, not the session's.

        Raises:
            ValueError: the light policy can't stream this video, or `hd` does not know its ladder.
        """
        self.light.reset(video, seed, qoe)
        self._scheduler.reset(seed)
        self._asked = Asked.of(video, qoe)

    def consider(self, observation: Observation) -> Considered:
        """The light decision and the routing; what the light policy raises passes on."""
        light = self.light.decide(observation)
        if not observation.history:
            return Considered(light, NOTHING_KNOWN, None)
        seen = facts.of(observation, self._asked, light.level, light.lead)
        return Considered(light, self._scheduler.route(seen, self.price), seen)

    def decided(self, asked: bool, by_llm: bool, took_ms: float) -> None:
        """A decision was made.

        Args:
            asked: the model was.
            by_llm: and it did decide.
            took_ms: from the observation to the level.
        """
        if asked and by_llm:
            self._scheduler.heard(took_ms)
        if self._price is not None:
            self._price.decided(took_ms, refused=asked and not by_llm)

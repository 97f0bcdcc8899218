"""`apc` for calls: a rule sets the rate at each feedback, the language model where it is hard, every 200 ms.

Importing this module, and making the policy, loads no model.
"""

from __future__ import annotations

import copy
import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from player.call.observation import CallObservation
from player.call.policy import BY_GUARD, CallPolicy, Rate
from player.call.settings import CallSettings
from player.policy import ServerCommand
from player.registry import CALL, PolicyError, load_policy, policy_file
from policies.apc.call_facts import CallFacts, facts_of, window_of
from policies.apc.dynamic import Price
from policies.apc.learned import file_sha256
from policies.apc.names import BUDGET_MS, LIGHT_OF_CALLS, RESERVE_MS
from policies.apc.policy import BY_LIGHT
from policies.apc.rule import Rule as Thresholded
from policies.apc.rule import read_rule
from policies.apc.scheduler import Always, Never, RandomShare, Routing, Scheduler
from policies.call.gcc import GCC
from policies.call.rule import Rule
from policies.llm.serving.conversation import ServerError
from policies.llm.serving.protocol import BY_LLM
from policies.llm.tasks.call.names import SCALE
from policies.llm.tasks.call.policy import NetLLM
from policies.llm.tasks.decider import AUTO

SHIPPED = Path(__file__).parent / "rule.json"
TRAIN = "python -m policies.apc.calls train --write"
SCHEDULERS = ("rule", "random", "always", "never")


@dataclass(frozen=True, slots=True)
class Considered:
    """What is known at a feedback before the model is asked."""

    light: Rate
    guard_kbps: float
    """GCC's rate where it sees the queue grow; infinite where it does not."""
    routing: Routing | None
    """None between decisions: nobody is asked."""


class APC:
    """Adaptive policy collaboration (Trailblazer, arXiv 2512.11839).

    The light policy is asked at every feedback and decides what is easy; what is hard the model decides, at
    most every 200 ms. Its rate holds until the next decision, but GCC's overuse may cut it.

    Args:
        light: a registered rule of calls, without options.
        scheduler: rule, random, always or never.
        share: of decisions that `random` gives to the model.
        dynamic: raise the thresholds while the measured delay of a server is over its target.
        budget_ms: of one decision.
        thresholds: a file of the rule's; empty for ours.
        scale: the model's rate is multiplied by this.
        server, adapter, device, dtype: as of `netllm`.

    Raises:
        ValueError: an unknown scheduler, a budget that is not positive, no such file, adapter or policy.
    """

    every_feedback = True

    def __init__(
        self,
        light: str = LIGHT_OF_CALLS,
        scheduler: str = "rule",
        share: float = 0.5,
        dynamic: bool = True,
        budget_ms: float = BUDGET_MS,
        thresholds: str = "",
        scale: float = SCALE,
        server: str = AUTO,
        adapter: str = "",
        device: str = AUTO,
        dtype: str = AUTO,
    ) -> None:
        if not (math.isfinite(budget_ms) and budget_ms > 0):
            raise ValueError(f"budget_ms {budget_ms}: must be positive")
        asked_ms = budget_ms - min(RESERVE_MS, budget_ms / 10.0)
        self._llm = NetLLM(server, asked_ms, adapter, scale, device, dtype)
        self._light_name = light
        self._light = light_rule(light)
        self.may_probe = self._light.may_probe
        file = Path(thresholds) if thresholds else SHIPPED
        self._scheduler = make_scheduler(scheduler, light, share, file)
        self._price = Price(budget_ms) if dynamic else None
        self.weights_sha256 = self._llm.weights_sha256
        if scheduler == "rule":  # of everything that was learned
            whole = self.weights_sha256 + file_sha256(file)
            self.weights_sha256 = hashlib.sha256(whole.encode()).hexdigest()

    @property
    def arithmetic(self) -> str | None:
        """As `netllm`'s."""
        return self._llm.arithmetic

    def server(self) -> ServerCommand | None:
        """The same server as `netllm`'s."""
        return self._llm.server()

    def reach(self) -> None:
        """Raises ValueError where a server was named and doesn't answer, or has another adapter."""
        self._llm.reach()

    def another(self) -> APC:
        """One more, without reading adapter and thresholds again."""
        made = copy.copy(self)
        made._llm, made._light = self._llm.another(), light_rule(self._light_name)
        made._scheduler = copy.deepcopy(self._scheduler)
        return made

    def routed_by(self, scheduler: Scheduler) -> APC:
        """One more, by another scheduler, which may be used again."""
        made = self.another()
        made._scheduler = copy.deepcopy(scheduler)
        return made

    def together(self) -> int:
        """As `netllm`'s."""
        return self._llm.together()

    def ready_together(self) -> int:
        """As `netllm`'s."""
        return self._llm.ready_together()

    def reset(self, call: CallSettings, seed: int, qoe: Any) -> None:
        """A new call; see `NetLLM.reset`."""
        self._llm.reset(call, seed, qoe)
        self._light.reset(call, seed, qoe)
        self._gcc = self._light if isinstance(self._light, GCC) else GCC(probe=False)
        if self._gcc is not self._light:
            self._gcc.reset(call, seed, qoe)
        self._scheduler.reset(seed)
        self._every, self._max_kbps = call.intervals_a_decision, call.max_kbps
        self._heard = 0
        self._holds: Rate | None = None

    def decide(self, observation: CallObservation) -> Rate:
        """The rate from now on."""
        begun_s = time.monotonic()
        considered = self.consider(observation)
        if considered.routing is None or not considered.routing.to_llm:
            return self.without_model(considered)
        try:
            rate = self.by_model(considered, self._llm.decide(observation))
        except ServerError as error:
            rate = self.instead_of_model(considered, str(error))
        self._took(1000.0 * (time.monotonic() - begun_s), rate)
        return rate

    def decide_together(self, asked: Sequence[tuple[CallPolicy, CallObservation]]) -> Sequence[object]:
        """See `player.call.policy.DecidesRatesTogether`; the model's forward is one for all that ask it."""
        answers: list[object] = [None] * len(asked)
        hard: list[tuple[int, APC, Considered, CallObservation]] = []
        for place, (policy, observation) in enumerate(asked):
            assert isinstance(policy, APC)
            try:
                considered = policy.consider(observation)
            except Exception as error:
                answers[place] = error
                continue
            if considered.routing is not None and considered.routing.to_llm:
                hard.append((place, policy, considered, observation))
            else:
                answers[place] = policy.without_model(considered)
        if hard:
            questions = [(policy._llm, observation) for _, policy, _, observation in hard]
            rates = hard[0][1]._llm.decide_together(questions)
            for (place, policy, considered, _), rate in zip(hard, rates, strict=True):
                answers[place] = policy.by_model(considered, rate) if isinstance(rate, Rate) else rate
        return answers

    def consider(self, observation: CallObservation) -> Considered:
        """The light policy's rate, and at a decision who is to make it; the model is told of decisions that
        it doesn't make with the next that it does."""
        light = self._light.decide(observation)
        rate = light if self._gcc is self._light else self._gcc.decide(observation)
        guard_kbps = rate.kbps if self._gcc.overusing else math.inf
        self._heard += 1
        if self._heard % self._every:
            return Considered(light, guard_kbps, None)
        routing = self._scheduler.route(self._facts(observation, light.kbps), self._price_now)
        if not routing.to_llm:
            self._llm.note(observation)
        return Considered(light, guard_kbps, routing)

    def without_model(self, considered: Considered) -> Rate:
        """Nobody asks the model now: the light policy's rate, or the model's last one, which holds."""
        if considered.routing is not None:
            self._holds = None
            self._decided(0.0)
            return by_light(considered)
        if self._holds is None:
            return by_light(considered)
        if considered.guard_kbps < self._holds.kbps:
            self._holds = Rate(considered.guard_kbps, BY_GUARD, "GCC sees the queue grow")
        return self._holds

    def by_model(self, considered: Considered, rate: Rate) -> Rate:
        """The model has answered."""
        assert considered.routing is not None
        self._holds = Rate(rate.kbps, rate.by, f"{considered.routing.reason}; {rate.reason}")
        return self._holds

    def instead_of_model(self, considered: Considered, fault: str) -> Rate:
        """The model was asked, and did not answer."""
        self._holds = None
        return by_light(considered, fault)

    @property
    def _price_now(self) -> float:
        return self._price.value if self._price is not None else 1.0

    def _facts(self, observation: CallObservation, light_kbps: float) -> CallFacts:
        window, overuse = window_of(observation), np.array([self._gcc.overuse])
        found = facts_of(window, overuse, np.array([light_kbps]), self._max_kbps)
        return CallFacts(*found[0].tolist())

    def _took(self, took_ms: float, rate: Rate) -> None:
        """The model was asked. In a simulation nobody waits, and decisions are to be the same anywhere."""
        if not self._llm.remote:
            return
        if rate.by == BY_LLM:
            self._scheduler.heard(took_ms)
        self._decided(took_ms, refused=rate.by != BY_LLM)

    def _decided(self, took_ms: float, refused: bool = False) -> None:
        if self._price is not None and self._llm.remote:
            self._price.decided(took_ms, refused)


def by_light(considered: Considered, fault: str = "") -> Rate:
    """The light policy's rate.

    Args:
        fault: why the model did not make it; empty where it was not asked.
    """
    said = "" if considered.routing is None else considered.routing.reason
    reason = f"{said}; but {fault}" if fault else said
    return Rate(considered.light.kbps, BY_LIGHT, reason, considered.light.probe_kbps)


def light_rule(name: str) -> Rule:
    """A registered rule in the role of the light policy.

    Raises:
        PolicyError: no such policy, a file's, or one that is no rule.
    """
    if policy_file(name) is not None:
        raise PolicyError(f"light policy {name}: it lies in a file; the light policy is an installed one")
    found = load_policy(name, kind=CALL).policy
    if not isinstance(found, Rule):
        raise PolicyError(f"light policy {name}: no rule that acts on every feedback; take gcc or small")
    return found


def make_scheduler(kind: str, light: str, share: float, file: Path) -> Scheduler:
    """A scheduler by its name.

    Raises:
        ValueError: an unknown name, a share out of range, a file that can't be used.
    """
    if kind == "rule":
        return Thresholded(read_rule(light, file, TRAIN))
    if kind == "random":
        return RandomShare(share)
    if kind in ("always", "never"):
        return Always() if kind == "always" else Never()
    raise ValueError(f"scheduler {kind!r}; there are {', '.join(SCHEDULERS)}")

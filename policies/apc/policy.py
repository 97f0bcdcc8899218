"""`apc`: a light policy for the easy decisions, the adapted language model for the hard ones.

Importing this module, and making the policy, loads no model.
"""

from __future__ import annotations

import hashlib
import math
import time
from pathlib import Path

from player.observation import Observation
from player.policy import Decision, ServerCommand
from player.qoe import QoE
from player.video.video import Video
from policies.apc import learned, rule
from policies.apc.dynamic import Price
from policies.apc.light import Light, light_for
from policies.apc.names import BUDGET_MS, RESERVE_MS, TRAINED
from policies.apc.router import Considered, Router
from policies.apc.scheduler import Always, Never, RandomShare, Scheduler
from policies.llm.serving.conversation import ServerError
from policies.llm.serving.protocol import BY_LLM
from policies.llm.tasks.ladder.policy import AUTO, NetLLM

BY_LIGHT = "light"
BY_LADDER = "auto"
SCHEDULERS = ("rule", "learned", "random", "always", "never")


class APC:
    """Adaptive policy collaboration (Trailblazer, arXiv 2512.11839).

    Args:
        light: a registered policy, without options; decides what is easy, and at once what the model
            has not decided within the budget. `auto` takes one for the video's ladder (`light.py`).
        scheduler: rule, learned, random, always or never.
        share: of decisions that `random` gives to the model.
        dynamic: raise the thresholds while the measured delay of a server is over its target.
        budget_ms: of one decision.
        thresholds: a file of the scheduler's that `python -m policies.apc` made; empty for ours.
        server, adapter, device, dtype: as of `netllm`.

    Raises:
        ValueError: an unknown scheduler, a budget that is not positive, no such file, adapter or policy.
    """

    def __init__(
        self,
        light: str = BY_LADDER,
        scheduler: str = "rule",
        share: float = 0.5,
        dynamic: bool = True,
        budget_ms: float = BUDGET_MS,
        thresholds: str = "",
        server: str = AUTO,
        adapter: str = "",
        device: str = AUTO,
        dtype: str = AUTO,
    ) -> None:
        if not (math.isfinite(budget_ms) and budget_ms > 0):
            raise ValueError(f"budget_ms {budget_ms}: must be positive")
        asked_ms = budget_ms - min(RESERVE_MS, budget_ms / 10.0)
        self._llm = NetLLM(server, asked_ms, adapter, device, dtype)
        self._light, self._scheduler, self._share = light, scheduler, share
        self._thresholds = Path(thresholds) if thresholds else None
        self._price = Price(budget_ms) if dynamic else None
        self._routers: dict[str, Router] = {}
        self._router = self._with(TRAINED if light == BY_LADDER else light)
        self.weights_sha256 = _digest(self._llm.weights_sha256, scheduler, thresholds)

    @property
    def arithmetic(self) -> str | None:
        """As `netllm`'s."""
        return self._llm.arithmetic

    def server(self) -> ServerCommand | None:
        """The same server as `netllm`'s."""
        return self._llm.server()

    def check(self, video: Video, qoe: QoE) -> None:
        """Raises ValueError for a video that one of the two can't stream."""
        self._llm.check(video, qoe)
        self._of(video).reset(video, 0, qoe)

    def reach(self) -> None:
        """Raises ValueError where a server was named and doesn't answer, or has another adapter."""
        self._llm.reach()

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        """A new session; see `NetLLM.reset`."""
        self._llm.reset(video, seed, qoe)
        self._router = self._of(video)
        self._router.reset(video, seed, qoe)

    def select(self, observation: Observation) -> Decision:
        begun_s = time.monotonic()
        considered = self._router.consider(observation)
        decision = self._ask(observation, considered) if considered.routing.to_llm else None
        if decision is None:
            self._llm.note(observation)
            decision = by_light(considered)
        took_ms = 1000.0 * (time.monotonic() - begun_s)
        if self._llm.remote:  # in a simulation nobody waits, and its decisions are to be the same anywhere
            self._router.decided(considered.routing.to_llm, decision.by == BY_LLM, took_ms)
        return decision

    def ended(self, observation: Observation) -> None:
        """Tell a light policy that wants to know."""
        self._router.light.ended(observation)

    def _of(self, video: Video) -> Router:
        return self._with(light_for(video) if self._light == BY_LADDER else self._light)

    def _with(self, light: str) -> Router:
        if light not in self._routers:
            behind = Light(light)  # before its thresholds: a name that is none is said to be none
            made = make_scheduler(self._scheduler, light, self._share, self._thresholds)
            self._routers[light] = Router(behind, made, self._price)
        return self._routers[light]

    def _ask(self, observation: Observation, considered: Considered) -> Decision:
        try:
            answer = self._llm.select(observation)
        except ServerError as error:
            return by_light(considered, str(error))
        return Decision(answer.level, answer.by, f"{considered.routing.reason}; {answer.reason}")


def by_light(considered: Considered, fault: str = "") -> Decision:
    """The light policy's decision.

    Args:
        fault: why the model did not make it; empty where it was not asked.
    """
    kept = f"{considered.routing.reason}; but {fault}" if fault else considered.routing.reason
    said = f"; {considered.light.reason}" if considered.light.reason else ""
    return Decision(considered.light.level, BY_LIGHT, kept + said)


def make_scheduler(kind: str, light: str, share: float, file: Path | None) -> Scheduler:
    """A scheduler by its name.

    Args:
        file: of its thresholds; None for ours.

    Raises:
        ValueError: an unknown name, a share out of range, a file that can't be used.
    """
    if kind == "rule":
        return rule.Rule(rule.read_rule(light, file or rule.SHIPPED))
    if kind == "learned":
        return learned.Learned(learned.read_net(light, file or learned.SHIPPED))
    if kind == "random":
        return RandomShare(share)
    if kind in ("always", "never"):
        return Always() if kind == "always" else Never()
    raise ValueError(f"scheduler {kind!r}; there are {', '.join(SCHEDULERS)}")


def _digest(adapter_sha256: str, kind: str, thresholds: str) -> str:
    """Of everything that was learned: the adapter, and the scheduler's file."""
    shipped = {"rule": rule.SHIPPED, "learned": learned.SHIPPED}
    file = Path(thresholds) if thresholds else shipped.get(kind)
    if file is None:
        return adapter_sha256
    return hashlib.sha256((adapter_sha256 + learned.file_sha256(file)).encode()).hexdigest()

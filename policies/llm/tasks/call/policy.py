"""`netllm` for calls: the adapted language model sets the rate, asked of a server or of this process."""

from __future__ import annotations

import copy
import math
from typing import Any

from player.call.observation import CallObservation
from player.call.policy import Rate
from player.call.settings import CallSettings
from player.policy import ServerCommand
from policies.llm.tasks.call.decider import AUTO, DecidedSession, Decider
from policies.llm.tasks.call.task import TASK
from policies.llm.tasks.call.wire import CallStep

DEADLINE_MS = 100.0
"""Half of the time between two questions; a later answer is GCC's rate."""
LONGEST, OVERLAP = 2048, 64
"""Steps of one session with the model: a longer call goes on with its last steps as a new one."""


class NetLLM:
    """Asks the adapted language model for the rate, every 200 ms.

    Args:
        server: `auto` takes the server that a run started, else one that listens at the default place with
            the same adapter, else the model in this process; `none` always that; else a socket's path or
            http://HOST:PORT, with the token in $STREAMBED_LLM_TOKEN.
        deadline_ms: of a server's answer; GCC's rate holds where it is later.
        adapter: a folder that `python -m policies.llm adapt --task call` made; empty for the shipped one.
        scale: the model's rate is multiplied by this: less of it for less stall.
        device: of the model in this process: auto, cpu or cuda.
        dtype: what it is computed in: auto, float32, bfloat16 or int8.

    Raises:
        ValueError: no such adapter or dtype, no address, a deadline or a scale that is none.
    """

    def __init__(
        self,
        server: str = AUTO,
        deadline_ms: float = DEADLINE_MS,
        adapter: str = "",
        scale: float = 1.0,
        device: str = AUTO,
        dtype: str = AUTO,
    ) -> None:
        if not (math.isfinite(scale) and scale > 0):
            raise ValueError(f"scale {scale:g}; must be over 0")
        self._scale = scale
        self._decider = Decider(TASK, server, deadline_ms, adapter, device, dtype)
        self.weights_sha256 = self._decider.weights_sha256
        self._session: DecidedSession | None = None

    def server(self) -> ServerCommand | None:
        """What a run has to start; None where the user said who decides."""
        return self._decider.command()

    def reach(self) -> None:
        """Raises ValueError where a server was named and doesn't answer, or has another adapter."""
        self._decider.reach()

    def another(self) -> NetLLM:
        """One more, without reading the adapter again."""
        made = copy.copy(self)
        made._session = None
        return made

    def reset(self, call: CallSettings, seed: int, qoe: Any) -> None:
        """A new call; where the model is in this process, it is loaded now.

        Raises:
            ValueError: it can't be loaded, or a server has another adapter.
        """
        if self._session is not None:
            self._session.end()
        self._context = TASK.context_of(call)
        self._steps: list[CallStep] = []
        self._session = self._decider.begin(self._context)

    def decide(self, observation: CallObservation) -> Rate:
        """Ask for the rate from now on.

        Raises:
            ServerError: the server has not answered by the deadline.
        """
        assert self._session is not None, "reset first"
        if len(self._steps) >= LONGEST:
            self._session.end()
            del self._steps[:-OVERLAP]
            self._session = self._decider.begin(self._context)
        self._steps.append(CallStep.of(observation))
        answer = self._session.decide(self._steps)
        reason = f"spread {answer.value.spread:.2f}; batch {answer.batch}, {answer.server_ms:.1f} ms"
        return Rate(answer.value.kbps * self._scale, answer.by, reason)

"""`netllm` for calls: the adapted language model sets the rate, asked of a server or of this process."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from player.call.observation import CallObservation
from player.call.policy import CallPolicy, Rate
from player.call.settings import CallSettings
from policies.llm.serving.protocol import Answer
from policies.llm.tasks.asking import Asking
from policies.llm.tasks.call.names import SCALE
from policies.llm.tasks.call.task import TASK
from policies.llm.tasks.call.wire import CallStep
from policies.llm.tasks.decider import AUTO, DecidedSession, Decider

DEADLINE_MS = 100.0
"""Half of the time between two questions; a later answer is GCC's rate."""
LONGEST, OVERLAP = 2048, 64
"""Steps of one session with the model: a longer call goes on with its last steps as a new one."""


class NetLLM(Asking):
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
        scale: float = SCALE,
        device: str = AUTO,
        dtype: str = AUTO,
    ) -> None:
        if not (math.isfinite(scale) and scale > 0):
            raise ValueError(f"scale {scale:g}; must be over 0")
        self._scale = scale
        super().__init__(Decider(TASK, server, deadline_ms, adapter, device, dtype))

    def reset(self, call: CallSettings, seed: int, qoe: Any) -> None:
        """A new call; where the model is in this process, it is loaded now.

        Raises:
            ValueError: it can't be loaded, or a server has another adapter.
        """
        self._context = TASK.context_of(call)
        self._steps: list[CallStep] = []
        self._begin(self._context)

    def decide(self, observation: CallObservation) -> Rate:
        """Ask for the rate from now on.

        Raises:
            ServerError: the server has not answered by the deadline.
            ValueError: it was down at `reset`, and has another adapter.
        """
        return self._rate(self._told(observation).decide(self._steps))

    def note(self, observation: CallObservation) -> None:
        """Somebody else decides now; the model is told of it with the next question."""
        self._told(observation)

    def decide_together(self, asked: Sequence[tuple[CallPolicy, CallObservation]]) -> Sequence[object]:
        """See `player.call.policy.DecidesRatesTogether`."""
        policies, questions = [], []
        for policy, observation in asked:
            assert isinstance(policy, NetLLM)
            policies.append(policy)
            questions.append((policy._told(observation), policy._steps))
        answers = DecidedSession.decide_together(questions)
        return [
            answer if isinstance(answer, Exception) else policy._rate(answer)
            for policy, answer in zip(policies, answers, strict=True)
        ]

    def _told(self, observation: CallObservation) -> DecidedSession:
        """The session to ask, once the observation is the last of its steps."""
        if len(self._steps) >= LONGEST:
            del self._steps[:-OVERLAP]
            self._begin(self._context)
        assert self._session is not None, "reset first"
        self._steps.append(CallStep.of(observation))
        return self._session

    def _rate(self, answer: Answer) -> Rate:
        """An answer as the player hears it."""
        reason = f"spread {answer.value.spread:.2f}; batch {answer.batch}, {answer.server_ms:.1f} ms"
        return Rate(answer.value.kbps * self._scale, answer.by, reason)

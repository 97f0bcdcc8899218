"""`netllm` for viewports: the adapted language model predicts, asked of a server or of this process."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from player.viewport.windows import Floats, ViewportObservation
from policies.llm.serving.protocol import Answer
from policies.llm.tasks.asking import Asking
from policies.llm.tasks.decider import AUTO, DecidedSession, Decider
from policies.llm.tasks.viewport.task import TASK
from policies.llm.tasks.viewport.vectors import vectors_of
from policies.llm.tasks.viewport.wire import ViewStep
from policies.viewport.features import from_residual

DEADLINE_MS = 150.0
"""Of a server's answer: samples come every 200 ms."""


class NetLLM(Asking):
    """Asks the adapted language model where a viewer will look.

    Args:
        server: `auto` takes the server that a run started, else one that listens at the default place with
            the same adapter, else the model in this process; `none` always that; else a socket's path or
            http://HOST:PORT, with the token in $STREAMBED_LLM_TOKEN.
        deadline_ms: of a server's answer.
        adapter: a folder that `python -m policies.llm adapt --task viewport` made; empty for the shipped one.
        device: of the model in this process: auto, cpu or cuda.
        dtype: what it is computed in: auto, float32, bfloat16 or int8.

    Raises:
        ValueError: no such adapter or dtype, no address, a deadline that is none.
    """

    def __init__(
        self,
        server: str = AUTO,
        deadline_ms: float = DEADLINE_MS,
        adapter: str = "",
        device: str = AUTO,
        dtype: str = AUTO,
    ) -> None:
        super().__init__(Decider(TASK, server, deadline_ms, adapter, device, dtype))

    def reset(self, seed: int) -> None:
        """Nothing is kept from viewer to viewer."""

    def predict(self, seen: ViewportObservation) -> Floats:
        """(n, FUTURE, 3) degrees.

        Raises:
            ServerError: a server has not answered by the deadline.
            ValueError: the model can't be loaded, or a server has another adapter.
        """
        steps = [[ViewStep.of(sample) for sample in moment] for moment in vectors_of(seen)]
        most = self.ready_together() if self.together() > 1 else 1
        answers = [
            answer
            for begin in range(0, len(steps), most)
            for answer in self._asked(steps[begin : begin + most])
        ]
        return from_residual(seen, np.array([answer.value for answer in answers]))

    def _asked(self, moments: Sequence[Sequence[ViewStep]]) -> list[Answer]:
        """The answers after the last step of each; each is a session of its own."""
        sessions = [self._decider.begin({}) for _ in moments]
        try:
            if len(sessions) == 1:
                return [sessions[0].decide(moments[0])]
            found: list[Answer] = []
            for answer in DecidedSession.decide_together(list(zip(sessions, moments, strict=True))):
                if isinstance(answer, Exception):
                    raise answer
                found.append(answer)
            return found
        finally:
            self._session = sessions[-1] if sessions else self._session
            for session in sessions:
                session.end()

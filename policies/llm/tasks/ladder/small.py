"""`small`: the same encoder, training and server as `netllm`, on a 2-layer transformer that knew nothing.

The control that did as well as the language model (`weights/card.md`), with a tenth of the weights.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from player.policy import BY_POLICY, Decision
from policies.llm.serving.protocol import Answer
from policies.llm.tasks.ladder.policy import AUTO, DEADLINE_MS, NetLLM

WEIGHTS = Path(__file__).resolve().parent / "weights_small"


class Small(NetLLM):
    """Asks the small transformer for every chunk.

    Args:
        server, deadline_ms, device, dtype: as of `netllm`.
    """

    def __init__(
        self,
        server: str = AUTO,
        deadline_ms: float = DEADLINE_MS,
        device: str = AUTO,
        dtype: str = AUTO,
    ) -> None:
        super().__init__(server, deadline_ms, str(WEIGHTS), device, dtype)

    def decision(self, answer: Answer) -> Decision:
        """As `netllm`'s; no language model decides, so the record does not say `llm`."""
        return replace(super().decision(answer), by=BY_POLICY)

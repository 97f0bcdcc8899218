"""An adapter as the policy of many simulated sessions at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from player.registry import load_policy
from player.simulated.batch.sessions import Sessions
from policies.llm.engine.engine import Engine
from policies.llm.tasks.ladder.play import BATCH, STEPS, LadderEngine
from policies.llm.tasks.ladder.policy import NetLLM
from policies.llm.tasks.ladder.small import Small
from policies.llm.tasks.ladder.task import TASK


@dataclass(frozen=True)
class BatchModel:
    """An engine, with slots for `BATCH` sessions where nothing else is said."""

    engine: Engine

    @classmethod
    def of(
        cls, adapter: Path | None, threads: int = 1, device: str = "auto", dtype: str = "auto"
    ) -> BatchModel:
        """Load an adapter.

        Args:
            adapter: its folder; None for the shipped one of `netllm`.

        Raises:
            AdapterError, BaseError, ValueError: it can't be loaded.
        """
        return cls(
            Engine(TASK, adapter, device=device, slots=BATCH, max_steps=STEPS, threads=threads, dtype=dtype)
        )

    def over(self, sessions: Sessions) -> LadderEngine:
        """The policy of a batch of sessions at their beginning; to be closed at its end."""
        return LadderEngine(sessions, self.engine)


def model_of(spec: str, threads: int = 1) -> BatchModel | None:
    """The model behind a policy, as `player.registry` reads it; None where no adapter decides.

    Raises:
        PolicyError: no such policy.
        AdapterError, BaseError, ValueError: its adapter can't be loaded.
    """
    policy = load_policy(spec).policy
    if not isinstance(policy, NetLLM):
        return None
    device = "cpu" if isinstance(policy, Small) else "auto"  # faster there than the way to a GPU
    return BatchModel.of(policy.adapter, threads, device)

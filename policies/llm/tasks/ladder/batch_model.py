"""An adapter as the policy of many simulated sessions at once, whichever task of bitrates it was made for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from player.registry import load_policy
from player.simulated.batch.sessions import Sessions
from policies.llm.engine.engine import Engine
from policies.llm.tasks.abr.play import BATCH, BatchEngine
from policies.llm.tasks.abr.policy import ANY_LADDER, NetLLM, task_of
from policies.llm.tasks.abr.small import Small
from policies.llm.tasks.ladder.play import STEPS, LadderEngine


@dataclass(frozen=True)
class BatchModel:
    """An engine with slots for `BATCH` sessions."""

    engine: Engine

    @classmethod
    def of(cls, adapter: Path | None, threads: int = 1, device: str = "auto") -> BatchModel:
        """Load an adapter.

        Args:
            adapter: its folder; None for the shipped one of `netllm`.

        Raises:
            AdapterError, BaseError, ValueError: it can't be loaded.
        """
        task = task_of(adapter)
        return cls(Engine(task, adapter, device=device, slots=BATCH, max_steps=STEPS, threads=threads))

    @property
    def any_ladder(self) -> bool:
        """Whether it plays what any ladder, chunk length, cap and weights ask for."""
        return self.engine.info.task == ANY_LADDER

    def over(self, sessions: Sessions) -> BatchEngine | LadderEngine:
        """The policy of a batch of sessions at their beginning; to be closed at its end."""
        if self.any_ladder:
            return LadderEngine(sessions, self.engine)
        return BatchEngine(sessions, self.engine, self.engine.info.target)


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

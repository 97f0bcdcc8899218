"""Decisions without a server: the engine in this process, loaded once and shared by its sessions."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from policies.llm.engine.contract import ServingEngine
from policies.llm.serving.protocol import BY_LLM, Answer
from policies.llm.serving.transcript import Transcript
from policies.llm.task import Task, task_named

SLOTS = 4
"""Sessions of one process: a player has one, a simulated player its own and what is not collected yet."""
THREADS = 1
"""A simulation already has a process for every core."""


@lru_cache(maxsize=2)
def shared_engine(task: str, adapter: Path | None, device: str) -> ServingEngine:
    """The engine of this process for a task and an adapter.

    Raises:
        ValueError, OSError: it can't be loaded.
    """
    from policies.llm.engine.engine import Engine

    return Engine(task_named(task), adapter, device=device, slots=SLOTS, threads=THREADS)


class LocalSession:
    """One session that the engine of this process decides; as `client.RemoteSession`, without a deadline.

    Args:
        engine: nobody else may be using it during a call.
        task: what is decided.
        context: the session's.
    """

    def __init__(self, engine: ServingEngine, task: Task, context: Any) -> None:
        self._engine = engine
        self._transcript = Transcript(task, context, engine.info.target)
        slot = engine.open()
        self._slot = slot
        self._end = weakref.finalize(self, engine.close, slot)
        self._end.atexit = False

    def decide(self, steps: Sequence[Any]) -> Answer:
        """The answer to the last of all the session's steps."""
        fresh = steps[len(self._transcript.steps) :]
        features = self._transcript.features(fresh)
        (output,) = self._engine.forward([(self._slot, features)])
        self._transcript.append(fresh)
        decided = self._transcript.decide(output, features[-1])
        return Answer(
            decided.value, decided.margin, BY_LLM, batch=1, queue_ms=0.0, server_ms=0.0, steps=len(steps)
        )

    def end(self) -> None:
        """Give the slot back."""
        self._end()

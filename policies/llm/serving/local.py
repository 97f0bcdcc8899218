"""Decisions without a server: the engine in this process, loaded once and shared by its sessions.

It computes a session's answers as if it were alone (`engine/alike.py`), so that many can be decided at once.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from policies.llm.engine.contract import LocalEngine, ServingEngine
from policies.llm.serving.protocol import BY_LLM, Answer
from policies.llm.serving.transcript import Transcript
from policies.llm.task import Task, Vectors, task_named

TOGETHER = 128
"""Sessions decided at once: what their caches take stays small."""
SLOTS = TOGETHER + 4
"""A player has one session; a simulation those that are decided at once, and what is not collected yet."""
THREADS = 1
"""A simulation already has a process for every core."""


@lru_cache(maxsize=2)
def shared_engine(task: str, adapter: Path | None, device: str, dtype: str = "auto") -> LocalEngine:
    """The engine of this process for a task and an adapter.

    Raises:
        ValueError, OSError: it can't be loaded.
    """
    from policies.llm.engine.engine import Engine

    return Engine(
        task_named(task), adapter, device=device, slots=SLOTS, threads=THREADS, dtype=dtype, alike=True
    )


class LocalSession:
    """One session that the engine of this process decides; as `client.RemoteSession`, without a deadline.

    Args:
        engine: nobody else may be using it during a call.
        task: what is decided.
        context: the session's.
    """

    def __init__(self, engine: ServingEngine, task: Task, context: Any) -> None:
        task.ready()
        self._engine = engine
        self._transcript = Transcript(task, context, engine.info.target)
        slot = engine.open()
        self._slot = slot
        self._end = weakref.finalize(self, engine.close, slot)
        self._end.atexit = False

    def decide(self, steps: Sequence[Any]) -> Answer:
        """The answer to the last of all the session's steps."""
        fresh, features = self._fresh(steps)
        (output,) = self._engine.forward([(self._slot, features)])
        return self._answer(fresh, features, output)

    def _fresh(self, steps: Sequence[Any]) -> tuple[Sequence[Any], Vectors]:
        """The steps that the model has not taken in yet, and what it is fed of them."""
        fresh = steps[len(self._transcript.steps) :]
        return fresh, self._transcript.features(fresh)

    def _answer(self, fresh: Sequence[Any], features: Vectors, output: Vectors) -> Answer:
        """What the model's output after these steps comes to. Who else was decided with it is not said: the
        answer is the same alone."""
        self._transcript.append(fresh)
        decided, steps = self._transcript.decide(output, features[-1]), len(self._transcript.steps)
        return Answer(
            decided.value, decided.margin, BY_LLM, batch=1, queue_ms=0.0, server_ms=0.0, steps=steps
        )

    def end(self) -> None:
        """Give the slot back."""
        self._end()


def decide_together(asked: Sequence[tuple[LocalSession, Sequence[Any]]]) -> list[Answer | Exception]:
    """What `decide` of each would have answered, or raised; one forward for all.

    Args:
        asked: sessions of one engine, each at most once, and all steps of each.

    Raises:
        Exception: the model failed.
    """
    found: list[Answer | Exception] = []
    fed: list[tuple[int, LocalSession, Sequence[Any], Vectors]] = []
    for place, (session, steps) in enumerate(asked):
        try:
            fed.append((place, session, *session._fresh(steps)))
        except Exception as error:
            found.append(error)
            continue
        found.append(_NOT_YET)
    outputs = fed[0][1]._engine.forward([(one._slot, row) for _, one, _, row in fed]) if fed else ()
    for (place, session, fresh, features), output in zip(fed, outputs, strict=True):
        found[place] = session._answer(fresh, features, output)
    return found


_NOT_YET = RuntimeError("not decided yet")

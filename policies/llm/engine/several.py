"""One language model that decides for several tasks, from an adapter that holds them all.

Weights and caches are there once; a forward takes sessions of any of its tasks, each through its own encoder
and head. A session's answers are those of its own task's engine alone, to the last bit, as far as the machine
can (`alike.py`): nobody's depend on who else is in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from policies.llm.engine.engine import (
    SLOTS,
    Engine,
    EngineRoom,
    Runner,
    pick_arithmetic,
    pick_device,
    runner_of,
)
from policies.llm.model.adapter import Adapter, check_layers, read
from policies.llm.task import Task

Work = Sequence[tuple[int, NDArray[np.float32]]]


class SeveralEngine:
    """Engines of several tasks with one runner and one heap of slots. One caller at a time.

    Args:
        tasks: each once.
        adapter: a folder that holds them all.
        device, slots, threads, dtype: as of `Engine`; slots are for all tasks together.

    Raises:
        AdapterError, BaseError: something is not there or does not fit.
        ValueError: no such device.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        adapter: Path,
        *,
        device: str = "auto",
        slots: int = SLOTS,
        threads: int | None = None,
        dtype: str = "auto",
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        room = EngineRoom(*_runner([read(adapter, task) for task in tasks], device, slots, dtype))
        options: dict[str, Any] = {"device": device, "slots": slots, "alike": True, "room": room}
        self.engines = {task.name: Engine(task, adapter, **options) for task in tasks}
        """By task."""
        self._runner = room.runner
        self._engine_of: dict[int, Engine] = {}
        """Of each open slot."""

    def open(self, task: str) -> int:
        """A free slot, for a new session of a task.

        Raises:
            EngineFull: there is none.
        """
        slot = self.engines[task].open()
        self._engine_of[slot] = self.engines[task]
        return slot

    def close(self, slot: int) -> None:
        """Give a slot back.

        Raises:
            KeyError: it is not open.
        """
        self._engine_of.pop(slot).close(slot)

    def rows(self, slot: int, new: int) -> int:
        """As `SlotBook.rows`."""
        return self._engine_of[slot].rows(slot, new)

    @torch.inference_mode()
    def forward(self, work: Work) -> list[NDArray[np.float32]]:
        """(outputs of its task,) after each slot's last new step.

        Args:
            work: of each slot, at most once, (new steps, width of its task).

        Raises:
            KeyError: a slot is not open.
            ValueError: no new step, or steps of another width; no slot has changed then.
        """
        parts = self._by_task(work)
        for engine, places in parts.items():
            engine.check([work[place] for place in places])
        slots: list[int] = []
        held: list[int] = []
        tokens: list[torch.Tensor] = []
        lasts: list[torch.Tensor] = []
        for engine, places in parts.items():
            own, before, rows = engine.taken([work[place] for place in places])
            new, last = engine.tokens_of(rows)
            slots += own
            held += before
            tokens += new
            lasts.append(last)
        states = self._runner.forward(slots, held, tokens).float()
        found: dict[int, NDArray[np.float32]] = {}
        ends = np.cumsum([len(places) for places in parts.values()]).tolist()
        for (engine, places), last, end in zip(parts.items(), lasts, ends, strict=True):
            outputs = engine.outputs_of(states[end - len(places) : end], last)
            found |= dict(zip(places, outputs, strict=True))
        return [found[place] for place in range(len(work))]

    def _by_task(self, work: Work) -> dict[Engine, list[int]]:
        """Places of the work that each engine has."""
        found: dict[Engine, list[int]] = {}
        for place, (slot, _) in enumerate(work):
            if slot not in self._engine_of:
                raise KeyError(f"slot {slot} is not open")
            found.setdefault(self._engine_of[slot], []).append(place)
        return found


def _runner(
    adapters: Sequence[Adapter], device: str, slots: int, dtype: str
) -> tuple[Runner, list[int], str]:
    """The language model with what the tasks share in it, its slots, and what it is computed in.

    Raises:
        AdapterError, BaseError, ValueError: as `SeveralEngine`.
    """
    first = adapters[0]
    place, base, tensors = pick_device(device), first.base(), first.tensors()
    check_layers(first, tensors, base.layers)
    kind = pick_arithmetic(dtype, place, base)
    most = max(each.max_steps for each in adapters)
    return runner_of(first, base, tensors, place, kind, slots, most, True), list(range(slots)), kind

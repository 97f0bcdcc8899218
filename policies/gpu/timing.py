"""What a step of many sessions takes: as the engine computes it, and as a CUDA graph."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from policies.llm.engine.engine import Engine
from policies.llm.engine.graphs import GraphedStep
from policies.llm.engine.packed import PackedModel
from policies.llm.task import Task

WARM_UP = 3
HELD = 24
"""Steps that each session holds already: half a video."""


@dataclass(frozen=True)
class TimedStep:
    """One number of sessions."""

    sessions: int
    engine_ms: float
    """The median of a batch: encoder, model, head, and the way to the device and back."""
    model_ms: float
    """The model alone, its batch on the device."""
    graph_ms: float | None
    """The same as a CUDA graph; None where there is none."""

    @property
    def decisions_per_s(self) -> float:
        return 1000.0 * self.sessions / self.engine_ms

    def to_json(self) -> dict[str, Any]:
        return vars(self) | {"decisions_per_s": self.decisions_per_s}


def timed(
    task: Task, make: Callable[[int], Engine], sessions: Sequence[int], repeats: int
) -> list[TimedStep]:
    """Each number of sessions.

    Args:
        make: an engine with so many slots.
        repeats: steps that the median is of.
    """
    random = np.random.default_rng(0)
    found = []
    for count in sessions:
        engine = make(count)
        slots = [engine.open() for _ in range(count)]
        steps = random.standard_normal((count, HELD + WARM_UP + repeats, task.width)).astype(np.float32)
        engine.forward([(slot, rows[:HELD]) for slot, rows in zip(slots, steps, strict=True)])
        times_ms = []
        for at in range(HELD, HELD + WARM_UP + repeats):
            work = [(slot, rows[at : at + 1]) for slot, rows in zip(slots, steps, strict=True)]
            begun_s = time.perf_counter()
            engine.forward(work)
            times_ms.append(1000.0 * (time.perf_counter() - begun_s))
        model_ms, graph_ms = _model_ms(engine, count, repeats)
        found.append(TimedStep(count, float(np.median(times_ms[WARM_UP:])), model_ms, graph_ms))
        for slot in slots:
            engine.close(slot)
        del engine
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return found


@torch.inference_mode()
def _model_ms(engine: Engine, count: int, repeats: int) -> tuple[float, float | None]:
    """The model's step with its rows on the device, and as a graph."""
    model = engine.runner
    if not isinstance(model, PackedModel):
        return float("nan"), None
    _, _, dtype, device = model.room
    tokens = torch.randn(count, model.width, device=device, dtype=dtype)
    slots, held = list(range(count)), [HELD] * count
    alone_ms = _median_ms(lambda: model.forward(slots, held, tokens.split(1)), device, repeats)
    if device.type != "cuda":
        return alone_ms, None
    graph = GraphedStep(model, count)
    return alone_ms, _median_ms(lambda: graph.forward(slots, held, tokens), device, repeats)


def _median_ms(compute: Callable[[], object], device: torch.device, repeats: int) -> float:
    times_ms = []
    for _ in range(WARM_UP + repeats):
        begun_s = time.perf_counter()
        compute()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times_ms.append(1000.0 * (time.perf_counter() - begun_s))
    return float(np.median(times_ms[WARM_UP:]))

"""The task `call`: what rate a call's link will carry for certain, in the next second, asked every 200 ms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from player.call.settings import CallSettings
from policies.llm.head import LEAST_LOG_SPREAD, MOST_LOG_SPREAD, Regression
from policies.llm.task import Decided, Task, Vectors
from policies.llm.tasks.call import wire
from policies.llm.tasks.call.memory import KEPT, Digest, digest_of
from policies.llm.tasks.call.vectors import MODALITIES, vector_of
from policies.llm.tasks.call.wire import CallContext, CallStep, PredictedRate

MOST_LOG_MBPS = 10.0
"""No output, however wrong, gives an infinity."""


class SetsRate(Task):
    """A context is `CallContext`, a step `CallStep`, a value `PredictedRate`; past are the digests of the
    last 30 s (`memory.py`)."""

    name = "call"
    modalities = MODALITIES
    head = Regression(1)
    shipped: Path | None = Path(__file__).resolve().parent / "weights"
    teaches = "policies.llm.tasks.call.course:CallCourse"
    sampled = "policies.llm.tasks.call.sampled:sampled"
    prompt = (
        "Set the sending rate of a live video call, every 200 ms. Goal: the highest rate that the link will"
        " carry for the next second without a queue. Each step tells receive rate, target, queueing delay,"
        " its slope, loss and what waits at the sender, every 50 ms, and what the last 30 s were like."
    )
    commands: Mapping[str, str] = {
        "collect": "policies.llm.tasks.call.collect",
        "test": "policies.llm.tasks.call.evaluate",
    }
    options: Mapping[str, str] = {
        "collect": "policies.llm.tasks.call.options:add_collect",
        "test": "policies.llm.tasks.call.options:add_test",
    }

    def context_of(self, call: CallSettings) -> CallContext:
        """What holds for a call."""
        return CallContext(call.min_kbps, call.max_kbps)

    def features(
        self, step: CallStep, past: Any, context: CallContext, target: float | None = None
    ) -> Vectors:
        return vector_of(step, past, context)

    def after(self, past: tuple[Digest, ...], step: CallStep) -> tuple[Digest, ...]:
        return (*past, digest_of(step))[-KEPT:]

    def answer(self, output: Vectors, vector: Vectors) -> Decided:
        mean, log_spread = float(output[0]), float(output[1])
        spread = math.exp(min(max(log_spread, LEAST_LOG_SPREAD), MOST_LOG_SPREAD))
        return Decided(PredictedRate(1000.0 * math.exp(min(mean, MOST_LOG_MBPS)), spread), None)

    # ---- the wire ----------------------------------------------------------------------------------

    def load_context(self, given: Any) -> CallContext:
        return wire.load_context(given)

    def dump_context(self, context: CallContext) -> Any:
        return {"min_kbps": context.min_kbps, "max_kbps": context.max_kbps}

    def load_step(self, given: Any, where: str, index: int) -> CallStep:
        return wire.load_step(given, where)

    def dump_step(self, step: CallStep) -> Any:
        return wire.dump_step(step)

    def load_value(self, given: Any, where: str) -> PredictedRate:
        return wire.load_value(given, where)

    def dump_value(self, value: PredictedRate) -> Any:
        return {"kbps": value.kbps, "spread": value.spread}


TASK = SetsRate()

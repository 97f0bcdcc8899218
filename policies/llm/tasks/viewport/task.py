"""The task `viewport`: where will the head be at each of the next twenty samples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from player.viewport.windows import FUTURE
from policies.llm.head import Trajectory
from policies.llm.serving.fields import FieldError
from policies.llm.task import Decided, Task, Vectors
from policies.llm.tasks.viewport import wire
from policies.llm.tasks.viewport.vectors import MODALITIES
from policies.llm.tasks.viewport.wire import MOST, ViewStep
from traces.heads.head import AXES


class PredictsViews(Task):
    """A session is what is seen before one prediction, a step a sample of it (`ViewStep`), a value the way
    from the newest sample to each of the next, moment by moment, in units of `policies.viewport.features`;
    nothing is past."""

    name = "viewport"
    modalities = MODALITIES
    head = Trajectory(FUTURE, AXES)
    shipped: Path | None = Path(__file__).resolve().parent / "weights"
    teaches = "policies.llm.tasks.viewport.course:ViewCourse"
    sampled = "policies.llm.tasks.viewport.sampled:sampled"
    prompt = (
        "Predict where the viewer of a 360-degree video will look in the next four seconds. Each step tells"
        " how the head moved, and where earlier viewers of the video looked from then on."
    )
    commands: Mapping[str, str] = {
        "collect": "policies.llm.tasks.viewport.collect",
        "test": "policies.llm.tasks.viewport.evaluate",
        "controls": "policies.llm.tasks.viewport.controls",
    }
    options: Mapping[str, str] = {
        name: f"policies.llm.tasks.viewport.options:add_{name}" for name in ("collect", "test", "controls")
    }

    def features(self, step: ViewStep, past: Any, context: Any, target: float | None = None) -> Vectors:
        return np.array([*step.head, *step.others, *step.map], np.float32)

    def answer(self, output: Vectors, vector: Vectors) -> Decided:
        return self.head_answer(np.clip(np.nan_to_num(output), -MOST, MOST))

    # ---- the wire ----------------------------------------------------------------------------------

    def load_context(self, given: Any) -> Any:
        if given not in (None, {}):
            raise FieldError("context", "expected none: the steps say all")
        return {}

    def load_step(self, given: Any, where: str, index: int) -> ViewStep:
        return wire.load_step(given, where)

    def dump_step(self, step: ViewStep) -> Any:
        return wire.dump_step(step)

    def load_value(self, given: Any, where: str) -> tuple[float, ...]:
        return wire.load_value(given, where)

    def dump_value(self, value: tuple[float, ...]) -> Any:
        return list(value)


TASK = PredictsViews()

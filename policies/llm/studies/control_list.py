"""Which controls there are: what differs from the adapted language model in each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from policies.llm.learning.settings import DISTILL
from policies.llm.model.base import DEFAULT
from policies.llm.model.shape import FROZEN, FULL
from policies.llm.task import Task, named

SCRATCH = "scratch:2x256"
EACH = "each task's own"
FULL_LR = 1e-4
"""Where every weight of the language model learns: the rate that suits LoRA undoes what it knows."""


@dataclass(frozen=True)
class Control:
    """One control: what differs from the adapted language model."""

    name: str
    base: str = DEFAULT
    shape: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    share: float = 1.0
    """Of the number of steps."""

    def based(self, seed: int) -> str:
        """The base's name; random weights are drawn anew for each seed."""
        return self.base.format(seed=seed)

    def shaped(self, task: Task) -> dict[str, Any]:
        """What its shape differs in; where `EACH` stands, the task's prompt or its number of modalities."""
        own = {"prompt": task.prompt, "tokens": len(task.modalities)}
        return {name: own[name] if value is EACH else value for name, value in self.shape.items()}

    def steps(self, of: int) -> int:
        """Its own number of steps, where others take `of`."""
        return max(round(of * self.share), 1)


CONTROLS = (
    Control("pretrained"),
    Control("random", f"random:{{seed}}:{DEFAULT}"),
    Control("scratch", f"{SCRATCH}:{{seed}}", {"train": FULL, "layers": 2}),
    Control("frozen", shape={"train": FROZEN}),
    Control("frozen-random", f"random:{{seed}}:{DEFAULT}", {"train": FROZEN}),
    Control("modality-tokens", shape={"tokens": EACH}),
    Control("task-prompt", shape={"prompt": EACH}),
    Control("full", shape={"train": FULL}, settings={"lr": FULL_LR}),
    *(Control(f"layers-{layers}", shape={"layers": layers}, share=1 / 3) for layers in (4, 8, 15, 30)),
)
"""The most important first."""


def controls_of(task: Task) -> list[Control]:
    """Those whose objective the task's course knows."""
    known = named(task.teaches).objectives if task.teaches else (DISTILL,)
    return [each for each in CONTROLS if each.settings.get("objective", DISTILL) in known]

"""One language model under the encoders and heads of several tasks, while it learns.

What of the language model learns is the same for all; encoder and head are each task's own, and begin as they
would if it were alone. With one task it is that task's model.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import torch
from torch import nn

from policies.llm.model import backbone
from policies.llm.model.adapter import SHARED
from policies.llm.model.base import Base
from policies.llm.model.model import Model, language_model, within
from policies.llm.model.shape import FULL, LORA, Shape
from policies.llm.task import Task


class SeveralModels(nn.Module):
    """Models that share what lies between their encoders and heads.

    Args:
        base: of the name in `shape`.
        tasks: each once.
        seed: of all that is drawn.

    Raises:
        BaseError: no such layers, nothing for LoRA to go to.
        ValueError: a prompt, which would be one task's.
    """

    def __init__(self, base: Base, shape: Shape, tasks: Sequence[Task], seed: int) -> None:
        super().__init__()
        if shape.prompt and len(tasks) > 1:
            raise ValueError("several tasks have no prompt in common")
        self.base, self.shape, self.tasks = base, shape, tuple(tasks)
        torch.manual_seed(seed)
        self.llm = language_model(base, shape)
        self._models = nn.ModuleDict()
        for task in tasks:
            torch.manual_seed(zlib.crc32(f"{seed} {task.name}".encode()))
            self._models[task.name] = Model(base, shape, task.modalities, task.head, self.llm)

    def of(self, task: str) -> Model:
        """One task's."""
        model = self._models[task]
        assert isinstance(model, Model)
        return model

    def freeze_shared(self) -> None:
        """From now on encoders and heads alone learn."""
        self.llm.requires_grad_(False)

    def shared(self) -> list[nn.Parameter]:
        """Of the language model, what training changes."""
        return [each for each in self.llm.parameters() if each.requires_grad]

    def learned(self) -> list[nn.Parameter]:
        """Parameters that training changes."""
        return [each for each in self.parameters() if each.requires_grad]

    def learned_of(self, task: str) -> list[nn.Parameter]:
        """Those that a batch of one task changes."""
        return self.of(task).learned()

    def learned_state(self) -> dict[str, torch.Tensor]:
        """All that an adapter of these tasks has to hold, named as `adapter.write_several` takes it."""
        found: dict[str, torch.Tensor] = {}
        for task in self.tasks:
            for name, each in self.of(task.name).learned_state().items():
                found[name if name.startswith(SHARED) else f"{task.name}.{name}"] = each
        return found

    def load_shared(self, held: dict[str, torch.Tensor]) -> None:
        """Put back what of `learned_state` is no task's own.

        Raises:
            KeyError, RuntimeError: tensors that do not fit this model.
        """
        with torch.no_grad():
            if self.shape.train == LORA:
                backbone.load_lora(self.llm, within(held, "lora."))
            elif self.shape.train == FULL:
                self.llm.load_state_dict(within(held, "llm."), strict=False)

    def load_learned(self, held: dict[str, torch.Tensor]) -> None:
        """Put back what `learned_state` gave.

        Raises:
            KeyError, RuntimeError: tensors that do not fit this model.
        """
        common = {name: each for name, each in held.items() if name.startswith(SHARED)}
        for task in self.tasks:
            begin = f"{task.name}."
            own = {name.removeprefix(begin): each for name, each in held.items() if name.startswith(begin)}
            self.of(task.name).load_learned(own | common)

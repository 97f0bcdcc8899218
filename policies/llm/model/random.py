"""An adapter that knows nothing: for timing, which does not depend on what it knows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from policies.llm.model.base import resolve
from policies.llm.model.model import Model
from policies.llm.model.several import SeveralModels
from policies.llm.model.shape import Shape
from policies.llm.model.tiny import save, save_several
from policies.llm.task import Task

LOW_RANK_DEVIATION = 0.02
"""Of what is drawn for matrices that begin as zeros: learned ones leave no weight as it was, either."""


def random_several(tasks: Sequence[Task], folder: Path, base: str, layers: int) -> Path:
    """Write one that holds several tasks; its folder.

    Raises:
        BaseError: the base has fewer layers.
    """
    with torch.random.fork_rng(devices=[]):
        model = SeveralModels(resolve(base), Shape(base, layers=layers), tasks, 0)
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=LOW_RANK_DEVIATION)
    save_several(model, folder)
    return folder


def random_adapter(task: Task, folder: Path, base: str, layers: int) -> Path:
    """Write one for a task over so many of a base's first layers; its folder.

    Raises:
        BaseError: the base has fewer layers.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Model(resolve(base), Shape(base, layers=layers), task.modalities, task.head)
        save(task, model, folder)
    return folder

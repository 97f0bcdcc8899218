"""An adapter that knows nothing: for timing, which does not depend on what it knows."""

from __future__ import annotations

from pathlib import Path

import torch

from policies.llm.model.base import resolve
from policies.llm.model.model import Model
from policies.llm.model.shape import Shape
from policies.llm.model.tiny import save
from policies.llm.task import Task


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

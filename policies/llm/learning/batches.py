"""Which sessions a step of the optimizer learns from, and those as tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from policies.llm.head import Choice, Pointer
from policies.llm.learning.course import Batch
from policies.llm.learning.pool import Experience
from policies.llm.task import Task, Vectors

CROP_SHARE = 0.2
"""Of the batches that begin within a session, as a context that was begun again does."""


def drawn(held: Experience, batch: int, seed: int, step: int) -> tuple[NDArray[np.int64], int]:
    """So many different sessions, and the step of theirs that the batch begins with."""
    random = np.random.default_rng([seed, step])
    rows = random.choice(len(held), batch, replace=False)
    begin = 0
    if random.random() < CROP_SHARE:
        begin = int(random.integers(1, max(held.answers.shape[1] // 2, 2)))
    return rows, begin


def batch_of(
    task: Task,
    held: Experience,
    rows: NDArray[np.int64],
    begin: int,
    vectors: Vectors,
    device: torch.device,
) -> Batch:
    """Drawn sessions.

    Args:
        vectors: (rows, steps, width) of them.
    """

    def part(values: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values[:, begin:])).to(device)

    return Batch(
        vectors=part(vectors),
        scores=part(held.scores[rows]),
        answers=part(_taken(task, held.answers[rows])),
        kinds=torch.from_numpy(held.kinds[rows]).to(device),
    )


def _taken(task: Task, answers: NDArray[Any]) -> NDArray[Any]:
    """Answers as the loss counts them: of a choice whole numbers."""
    return answers.astype(np.int64 if isinstance(task.head, Choice | Pointer) else np.float32)

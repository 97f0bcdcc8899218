"""Experience on disk: whole sessions, what a teacher thinks of every step, and where they came from.

A folder with `manifest.json` and parts of many sessions each, `PART.npz`; every session of a part has the
same number of steps.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.llm.task import UNNAMED, Task, gone
from traces.commands import said_of
from traces.escaping import visible
from traces.files import write_aside
from traces.safe_reading import BadFileError, read_json_object

MANIFEST = "manifest.json"
FORMAT = 1

BY_POLICY = 0
"""Scores are a teacher's: of a choice, logits of the probabilities with which it would take each."""
BY_PLAN = 1
"""Scores are planned with the true future: to be met in the mean, not one by one."""


class PoolError(ValueError):
    """A pool that cannot be used; the message names the folder, the fault and the way out."""


@dataclass(frozen=True)
class Experience:
    """N sessions of T steps."""

    vectors: NDArray[np.float32]
    """(N, T, width) with no return asked for."""
    answers: NDArray[Any]
    """(N, T) or (N, T, numbers) what was taken."""
    rewards: NDArray[np.float32]
    """(N, T) what each answer brought; 0 for the first."""
    scores: NDArray[np.float32]
    """(N, T, numbers taught) what the teacher says: of a choice a logit for each answer."""
    kinds: NDArray[np.int8]
    """(N,) `BY_POLICY` or `BY_PLAN`."""

    def __post_init__(self) -> None:
        sessions, steps = self.answers.shape[:2]
        shapes = {"vectors": 3, "rewards": 2, "scores": 3, "kinds": 1}
        for name, dimensions in shapes.items():
            shape, expected = getattr(self, name).shape, (sessions, steps)[: min(dimensions, 2)]
            if len(shape) != dimensions or shape[: len(expected)] != expected:
                raise ValueError(
                    f"{name} of shape {shape}; expected {dimensions} dimensions, {expected} first"
                )

    def __len__(self) -> int:
        return len(self.answers)

    @classmethod
    def joined(cls, parts: Sequence[Experience]) -> Experience:
        """All sessions of parts whose sessions are equally long."""
        return cls(
            **{
                each.name: np.concatenate([getattr(part, each.name) for part in parts])
                for each in fields(cls)
            }
        )

    def returns_to_go(self) -> NDArray[np.float32]:
        """(N, T) what each step and those after it bring, over the steps that count."""
        counted = max(self.rewards.shape[1] - 1, 1)
        left = np.ascontiguousarray(self.rewards[:, ::-1].cumsum(axis=1)[:, ::-1]) / np.float32(counted)
        return left.astype(np.float32, copy=False)


def write_part(path: Path, part: Experience) -> None:
    """Write sessions as one file that appears when it is complete.

    Raises:
        OSError: it cannot be written.
    """
    buffer = io.BytesIO()
    np.savez(buffer, **{each.name: getattr(part, each.name) for each in fields(Experience)})
    write_aside(path, buffer.getvalue())


def read_part(path: Path) -> Experience:
    """Sessions of one file.

    Raises:
        PoolError: it is none.
    """
    try:
        with np.load(path, allow_pickle=False) as held:
            return Experience(**{each.name: held[each.name] for each in fields(Experience)})
    except (OSError, ValueError, KeyError) as error:
        raise PoolError(f"{path}: no part of a pool ({error}); collect again") from None


def write_manifest(folder: Path, facts: dict[str, Any], task: Task) -> None:
    """Say what a pool holds; written last, so that a pool with a manifest is complete.

    Raises:
        OSError: it cannot be written.
    """
    about = {"format": FORMAT, "task": task.name, "modalities": [each.to_json() for each in task.modalities]}
    text = json.dumps(about | facts, indent=1) + "\n"
    write_aside(folder / MANIFEST, text)


def read_manifest(folder: Path, task: Task) -> dict[str, Any]:
    """What a pool says of itself.

    Raises:
        PoolError: no pool, an unfinished one, or one of another task or other features.
    """
    path = folder / MANIFEST
    try:
        held = read_json_object(path)
    except (OSError, BadFileError) as error:
        raise PoolError(
            f"{said_of(error) if isinstance(error, OSError) else error}; "
            + (
                "make a pool with: python -m policies.llm collect"
                if "collect" in task.commands
                else f"the task {task.name} has no command that collects: `learning.pool` writes one"
            )
        ) from None
    if (made := str(held.get("task", UNNAMED))) != task.name:
        why = gone(made) or "; collect again"
        raise PoolError(f"{path}: a pool of the task {visible(made)}, not of {task.name}{why}")
    if held.get("format") != FORMAT or held.get("modalities") != [each.to_json() for each in task.modalities]:
        raise PoolError(f"{path}: a pool of another format or of other features; collect again")
    return dict(held)


def read(folder: Path, task: Task) -> tuple[Experience, dict[str, Any]]:
    """All sessions of a pool, and its manifest.

    Raises:
        PoolError: it cannot be used.
    """
    facts = read_manifest(folder, task)
    return Experience.joined([read_part(folder / name) for name in facts["parts"]]), facts

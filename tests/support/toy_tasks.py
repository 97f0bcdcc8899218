"""Two made-up tasks of a few lines each, and pools of theirs: for tests of what serves any task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from policies.llm import task as tasks
from policies.llm.head import Choice, Trajectory
from policies.llm.learning import pool
from policies.llm.learning.pool import BY_POLICY, Experience
from policies.llm.modality import SCALAR, Modality
from policies.llm.serving.fields import number
from policies.llm.task import Task, Vectors

SESSIONS, STEPS = 40, 6


class Larger(Task):
    """Whether this number is larger than the mean of those before it."""

    name = "larger"
    modalities = (Modality("numbers", SCALAR, (2,)),)
    head = Choice(2)

    def features(self, step: float, past: Any, context: Any, target: float | None = None) -> Vectors:
        return np.array([step, sum(past) / max(len(past), 1)], np.float32)

    def after(self, past: Any, step: float) -> Any:
        return (*past, step)

    def load_step(self, given: Any, where: str, index: int) -> float:
        return number(given, where, -10.0, 10.0)


class Sums(Task):
    """The sum of all numbers so far, and twice that."""

    name = "sums"
    modalities = (Modality("number", SCALAR, (3,)),)
    head = Trajectory(2, 1)

    def features(self, step: float, past: Any, context: Any, target: float | None = None) -> Vectors:
        return np.array([step, past or 0.0, 1.0], np.float32)

    def after(self, past: Any, step: float) -> Any:
        return (past or 0.0) + step

    def load_step(self, given: Any, where: str, index: int) -> float:
        return number(given, where, -10.0, 10.0)

    def load_value(self, given: Any, where: str) -> Any:
        return tuple(given)


LARGER, SUMS = Larger(), Sums()
TOYS = (LARGER, SUMS)


def know() -> None:
    """Make them known."""
    for each in TOYS:
        tasks.register(each)


def forget() -> None:
    """They are known no more."""
    for each in TOYS:
        tasks._MADE.pop(each.name, None)


def numbers(seed: int) -> list[float]:
    """Steps of a session of either."""
    return [float(each) for each in np.random.default_rng(seed).normal(size=STEPS)]


def collect(task: Task, folder: Path) -> Path:
    """A pool of sessions of random numbers, with what should be said of each."""
    vectors = np.zeros((SESSIONS, STEPS, task.width), np.float32)
    for session in range(SESSIONS):
        past: Any = task.empty
        for place, step in enumerate(numbers(session)):
            vectors[session, place] = task.features(step, past, {})
            past = task.after(past, step)
    right = vectors[:, :, 0] > vectors[:, :, 1]
    sums = vectors[:, :, :2].sum(-1, keepdims=True)
    scores = (
        np.where(np.arange(2) == right[:, :, None], 4.0, -4.0)
        if task is LARGER
        else np.concatenate([sums, 2.0 * sums], axis=-1)
    ).astype(np.float32)
    answers = right.astype(np.int8) if task is LARGER else scores
    rewards, kinds = np.zeros((SESSIONS, STEPS), np.float32), np.full(SESSIONS, BY_POLICY, np.int8)
    folder.mkdir(parents=True)
    pool.write_part(folder / "all.npz", Experience(vectors, answers, rewards, scores, kinds))
    pool.write_manifest(folder, {"parts": ["all.npz"]}, task)
    return folder

"""Decima's net as a scheduler."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import numpy as np

from player.jobs.features import graph_of
from player.jobs.observation import JobsObservation
from player.jobs.policy import Assignment
from player.jobs.settings import ClusterSettings, JobsError
from policies.jobs.decima.graphs import joined
from policies.jobs.decima.net import Weights, chosen

WEIGHTS = Path(__file__).parent / "weights" / "decima.safetensors"
CHOICES = ("median", "drawn", "best")


class Decima:
    """Decima's graph net. The shipped weights have learned what `release` does: it takes the best stage and
    the median of executors. What PPO has trained has learned to be drawn.

    Args:
        weights: a file that `python -m policies.jobs.decima` has written; empty for ours.
        choice: median; drawn: both by their chances; best: the likeliest of both.

    Raises:
        JobsError: another choice.
    """

    def __init__(self, weights: str = "", choice: str = "median") -> None:
        if choice not in CHOICES:
            raise JobsError(f"decima: choice={choice}: expected {', '.join(CHOICES)}")
        content = _content(weights or str(WEIGHTS))
        self._weights = weights_in(content)
        self.weights_sha256 = hashlib.sha256(content).hexdigest()
        self._choice = choice
        self._random: np.random.Generator | None = None

    def reset(self, cluster: ClusterSettings, seed: int) -> None:
        """A new episode: draws begin with its seed."""
        self._random = np.random.default_rng(seed) if self._choice == "drawn" else None

    def schedule(self, observation: JobsObservation) -> Assignment:
        """A stage, then how many executors."""
        graphs = joined([graph_of(observation)])
        stages, counts = chosen(self._weights, graphs, self._random, self._choice == "median")
        return Assignment(int(stages[0]), int(counts[0]))


@cache
def _content(weights: str) -> bytes:
    return Path(weights).read_bytes()


def weights_in(content: bytes) -> Weights:
    """The numbers of a file."""
    from safetensors.numpy import load

    return dict(load(content))

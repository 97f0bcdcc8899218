"""Decima as a scheduler: its choices are drawn, as it has learned to have them drawn."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import numpy as np

from player.jobs.features import graph_of
from player.jobs.observation import JobsObservation
from player.jobs.policy import Assignment
from player.jobs.settings import ClusterSettings
from policies.jobs.decima.graphs import joined
from policies.jobs.decima.net import Weights, chosen


class Decima:
    """A graph net that has learned by PPO; its choices are drawn, not the best taken.

    Args:
        weights: a file that `python -m policies.jobs.decima` has written.
        argmax: take the best.
    """

    def __init__(self, weights: str, argmax: bool = False) -> None:
        content = _content(weights)
        self._weights = weights_in(content)
        self.weights_sha256 = hashlib.sha256(content).hexdigest()
        self._argmax = argmax
        self._random: np.random.Generator | None = None

    def reset(self, cluster: ClusterSettings, seed: int) -> None:
        """A new episode: draws begin with its seed."""
        self._random = None if self._argmax else np.random.default_rng(seed)

    def schedule(self, observation: JobsObservation) -> Assignment:
        """A stage, then how many executors."""
        return choose(self._weights, observation, self._random)


def choose(weights: Weights, seen: JobsObservation, random: np.random.Generator | None) -> Assignment:
    """What the net answers; drawn where there is a generator."""
    stages, counts = chosen(weights, joined([graph_of(seen)]), random)
    return Assignment(int(stages[0]), int(counts[0]))


@cache
def _content(weights: str) -> bytes:
    return Path(weights).read_bytes()


def weights_in(content: bytes) -> Weights:
    """The numbers of a file."""
    from safetensors.numpy import load

    return dict(load(content))

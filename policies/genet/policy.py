"""`genet` and `udr`: the trained networks as policies. Neither needs torch."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path

import numpy as np

from player.observation import Observation
from player.policy import Decision
from player.qoe import QoE
from player.video.video import Video
from policies.genet.inputs import LEVELS, of_client
from policies.genet.net import Actor, read, sha256

WEIGHTS = Path(__file__).resolve().parent / "weights"


@lru_cache
def _shipped(name: str) -> tuple[Actor, str]:
    """Weights and hash of a shipped file, read once for all sessions of a process."""
    return read(WEIGHTS / name), sha256(WEIGHTS / name)


class Genet:
    """A small network, trained with Genet's curriculum: takes the level that it scores highest.

    Before any throughput is known it is level 0.

    The highest and no draw: the entropy that training keeps for exploring would cost quality in every
    session, and a draw makes a session depend on a seed. A decision depends on the observation alone.
    The network was trained for the linear QoE with mu 4.3 and is not told which is scored.

    Args:
        weights: a safetensors file; None takes the shipped one.

    Raises:
        WeightsError: the file cannot be used.
    """

    shipped = "genet.safetensors"

    def __init__(self, weights: str | None = None) -> None:
        if weights is None:
            self._actor, self.weights_sha256 = _shipped(self.shipped)
        else:
            self._actor, self.weights_sha256 = read(Path(weights)), sha256(Path(weights))

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        """A new session.

        Raises:
            ValueError: a ladder of another length.
        """
        if video.levels != LEVELS:
            raise ValueError(
                f"{video.name} has {video.levels} levels, the network scores {LEVELS}; "
                "take a video of 6 levels, or robustmpc"
            )
        self._video = video

    def select(self, observation: Observation) -> Decision:
        return self.decide(observation)[0]

    def decide(self, observation: Observation) -> tuple[Decision, float]:
        """The decision, and how far its score (a log-probability) is ahead of the second best one."""
        if not observation.history:
            return Decision(0, reason="no throughput known yet"), math.inf
        scores = self._actor.scores(of_client(observation, self._video)[None])[0]
        second, best = np.sort(scores)[-2:]
        return Decision(int(scores.argmax()), reason="highest score"), float(best - second)


class UDR(Genet):
    """A small network as Genet's, trained without the curriculum: same budget, uniform environments."""

    shipped = "udr.safetensors"

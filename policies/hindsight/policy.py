"""Hindsight at decision time: one client, or every session of a batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from player.observation import Observation
from player.policy import Decision
from player.qoe import QoE
from player.simulated.batch.library import Ints
from player.simulated.batch.sessions import Sessions
from player.video.video import Video
from policies.hindsight import features
from policies.hindsight.net import ValueNet

WEIGHTS = Path(__file__).parent / "hindsight.safetensors"


def sane_values(net: ValueNet, vectors: features.Vectors) -> features.Vectors:
    """(batch, LEVELS) what each level is worth to the network; -inf where `features.sane` forbids it."""
    return np.where(features.sane(vectors), net.values(vectors), np.float32(-np.inf))


class Hindsight:
    """A small network that learned what would have been best: takes the level that it holds most valuable.

    The lowest before any throughput is known.

    A decision depends on the observation alone. The network was trained for the published ladder, chunks
    of 4 s and the linear QoE with mu 4.3, and decides the same way under every other QoE.

    Args:
        weights: a safetensors file that `python -m policies.hindsight train` made; empty for ours.

    Raises:
        WeightsError: the file cannot be used.
    """

    def __init__(self, weights: str = "") -> None:
        self._net = ValueNet.read(Path(weights) if weights else WEIGHTS)
        self.weights_sha256 = self._net.sha256

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        """Raises ValueError for a video of another ladder or chunk length."""
        if reason := features.unfit(video.ladder_kbps, video.chunk_s):
            raise ValueError(f"{video.name}: {reason}")

    def select(self, observation: Observation) -> Decision:
        decision, _ = self.decide(observation)
        return decision

    def decide(self, observation: Observation) -> tuple[Decision, float]:
        """The decision, and how much more the network holds it worth than the next best."""
        if not observation.history:
            return Decision(0, reason="no throughput known yet"), 0.0
        values = sane_values(self._net, features.of(observation)[None, :])[0]
        level = int(np.argmax(values))
        lead = float(values[level] - np.partition(values, -2)[-2])
        reason = f"worth {lead:.2f} more than the next best"
        if not np.isfinite(lead):
            reason = "the others would stall for long"
        return Decision(level, reason=reason), lead


class BatchHindsight:
    """The same decisions for every session of a batch.

    Args:
        sessions: whose states are decided on.
        net: None for ours.

    Raises:
        ValueError: a video that the network is not made for.
        WeightsError: the file cannot be used.
    """

    def __init__(self, sessions: Sessions, net: ValueNet | None = None) -> None:
        features.check_videos(sessions)
        self._sessions = sessions
        self._net = net if net is not None else ValueNet.read(WEIGHTS)

    def select(self) -> Ints:
        """(sessions,) the level of each next chunk; 0 before the first."""
        levels = sane_values(self._net, features.fill(self._sessions)).argmax(axis=1)
        return np.where(self._sessions.state.chunk == 0, 0, levels)

"""Hindsight at decision time: one client on any ladder, or every session of a batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from player.observation import Observation
from player.policy import Decision
from player.qoe import QoE
from player.simulated.batch.library import Ints
from player.simulated.batch.sessions import Sessions
from player.video.video import Video
from policies.hindsight.net import Array, OptionNet
from policies.view.asked import Asked, options
from policies.view.batch import View
from policies.view.guard import sane
from policies.view.layout import MAX_LEVELS, Vectors
from policies.view.one import view_of
from policies.view.thinned import thinned

WEIGHTS = Path(__file__).parent / "hindsight.safetensors"


def sane_values(net: OptionNet, vectors: Vectors) -> Array:
    """(batch, MAX_LEVELS) what each level is worth to the network; -inf where `guard.sane` forbids it."""
    return np.where(sane(vectors), net.values(vectors), np.float32(-np.inf))


class Hindsight:
    """A small network that learned what would have been best: takes the level that it holds most valuable.

    The lowest before any throughput is known.

    A decision depends on the observation, the ladder and the QoE that is asked for, and on nothing else. Of a
    ladder of more than MAX_LEVELS levels, it chooses among those that `view.asked.options` names.

    Args:
        weights: a safetensors file that `python -m policies.hindsight train` made; empty for ours.

    Raises:
        OptionNetError: the file cannot be used.
    """

    def __init__(self, weights: str = "") -> None:
        self._net = OptionNet.read(Path(weights) if weights else WEIGHTS)
        self.weights_sha256 = self._net.sha256

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        """Raises ValueError for `hd` with a ladder that its table does not know."""
        self._asked = Asked.of(video, qoe, self._net.caution)

    def select(self, observation: Observation) -> Decision:
        decision, _ = self.decide(observation)
        return decision

    def decide(self, observation: Observation) -> tuple[Decision, float]:
        """The decision, and how much more the network holds it worth than the next best."""
        if not observation.history:
            return Decision(0, reason="no throughput known yet"), 0.0
        chosen = options(self._asked.levels, observation.last_level)
        asked, seen = self._asked, observation
        if self._asked.levels > MAX_LEVELS:
            asked, seen = self._asked.only(chosen), thinned(observation, chosen)
        values = sane_values(self._net, view_of(seen, asked)[None])[0]
        second, best = np.partition(values, -2)[-2:]
        level, lead = chosen[int(np.argmax(values))], float(best - second)
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
        ValueError: a ladder of more than MAX_LEVELS levels.
        OptionNetError: the file cannot be used.
    """

    def __init__(self, sessions: Sessions, net: OptionNet | None = None) -> None:
        self._sessions = sessions
        self._net = net if net is not None else OptionNet.read(WEIGHTS)
        self._view = View(sessions, self._net.caution)

    def select(self) -> Ints:
        """(sessions,) the level of each next chunk; 0 before the first and after the last."""
        levels = np.zeros(len(self._sessions), np.int64)
        live = np.flatnonzero(~self._sessions.done & (self._sessions.state.chunk > 0))
        if len(live):
            levels[live] = sane_values(self._net, self._view.fill()[live]).argmax(axis=1)
        return levels

"""What is learned from: what `hindsight` holds each level worth in each state, on whatever ladder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from player.simulated.batch.sessions import Sessions
from policies.hindsight.net import OptionNet
from policies.hindsight.policy import WEIGHTS, BatchHindsight, sane_values
from policies.llm.learning.pool import BY_POLICY
from policies.view.batch import View
from policies.view.layout import MAX_LEVELS, Vectors

SHARPNESS = 3.0
"""Logits for each unit of value: what `hindsight` was itself trained with."""
LEAST = -30.0
"""Logits go no lower: a level that may not be taken."""


def read_teacher(path: str | Path | None) -> OptionNet:
    """`hindsight`'s network of a file; None for the shipped one.

    Raises:
        OptionNetError: the file cannot be used.
    """
    return OptionNet.read(Path(path) if path else WEIGHTS)


class LadderTeacher:
    """Scores the next levels of every session of a batch.

    Args:
        net: `hindsight`'s.
    """

    kind = BY_POLICY

    def __init__(self, sessions: Sessions, net: OptionNet) -> None:
        self._sessions, self._net = sessions, net
        self._view = View(sessions, net.caution)

    def scores(self, vectors: Vectors) -> Vectors:
        """(sessions, MAX_LEVELS) logits of (sessions, WIDTH); before the first chunk for the lowest level."""
        logits = np.full((len(vectors), MAX_LEVELS), LEAST, np.float32)
        logits[:, 0] = 0.0
        begun = np.flatnonzero((self._sessions.state.chunk > 0) & ~self._sessions.done)
        if len(begun):
            cautious = vectors if self._net.caution == 1.0 else self._view.fill()
            worth = sane_values(self._net, cautious[begun])
            logits[begun] = np.maximum(SHARPNESS * (worth - worth.max(axis=1, keepdims=True)), LEAST)
        return logits


def plays(sessions: Sessions, net: OptionNet) -> BatchHindsight:
    """`hindsight` as the policy of a batch."""
    return BatchHindsight(sessions, net)

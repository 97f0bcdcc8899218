"""BOLA: the buffer decides, by a Lyapunov argument (Spiteri, Urgaonkar, Sitaraman, INFOCOM 2016)."""

from __future__ import annotations

import math

from player.observation import Observation
from player.policy import Decision
from player.qoe import QoE
from player.video.video import Video

MIN_BUFFER_S = 10.0
"""dash.js, whose BOLA is by the paper's authors: `MINIMUM_BUFFER_S` of its BolaRule."""

MAX_BUFFER_S = 30.0
"""dash.js's `bufferTimeAtTopQuality`. The player's own cap of 60 s would ask for 40 s of buffer before
the top level of the usual ladder is taken, which a video of three minutes hardly fills."""


class BOLA:
    """BOLA-BASIC: the level m with the largest (V (u_m + gp) - buffer) / S_m, u_m = ln(S_m / S_1).

    This is BOLA-BASIC of the paper: no insufficient-buffer rule, no oscillation control (BOLA-U and
    BOLA-O), no abandoning of chunks. S_m is the nominal bitrate. V and gp (the paper's gamma x p),
    in seconds of buffer, follow from two conditions instead of being tuned:

        V (u_top + gp) = max_buffer_s          at this buffer the top level's score is 0
        levels 0 and 1 score the same          at min_buffer_s

    which give V = (max - min) / (u_top + a) and gp = min / V + a with a = S_1 u_2 / (S_2 - S_1)
    (S_1, S_2: the two lowest). Where every score is negative, where the paper would not download,
    the top level is taken, because when to ask is the player's affair. Of equal scores the higher
    level wins.

    Args:
        min_buffer_s: below it the lowest level is taken, positive.
        max_buffer_s: the buffer that the rule aims to stay under, above `min_buffer_s`.

    Raises:
        ValueError: buffers out of range.
    """

    def __init__(self, min_buffer_s: float = MIN_BUFFER_S, max_buffer_s: float = MAX_BUFFER_S) -> None:
        if not (math.isfinite(min_buffer_s) and min_buffer_s > 0):
            raise ValueError(f"min_buffer_s {min_buffer_s}; must be positive")
        if not (math.isfinite(max_buffer_s) and max_buffer_s > min_buffer_s):
            raise ValueError(f"max_buffer_s {max_buffer_s}; must be above min_buffer_s {min_buffer_s}")
        self.min_buffer_s = min_buffer_s
        self.max_buffer_s = max_buffer_s

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        self._ladder_kbps = video.ladder_kbps
        lowest = video.ladder_kbps[0]
        self._utility = [math.log(kbps / lowest) for kbps in video.ladder_kbps]
        self._v, self._gp = self._control(video.ladder_kbps)

    def _control(self, ladder_kbps: tuple[int, ...]) -> tuple[float, float]:
        """V in seconds and gp; of no account for a ladder of one level."""
        if len(ladder_kbps) == 1:
            return self.max_buffer_s, 1.0
        lowest, second = ladder_kbps[:2]
        a = lowest * self._utility[1] / (second - lowest)
        v = (self.max_buffer_s - self.min_buffer_s) / (self._utility[-1] + a)
        return v, self.min_buffer_s / v + a

    def select(self, observation: Observation) -> Decision:
        scores = [
            (self._v * (utility + self._gp) - observation.buffer_s) / kbps
            for utility, kbps in zip(self._utility, self._ladder_kbps, strict=True)
        ]
        best = max(scores)
        if best < 0:
            return Decision(len(scores) - 1, reason="buffer above its aim")
        level = max(level for level, score in enumerate(scores) if score == best)
        return Decision(level, reason=f"score {best:.4g}")

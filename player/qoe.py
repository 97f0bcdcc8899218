"""Quality of experience, computed from recorded facts, never recorded itself.

QoE of chunk k: ``q(R_k) - mu * stall_k - smooth * |q(R_k) - q(R_{k-1})|`` (Yin et al., SIGCOMM 2015).
`linear`: q = Mbit/s; `log`: q = ln(R / R_min); `hd`: a table, 1 to 20 over the six levels of the
usual ladder (Mao et al., SIGCOMM 2017). The first chunk, whose whole download is startup, is
skipped in means, as in the published figures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MU = {"linear": 4.3, "log": 2.66, "hd": 8.0}
"""Published stall weights (Mao et al., SIGCOMM 2017, table 1)."""

HD_REWARD = {300: 1.0, 750: 2.0, 1200: 3.0, 1850: 12.0, 2850: 15.0, 4300: 20.0}
"""Published `hd` values by bitrate in kbit/s (Mao et al., SIGCOMM 2017)."""


@dataclass(frozen=True, slots=True)
class QoE:
    """Which QoE, with which weights.

    Raises:
        ValueError: an unknown kind or a negative weight.
    """

    kind: str = "linear"
    mu: float = MU["linear"]
    smooth: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in MU:
            raise ValueError(f"QoE kind {self.kind!r}: expected one of {', '.join(MU)}")
        if not (math.isfinite(self.mu) and self.mu >= 0):
            raise ValueError(f"QoE mu {self.mu}: must be 0 or more")
        if not (math.isfinite(self.smooth) and self.smooth >= 0):
            raise ValueError(f"QoE smooth {self.smooth}: must be 0 or more")

    def __str__(self) -> str:
        return f"{self.kind}, mu {self.mu:g}, smooth {self.smooth:g}"

    def quality(self, ladder_kbps: Sequence[int]) -> tuple[float, ...]:
        """q of every level of a ladder (kbit/s, lowest first).

        Raises:
            ValueError: `hd` for a ladder that its table does not know.
        """
        if self.kind == "linear":
            return tuple(kbps / 1000.0 for kbps in ladder_kbps)
        if self.kind == "log":
            return tuple(math.log(kbps / ladder_kbps[0]) for kbps in ladder_kbps)
        unknown = [kbps for kbps in ladder_kbps if kbps not in HD_REWARD]
        if unknown:
            raise ValueError(
                f"QoE hd has no value for {unknown[0]} kbit/s (it knows {', '.join(map(str, HD_REWARD))});"
                " use linear or log with this ladder"
            )
        return tuple(HD_REWARD[kbps] for kbps in ladder_kbps)

    def per_chunk(
        self, levels: Sequence[int], stalls_s: Sequence[float], ladder_kbps: Sequence[int]
    ) -> list[float]:
        """QoE of every chunk but the first.

        Args:
            levels: (chunks,) level of each chunk, the first included.
            stalls_s: (chunks,) stall of each chunk in seconds.
            ladder_kbps: the ladder, lowest first.

        Returns:
            (chunks - 1,) values; empty for fewer than two chunks.
        """
        q = self.quality(ladder_kbps)
        return [
            q[now] - self.mu * stall_s - self.smooth * abs(q[now] - q[before])
            for before, now, stall_s in zip(levels, levels[1:], stalls_s[1:], strict=False)
        ]

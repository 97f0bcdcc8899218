"""Quality of experience, computed from recorded facts, never recorded itself.

QoE of chunk k: ``q(R_k) - mu * stall_k - smooth * |q(R_k) - q(R_{k-1})|`` (Yin et al., SIGCOMM 2015).
`linear`: q = Mbit/s; `log`: q = ln(R / R_min); `hd`: a table, 1 to 20 over the six levels of the
usual ladder (Mao et al., SIGCOMM 2017). The first chunk, whose whole download is startup, is
skipped in means, as in the published figures.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from player.record import FINISHED, ChunkRow, EndRow, by_fallback_alone
from traces.totals import running_total

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

    @classmethod
    def published(cls, kind: str = "linear", mu: float | None = None, smooth: float = 1.0) -> QoE:
        """A kind with its published stall weight, unless another is given.

        Raises:
            ValueError: as the constructor.
        """
        return cls(kind, MU.get(kind, 0.0) if mu is None else mu, smooth)

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


@dataclass(frozen=True)
class SessionSummary:
    """One session in figures. Means are over the *counted* chunks: all but the first.

    With the `linear` QoE, ``qoe == bitrate_mbps - mu * stall_s_per_chunk - smooth * smoothness_mbps``
    holds for every finished session.
    """

    weights: QoE
    outcome: str
    chunks: int
    """Chunks that arrived, the first included."""
    qoe: float | None
    """Mean over the counted chunks; None when there are none."""
    bitrate_mbps: float | None
    """Mean nominal bitrate over the counted chunks; None when there are none."""
    smoothness_mbps: float | None
    """Mean change of nominal bitrate from chunk to chunk; None when there are no counted chunks."""
    stall_s: float
    """All stall after startup, that of an unfinished chunk included."""
    stall_s_per_chunk: float | None
    """`stall_s` over the counted chunks; None when there are none."""
    stall_ratio: float
    """stall / (stall + played), startup left out; 0 for a session that never started."""
    switches: int
    """Chunks whose level differs from the one before."""
    startup_s: float
    decision_p50_ms: float | None
    """Over all chunks; None when there are none."""
    decision_p99_ms: float | None
    decided_by: dict[str, int]
    """How many chunks each decider (`policy`, `fallback`, …) chose."""
    fallback_because: str | None = None
    """Why the fallback decided the first chunk that it did; None where it decided none."""
    longest_decision_ms: float | None = None
    """Of all chunks; of a computed session's those that were really slow, None where none was."""

    @property
    def by_fallback_alone(self) -> bool:
        """Whether the figures are nobody's but the fallback's."""
        return by_fallback_alone(self.decided_by)


def summarise(
    chunks: Sequence[ChunkRow], end: EndRow, ladder_kbps: Sequence[int], weights: QoE
) -> SessionSummary:
    """A session's figures from its record.

    A session that was cut short counts what arrived, and all its stall to the end: the stall of the
    chunk that never came is charged too, though that chunk brings no quality.

    Args:
        chunks: (chunks,) rows in order.
        end: the last line.
        ladder_kbps: the ladder, lowest first.
        weights: which QoE.

    Raises:
        ValueError: `hd` for a ladder that its table does not know.
    """
    levels = [row.level for row in chunks]
    stalls_s = [row.stall_s for row in chunks]
    values = weights.per_chunk(levels, stalls_s, ladder_kbps)
    counted = len(values)
    unfinished_s = 0.0 if end.outcome == FINISHED else max(end.stall_s - running_total(stalls_s), 0.0)
    steps_kbps = [abs(ladder_kbps[now] - ladder_kbps[before]) for before, now in pairwise(levels)]
    rates_kbps = [ladder_kbps[level] for level in levels[1:]]
    decisions_ms = sorted(1000.0 * row.decision_s for row in chunks)
    shown_s = end.stall_s + end.played_s
    return SessionSummary(
        weights=weights,
        outcome=end.outcome,
        chunks=len(chunks),
        qoe=(running_total(values) - weights.mu * unfinished_s) / counted if counted else None,
        bitrate_mbps=sum(rates_kbps) / counted / 1000.0 if counted else None,
        smoothness_mbps=sum(steps_kbps) / counted / 1000.0 if counted else None,
        stall_s=end.stall_s,
        stall_s_per_chunk=end.stall_s / counted if counted else None,
        stall_ratio=end.stall_s / shown_s if shown_s > 0 else 0.0,
        switches=sum(step > 0 for step in steps_kbps),
        startup_s=end.startup_s,
        decision_p50_ms=_quantile(decisions_ms, 0.50),
        decision_p99_ms=_quantile(decisions_ms, 0.99),
        decided_by=dict(Counter(row.by for row in chunks)),
        fallback_because=next((row.fallback_words for row in chunks if row.replaced), None),
        longest_decision_ms=max(map(_really_ms, chunks), default=0.0) or None,
    )


def _really_ms(row: ChunkRow) -> float:
    return 1000.0 * row.decision_s if row.decision_ms is None else row.decision_ms


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    """Linear interpolation between the two nearest of `ordered` (rising); None for none."""
    if not ordered:
        return None
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])

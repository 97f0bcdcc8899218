"""Quality of experience, computed from recorded facts, never recorded itself.

QoE of chunk k: ``q(R_k) - mu * stall_k - smooth * |q(R_k) - q(R_{k-1})|`` (Yin et al., SIGCOMM 2015).
Of a live stream a second of latency costs besides: ``- latency * latency_k`` (`LiveQoE`).
`linear`: q = Mbit/s; `log`: q = ln(R / R_min); `hd`: a table, 1 to 20 over the six levels of the
usual ladder (Mao et al., SIGCOMM 2017); `file`: a value of
each chunk and level (`player/video/quality.py`). P.1203 (`player/perceived/p1203.py`) is of whole sessions.
The first chunk, whose whole download is startup, is skipped in means, as in the published figures.

A second of stall costs as published what the ladder's top level brings: `published_mu`. So `QoE`, which is
numbers, is made of what was asked for (`Scoring`) once a ladder is known.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

from player.defaults import MU
from player.manifest import VideoSection
from player.record import FINISHED, ChunkRow, EndRow, by_fallback_alone
from player.video.quality import QualityTable
from traces.totals import running_total

HD_REWARD = {300: 1.0, 750: 2.0, 1200: 3.0, 1850: 12.0, 2850: 15.0, 4300: 20.0}
"""Published `hd` values by bitrate in kbit/s (Mao et al., SIGCOMM 2017)."""


FILE = "file"
"""The kind whose q a table has."""

MOST_TOPS = 6
"""Of the stall weights of several ladders, a line names so many."""


def _levels_quality(kind: str, ladder_kbps: Sequence[int]) -> tuple[float, ...]:
    """q of every level; raises ValueError for `hd` and a ladder that its table does not know."""
    if kind == "linear":
        return tuple(kbps / 1000.0 for kbps in ladder_kbps)
    if kind == "log":
        return tuple(math.log(kbps / ladder_kbps[0]) for kbps in ladder_kbps)
    unknown = [kbps for kbps in ladder_kbps if kbps not in HD_REWARD]
    if unknown:
        raise ValueError(
            f"QoE hd has no value for {unknown[0]} kbit/s (it knows {', '.join(map(str, HD_REWARD))});"
            " use linear or log with this ladder"
        )
    return tuple(HD_REWARD[kbps] for kbps in ladder_kbps)


def published_mu(kind: str, ladder_kbps: Sequence[int]) -> float:
    """The stall weight of a ladder where nobody gives one: the quality of its top level, as a second of
    stall is published to cost what the ladder's top level brings.

    4.3 of the published ladder, 40 of one up to 40 Mbit/s. `log` is rounded to hundredths, as it is
    published: 2.66 of the published ladder. `hd` keeps its published 8 on all ladders that its table knows,
    though its top is worth 20: Mao et al. weigh it so, and its values were set by hand, not by bitrate.

    Args:
        kind: `linear`, `log` or `hd`.
        ladder_kbps: lowest first.

    Raises:
        ValueError: `log` of a ladder that has no top above its lowest level.
    """
    top = ladder_mu(kind, ladder_kbps)
    if top == 0:
        raise ValueError(
            "QoE log: the ladder's top is worth no more than its lowest level, so stalls would cost nothing;"
            " give a mu, or use linear"
        )
    return top


def ladder_mu(kind: str, ladder_kbps: Sequence[int]) -> float:
    """The same of any ladder: where `log` gives a top nothing, stalls cost nothing."""
    if kind == "hd":
        return MU["hd"]
    top = _levels_quality(kind, ladder_kbps)[-1]
    return round(top, 2) if kind == "log" else top


@dataclass(frozen=True, slots=True)
class QoE:
    """Which QoE, with which weights; without, those of the published ladder.

    Raises:
        ValueError: an unknown kind or a negative weight.
    """

    BY_CHUNK: ClassVar[bool] = True
    """Whether chunks have one, of which a session's is the mean."""

    kind: str = "linear"
    mu: float = MU["linear"]
    smooth: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in MU:
            raise ValueError(f"QoE kind {self.kind!r}: expected one of {', '.join(MU)}")
        self._check_weights()

    def _check_weights(self) -> None:
        if not (math.isfinite(self.mu) and self.mu >= 0):
            raise ValueError(f"QoE mu {self.mu}: must be 0 or more")
        if not (math.isfinite(self.smooth) and self.smooth >= 0):
            raise ValueError(f"QoE smooth {self.smooth}: must be 0 or more")

    @property
    def called(self) -> str:
        """Its kind for a person."""
        return self.kind

    def to_json(self) -> dict[str, Any]:
        """For a machine."""
        return {"kind": self.kind, "mu": self.mu, "smooth": self.smooth}

    def __str__(self) -> str:
        return f"{self.called}, mu {self.mu:g}, smooth {self.smooth:g}"

    def in_words(self, ladder_kbps: Sequence[int]) -> str:
        """The weights for a person: where mu is the top of the ladder (kbit/s, lowest first), it says so."""
        of = " (the ladder's top)" if self.is_top_of(ladder_kbps) else ""
        return f"{self.called}, mu {self.mu:g}{of}, smooth {self.smooth:g}"

    def is_top_of(self, ladder_kbps: Sequence[int]) -> bool:
        """Whether mu is the quality of the ladder's top level; never of `hd`, whose weight is its own."""
        return self.kind != "hd" and self.mu == ladder_mu(self.kind, ladder_kbps)

    def quality(self, ladder_kbps: Sequence[int]) -> tuple[float, ...]:
        """q of every level of a ladder (kbit/s, lowest first).

        Raises:
            ValueError: `hd` for a ladder that its table does not know.
        """
        return _levels_quality(self.kind, ladder_kbps)

    def of_chunks(self, levels: Sequence[int], ladder_kbps: Sequence[int]) -> list[float]:
        """(chunks,) q of each chunk at its level.

        Raises:
            ValueError: as `quality`.
        """
        q = self.quality(ladder_kbps)
        return [q[level] for level in levels]

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
        q = self.of_chunks(levels, ladder_kbps)
        return [
            now - self.mu * stall_s - self.smooth * abs(now - before)
            for before, now, stall_s in zip(q, q[1:], stalls_s[1:], strict=False)
        ]

    def of_session(self, chunks: Sequence[ChunkRow], end: EndRow, ladder_kbps: Sequence[int]) -> float | None:
        """A session's: the mean over all chunks but the first, and the stall of a chunk that never came; None
        for fewer than two chunks.

        Raises:
            ValueError: as `per_chunk`.
        """
        values = qoe_of_chunks(self, chunks, ladder_kbps)
        unfinished_s = 0.0
        if end.outcome != FINISHED:
            unfinished_s = max(end.stall_s - running_total([row.stall_s for row in chunks]), 0.0)
        return (running_total(values) - self.mu * unfinished_s) / len(values) if values else None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileQoE(QoE):
    """QoE whose q is a file's. What it says of levels is their mean over all chunks.

    Raises:
        ValueError: a negative weight.
    """

    table: QualityTable
    kind: str = FILE

    def __post_init__(self) -> None:
        self._check_weights()

    @property
    def called(self) -> str:
        return f"quality by {self.table.name}"

    def to_json(self) -> dict[str, Any]:
        weights = {"kind": self.kind, "mu": self.mu, "smooth": self.smooth}
        return {**weights, "quality": self.table.name, "quality_sha256": self.table.sha256}

    def is_top_of(self, ladder_kbps: Sequence[int]) -> bool:
        return self.mu == self.table.level_means[-1]

    def quality(self, ladder_kbps: Sequence[int]) -> tuple[float, ...]:
        """As `QoE.quality`.

        Raises:
            ValueError: the file has another number of levels.
        """
        means = self.table.level_means
        if len(means) != len(ladder_kbps):
            raise ValueError(f"{self.table.name} has {len(means)} levels, and the ladder {len(ladder_kbps)}")
        return means

    def of_chunks(self, levels: Sequence[int], ladder_kbps: Sequence[int]) -> list[float]:
        """As `QoE.of_chunks`.

        Raises:
            ValueError: the file has another number of levels, or fewer chunks.
        """
        self.quality(ladder_kbps)
        values = self.table.values
        if len(values) < len(levels):
            raise ValueError(f"{self.table.name} has {len(values)} chunks, and the session {len(levels)}")
        return [values[chunk][level] for chunk, level in enumerate(levels)]


LATENCY_SHARE = 0.1
"""Of the top level's quality: what a second of latency costs a chunk where nobody says else, as LoL+ weighs
it above 1.1 s (Bentaleb et al., MMSys 2020; dash.js `LoLpQoEEvaluator`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveQoE(QoE):
    """QoE of a live stream.

    Raises:
        ValueError: an unknown kind or a negative weight.
    """

    latency: float
    """What a second of latency costs a chunk."""

    def _check_weights(self) -> None:
        QoE._check_weights(self)
        if not (math.isfinite(self.latency) and self.latency >= 0):
            raise ValueError(f"QoE latency {self.latency}: must be 0 or more")

    def to_json(self) -> dict[str, Any]:
        return {**QoE.to_json(self), "latency": self.latency}

    def __str__(self) -> str:
        return f"{QoE.__str__(self)}, latency {self.latency:g}"

    def in_words(self, ladder_kbps: Sequence[int]) -> str:
        return f"{QoE.in_words(self, ladder_kbps)}, latency {self.latency:g}"

    def of_latencies(self, latencies_s: Sequence[float | None]) -> list[float]:
        """(chunks - 1,) what those of all chunks but the first cost; (chunks,) seconds."""
        return [self.latency * (latency_s or 0.0) for latency_s in latencies_s[1:]]


def live_qoe(qoe: QoE, ladder_kbps: Sequence[int], weight: float | None = None) -> LiveQoE:
    """The same with a cost of latency; without a weight, a share of what the ladder's top is worth.

    Raises:
        ValueError: a weight that is none, a ladder that the kind does not know, or quality from a file, which
            has no chunks of a live stream.
    """
    if isinstance(qoe, LiveQoE):
        return qoe
    if isinstance(qoe, FileQoE):
        raise ValueError(f"{qoe.table.name}: nobody knows the quality of a live stream's chunks beforehand")
    top = max(qoe.quality(ladder_kbps)[-1], 0.0)
    latency = round(LATENCY_SHARE * top, 6) if weight is None else weight
    return LiveQoE(kind=qoe.kind, mu=qoe.mu, smooth=qoe.smooth, latency=latency)


def scored_as(qoe: QoE, chunks: Sequence[ChunkRow], ladder_kbps: Sequence[int]) -> QoE:
    """What a record's chunks are scored by: those of a live stream by a QoE with a cost of latency.

    Raises:
        ValueError: as `live_qoe`.
    """
    live = qoe.BY_CHUNK and any(row.latency_s is not None for row in chunks)
    return live_qoe(qoe, ladder_kbps) if live else qoe


@dataclass(frozen=True, slots=True)
class Scoring:
    """Which QoE is asked for, before a ladder is known.

    Raises:
        ValueError: an unknown kind or a negative weight.
    """

    kind: str = "linear"
    mu: float | None = None
    """None: of each ladder its own, `published_mu`."""
    smooth: float = 1.0
    table: QualityTable | None = None

    def __post_init__(self) -> None:
        mu = 0.0 if self.mu is None else self.mu
        if self.table is None:
            QoE(self.kind, mu, self.smooth)
        else:
            FileQoE(table=self.table, mu=mu, smooth=self.smooth)

    def on(self, ladder_kbps: Sequence[int]) -> QoE:
        """What sessions over this ladder (kbit/s, lowest first) are scored by.

        Raises:
            ValueError: a ladder that `hd` has no values for, or to whose top `log` gives none.
        """
        if self.table is not None:
            mu = max(self.table.level_means[-1], 0.0) if self.mu is None else self.mu
            by_file = FileQoE(table=self.table, mu=mu, smooth=self.smooth)
            by_file.quality(ladder_kbps)
            return by_file
        top = published_mu(self.kind, ladder_kbps) if self.mu is None else self.mu
        qoe = QoE(self.kind, top, self.smooth)
        qoe.quality(ladder_kbps)
        return qoe

    def on_video(self, section: VideoSection | None, ladder_kbps: Sequence[int]) -> QoE:
        """What sessions of a video are scored by, of which more is known than its ladder.

        Args:
            section: as their records say it.

        Raises:
            ValueError: as `on`.
        """
        return self.on(ladder_kbps)


Scored = tuple[str, tuple[int, ...], QoE]
"""What a video is called, its ladder in kbit/s, and what sessions of it are scored by."""


def scored_words(scored: Iterable[Scored]) -> str:
    """What sessions are scored by, for a person: `linear, mu 40 (the ladder's top), smooth 1`; of several
    ladders `linear, mu the top of each ladder (4.3 envivio; 40 uhd), smooth 1`."""
    found = list(dict.fromkeys(scored))
    qoes = list(dict.fromkeys(qoe for _, _, qoe in found))
    tops = all(qoe.is_top_of(ladder) for _, ladder, qoe in found)
    if len(qoes) == 1:
        return qoes[0].in_words(found[0][1]) if tops else str(qoes[0])
    if not tops or len({(qoe.kind, qoe.smooth) for qoe in qoes}) > 1:
        return "; ".join(map(str, qoes))
    names = {
        qoe.mu: ", ".join(dict.fromkeys(name for name, _, one in found if one == qoe))
        for qoe in sorted(qoes, key=lambda qoe: qoe.mu)
    }
    listed = "; ".join(f"{mu:g} {name}" for mu, name in list(names.items())[:MOST_TOPS])
    more = f"; and {len(names) - MOST_TOPS} more" if len(names) > MOST_TOPS else ""
    return f"{qoes[0].called}, mu the top of each ladder ({listed}{more}), smooth {qoes[0].smooth:g}"


def scored_json(scored: Iterable[Scored]) -> dict[str, Any]:
    """The same for a machine: `kind`, `mu`, `smooth`; what is not the same of all is null, and then
    `by_video` has all three of each."""
    found = list(dict.fromkeys(scored))
    each = [qoe.to_json() for _, _, qoe in found]
    same = {key: each[0][key] if all(one[key] == each[0][key] for one in each) else None for key in each[0]}
    if None not in same.values():
        return same
    names = Counter(name for name, _, _ in found)
    videos = [name if names[name] == 1 else f"{name}, up to {ladder[-1]} kbit/s" for name, ladder, _ in found]
    return {**same, "by_video": dict(zip(videos, each, strict=True))}


@dataclass(frozen=True)
class SessionSummary:
    """One session in figures. Means are over the *counted* chunks: all but the first.

    With the `linear` QoE, ``qoe == bitrate_mbps - mu * stall_s_per_chunk - smooth * smoothness_mbps``
    holds for every finished session.
    """

    weights: QoE
    weights_words: str
    """The weights for a person, who sees whether mu is the top of the ladder."""
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
    latency_s: float | None = None
    """Of a live stream: the mean over the counted chunks."""
    longest_decision_ms: float | None = None
    """Of all chunks; of a computed session's those that were really slow, None where none was."""

    @property
    def by_fallback_alone(self) -> bool:
        """Whether the figures are nobody's but the fallback's."""
        return by_fallback_alone(self.decided_by)


def qoe_of_chunks(weights: QoE, chunks: Sequence[ChunkRow], ladder_kbps: Sequence[int]) -> list[float]:
    """(chunks - 1,) QoE of every recorded chunk but the first.

    Raises:
        ValueError: as `QoE.per_chunk`.
    """
    levels, stalls_s = [row.level for row in chunks], [row.stall_s for row in chunks]
    values = weights.per_chunk(levels, stalls_s, ladder_kbps)
    if not isinstance(weights, LiveQoE):
        return values
    costs = weights.of_latencies([row.latency_s for row in chunks])
    return [value - cost for value, cost in zip(values, costs, strict=True)]


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
    weights = scored_as(weights, chunks, ladder_kbps)
    counted = max(len(chunks) - 1, 0)
    steps_kbps = [abs(ladder_kbps[now] - ladder_kbps[before]) for before, now in pairwise(levels)]
    rates_kbps = [ladder_kbps[level] for level in levels[1:]]
    decisions_ms = sorted(1000.0 * row.decision_s for row in chunks)
    shown_s = end.stall_s + end.played_s
    return SessionSummary(
        weights=weights,
        weights_words=weights.in_words(ladder_kbps),
        outcome=end.outcome,
        chunks=len(chunks),
        qoe=weights.of_session(chunks, end, ladder_kbps),
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
        latency_s=_mean_latency_s(chunks),
        longest_decision_ms=max(map(_really_ms, chunks), default=0.0) or None,
    )


def _mean_latency_s(chunks: Sequence[ChunkRow]) -> float | None:
    known = [row.latency_s for row in chunks[1:] if row.latency_s is not None]
    return sum(known) / len(known) if known else None


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

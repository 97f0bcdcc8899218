"""What pairs of sessions come to, by policy: differences of whole sessions, and chunk by chunk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.bootstrap import Interval, mean_interval
from analysis.clusters import ClusterRule
from player.record import ChunkRow
from testbed.checks.clients.causes import PartedChoice, counted_causes
from testbed.checks.clients.pairs import ClientPair, ClientSession
from testbed.process.errors import TestbedError

ALL = "all"
SAME_MOMENT_S = 0.5
"""Requests of a chunk that left within this met the same link."""

MEASURES: dict[str, Callable[[ClientSession], float | None]] = {
    "qoe": lambda one: one.read.summary.qoe,
    "bitrate_mbps": lambda one: one.read.summary.bitrate_mbps,
    "stall_points": lambda one: 100.0 * one.read.summary.stall_ratio,
    "startup_s": lambda one: one.read.summary.startup_s,
    "switches": lambda one: float(one.read.summary.switches),
}
"""Of a session; stalls in points of the time played."""


@dataclass(frozen=True)
class ClientRow:
    """The pairs of one policy, or of all."""

    policy: str
    pairs: int
    ours: dict[str, float]
    """Means by measure."""
    differences: dict[str, Interval]
    """The other client's less ours."""
    chunks: int
    apart: dict[int, int]
    """Chunks by how many levels the other client's was above ours."""
    slower: tuple[float, ...]
    """Of chunks of one level, asked for at the same moment: their download time over ours, less 1."""
    causes: dict[str, int]
    """Of the choices more than a level apart."""

    @property
    def parted(self) -> int:
        """Choices more than a level apart."""
        return sum(self.causes.values())

    def to_json(self) -> dict[str, Any]:
        """As `--json` has it."""
        spread = quantiles(self.slower)
        return {
            "policy": self.policy,
            "pairs": self.pairs,
            "ours": self.ours,
            "differences": {
                name: {"mean": one.mean, "ci95": one.bounds} for name, one in self.differences.items()
            },
            "chunks": self.chunks,
            "levels_apart": {str(apart): count for apart, count in sorted(self.apart.items())},
            "same_level_and_moment": len(self.slower),
            "download_time": None if spread is None else {"median": spread[0], "p95_of_size": spread[1]},
            "parted": self.parted,
            "causes": self.causes,
        }


def quantiles(slower: Sequence[float]) -> tuple[float, float] | None:
    """The median, and the 95th percentile of the sizes; None of none."""
    if not slower:
        return None
    return float(np.median(slower)), float(np.quantile(np.abs(slower), 0.95))


def client_rows(
    pairs: Sequence[ClientPair], choices: Sequence[Sequence[PartedChoice]], rule: ClusterRule
) -> list[ClientRow]:
    """A row for each policy; then one of all, where there is more than one.

    Args:
        choices: of each pair.

    Raises:
        TestbedError: a session without a QoE.
    """
    policies = dict.fromkeys(pair.policy for pair in pairs)
    together = list(zip(pairs, choices, strict=True))
    rows = [_row(policy, [one for one in together if one[0].policy == policy], rule) for policy in policies]
    return [*rows, _row(ALL, together, rule)] if len(rows) > 1 else rows


def _row(
    policy: str, mine: Sequence[tuple[ClientPair, Sequence[PartedChoice]]], rule: ClusterRule
) -> ClientRow:
    pairs = [pair for pair, _ in mine]
    clusters = [rule.key(pair.trace) for pair in pairs]
    ours = {name: [_measured(pair.ours, name) for pair in pairs] for name in MEASURES}
    theirs = {name: [_measured(pair.theirs, name) for pair in pairs] for name in MEASURES}
    rows = [row for pair in pairs for row in chunks_of(pair)]
    return ClientRow(
        policy,
        len(pairs),
        {name: float(np.mean(values)) for name, values in ours.items()},
        {name: mean_interval(list(np.subtract(theirs[name], ours[name])), clusters) for name in MEASURES},
        len(rows),
        dict(Counter(their.level - our.level for our, their in rows)),
        tuple(slower for our, their in rows if (slower := slower_by(our, their)) is not None),
        counted_causes([choice for _, found in mine for choice in found]),
    )


def _measured(one: ClientSession, name: str) -> float:
    value = MEASURES[name](one)
    if value is None:
        raise TestbedError(f"{one.read.path}: a session of one chunk has no {name}; leave it out")
    return value


def chunks_of(pair: ClientPair) -> list[tuple[ChunkRow, ChunkRow]]:
    """(ours, theirs) of each chunk."""
    return list(zip(pair.ours.read.chunks, pair.theirs.read.chunks, strict=False))


def slower_by(ours: ChunkRow, theirs: ChunkRow) -> float | None:
    """How much longer their download took, as a share of ours; None where the two met another link, or
    aren't the same bytes."""
    same = ours.level == theirs.level and abs(ours.request_s - theirs.request_s) <= SAME_MOMENT_S
    return theirs.download_s / ours.download_s - 1.0 if same and ours.download_s > 0 else None

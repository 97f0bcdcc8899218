"""What `load` reports: a row a load, full load, and APC's QoE less the other ways'."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from policies.apc.load.players import Observed
from policies.apc.names import APC, LIGHT_ONLY, LLM
from policies.bootstrap import mean_interval
from policies.llm.serving.protocol import BY_LLM

FULL_MS = 345.0
"""Trailblazer's average before collaboration."""
LAG_MS = 20.0
"""A generator that wakes later than this, at the 99th percentile, is late itself; its figures are marked."""


class Watched(Protocol):
    """A load, as far as its row is made of it."""

    @property
    def sessions(self) -> int: ...

    @property
    def counted_from_s(self) -> float: ...

    @property
    def duration_s(self) -> float: ...


def full_load(rows: list[dict[str, Any]], layers: int) -> int | None:
    """The fewest sessions at which `llm` takes `FULL_MS` on average; None where it never does."""
    found = [
        row["sessions"]
        for row in rows
        if row["way"] == LLM and row["layers"] == layers and row["mean_ms"] >= FULL_MS
    ]
    return min(found, default=None)


def gaps(seen: dict[tuple[int, int, str], Observed]) -> Iterator[dict[str, Any]]:
    """APC's QoE less the other ways', at the same load."""
    for layers, sessions in dict.fromkeys(key[:2] for key in seen):
        for other in (LLM, LIGHT_ONLY):
            if {(layers, sessions, APC), (layers, sessions, other)} <= set(seen):
                gap = qoe_gap(seen[layers, sessions, APC], seen[layers, sessions, other])
                if gap is not None:
                    names = {"layers": layers, "sessions": sessions, "what": f"{APC} - {other}"}
                    yield names | gap


def qoe_gap(mine: Observed, other: Observed) -> dict[str, Any] | None:
    """Mean difference a chunk of the same sessions, and its interval when whole traces are drawn.

    A session counts with the chunks that it got to in both. None where there is none.
    """
    gaps, traces = [], []
    for trace, first, second in zip(mine.traces, mine.chunk_qoe, other.chunk_qoe, strict=True):
        if both := min(len(first), len(second)):
            gaps.append(float(np.mean(first[:both]) - np.mean(second[:both])))
            traces.append(trace)
    if not gaps:
        return None
    mean, low, high = mean_interval(np.array(gaps), traces)
    return {"mean": mean, "low": low, "high": high, "pairs": len(gaps), "traces": len(set(traces))}


def gap_line(gap: dict[str, Any]) -> str:
    """One of `gaps` in words."""
    return (
        f"QoE, {gap['layers']} layers, {gap['sessions']} sessions: {gap['what']} {gap['mean']:+.4f}"
        f" [{gap['low']:+.4f}, {gap['high']:+.4f}] a chunk, {gap['pairs']} pairs, {gap['traces']} traces"
    )


def row_of(
    observed: Observed, workload: Watched, way: str, layers: int, random: bool, budget_ms: float
) -> dict[str, Any]:
    """A load's figures."""
    delays = np.array(observed.delays_ms or [0.0])
    count = max(len(observed.delays_ms), 1)
    lag_ms = float(np.quantile(observed.lags_ms or [0.0], 0.99))
    p50, p95, p99 = (float(value) for value in np.quantile(delays, [0.5, 0.95, 0.99]))
    means = [np.mean(each) for each in observed.chunk_qoe if each]
    qoe = float(np.mean(means)) if means and not (random and way != LIGHT_ONLY) else None
    return {
        "layers": layers,
        "way": way,
        "sessions": workload.sessions,
        "decisions": len(observed.delays_ms),
        "per_s": len(observed.delays_ms) / (workload.duration_s - workload.counted_from_s),
        "mean_ms": float(delays.mean()),
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "max_ms": float(delays.max()),
        "by": dict(observed.by),
        "llm_share": observed.by.get(BY_LLM, 0) / count,
        "asked": observed.asked,
        "missed": int((delays > budget_ms).sum()),
        "missed_share": float((delays > budget_ms).mean()),
        "faults": dict(observed.faults),
        "qoe": qoe,
        "random_weights": random,
        "generator_lag_p99_ms": lag_ms,
        "generator_late": lag_ms > LAG_MS,
    }


HEADER = (
    "layers  way    sessions  decisions/s  mean ms    p50     p95     p99  by the model  over budget     QoE"
    "  generator's lag p99 ms"
)


def line_of(row: dict[str, Any]) -> str:
    """A load's figures on one line."""
    qoe = "-" if row["qoe"] is None else f"{row['qoe']:.3f}"
    return (
        f"{row['layers']:>6}  {row['way']:<5} {row['sessions']:>9}  {row['per_s']:>11.1f}"
        f"  {row['mean_ms']:>7.1f}"
        f" {row['p50_ms']:>6.1f}  {row['p95_ms']:>6.1f}  {row['p99_ms']:>6.1f}"
        f"  {100 * row['llm_share']:>10.1f} %"
        f"  {100 * row['missed_share']:>9.2f} %  {qoe:>6}"
        f"  {row['generator_lag_p99_ms']:.1f}{' LATE' if row['generator_late'] else ''}"
    )

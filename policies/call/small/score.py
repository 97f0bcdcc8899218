"""What a net is worth beside GCC and the oracle: bitrate and stall of the same calls, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.call.compiled_rule import CompiledRule
from player.call.path import CallPath
from player.call.scored.kinds import DELAY_MBPS_PER_S, STALL_MBPS
from player.call.scored.outcomes import CallOutcomes, call_outcomes
from player.call.settings import CallSettings
from player.call.simulated.batch import SimulatedCalls
from player.call.simulated.playing import play_rule
from player.call.simulated.told import end_of, seconds_of
from policies.bootstrap import percentile_interval
from policies.call.small.labels import label_all, told_links
from traces.trace import Trace

GCC, ORACLE = "gcc", "oracle"
HEAD = f"{'policy':<24}{'Mbit/s':>7}{'stall':>10}{'p95 ms':>7}   more Mbit/s   more stall, points   more QoE"
"""Of the table whose rows are `in_words`."""
TOGETHER = 64
"""Calls that are played at a time; it changes no result."""
Plays = Callable[[SimulatedCalls], None]
"""Plays a batch to its end."""


@dataclass(frozen=True)
class Scored:
    """(calls,) of one policy."""

    bitrate_mbps: NDArray[np.float64]
    stall_pct: NDArray[np.float64]
    frame_delay_p95_ms: NDArray[np.float64]
    """The call's length where no frame was seen."""
    lines: tuple[str, ...] = ()
    """(calls,) the trace that each was over; intervals draw whole traces. Empty: each has its own."""

    @property
    def qoe(self) -> NDArray[np.float64]:
        """(calls,) linear QoE with the usual weights (`player.call.scored.qoe`)."""
        lost = STALL_MBPS * self.stall_pct / 100.0 + DELAY_MBPS_PER_S * self.frame_delay_p95_ms / 1e3
        return np.asarray(self.bitrate_mbps - lost)


def plays_rule(rule: CompiledRule, may_probe: bool) -> Plays:
    """A rule plays."""

    def plays(calls: SimulatedCalls) -> None:
        play_rule(calls, rule, may_probe)

    return plays


def plays_oracle(calls: SimulatedCalls) -> None:
    """The oracle plays."""
    links, kbps = told_links(calls), np.zeros(len(calls))
    while True:
        feedback = calls.to_next_feedback()
        if calls.finished.all():
            return
        label_all(links, feedback, kbps)
        calls.set_rates(kbps)


def scored(
    traces: Sequence[Trace], plays: Plays, call: CallSettings, path: CallPath, threads: int, starts: int = 1
) -> Scored:
    """Calls over each trace, from its beginning and from places that divide it evenly.

    Args:
        starts: calls a trace.
    """
    over = [(trace, trace.duration_s * place / starts) for trace in traces for place in range(starts)]
    found: list[CallOutcomes] = []
    for first in range(0, len(over), TOGETHER):
        part, start_s = zip(*over[first : first + TOGETHER], strict=True)
        calls = SimulatedCalls(call, part, path, np.arange(first, first + len(part)), start_s, threads)
        plays(calls)
        ends = [(seconds_of(calls, n), end_of(calls, n, 0)) for n in range(len(calls))]
        found += [call_outcomes(call, (), seconds, end) for seconds, end in ends]
    never_ms = 1000.0 * call.duration_s
    return Scored(
        np.array([each.bitrate_mbps for each in found]),
        np.array([100.0 * each.stall_ratio for each in found]),
        np.array([each.frame_delay_p95_ms or never_ms for each in found]),
        tuple(trace.name for trace, _ in over),
    )


def row(name: str, mine: Scored, base: Scored) -> dict[str, Any]:
    """One policy's figures over a set, and what it has more than `base`, with 95 % intervals over traces."""
    gains = {
        "more_mbps": mine.bitrate_mbps - base.bitrate_mbps,
        "more_stall_pts": mine.stall_pct - base.stall_pct,
        "more_qoe": mine.qoe - base.qoe,
    }
    found: dict[str, Any] = {
        "policy": name,
        "bitrate_mbps": float(mine.bitrate_mbps.mean()),
        "stall_pct": float(mine.stall_pct.mean()),
        "frame_delay_p95_ms": float(mine.frame_delay_p95_ms.mean()),
        "more_bitrate_pct": 100.0 * float(gains["more_mbps"].mean() / base.bitrate_mbps.mean()),
    }
    for what, values in gains.items():
        found[what] = float(values.mean())
        found[f"{what}_ci95"] = list(percentile_interval(values, mine.lines or None))
    return found


def in_words(found: dict[str, Any]) -> str:
    """A row of the table."""
    (low, high), (less, most) = found["more_mbps_ci95"], found["more_stall_pts_ci95"]
    worse, better = found["more_qoe_ci95"]
    return (
        f"{found['policy']:<24}{found['bitrate_mbps']:>7.3f}{found['stall_pct']:>8.2f} %"
        f"{found['frame_delay_p95_ms']:>7.0f}   {found['more_mbps']:+.3f} [{low:+.3f}, {high:+.3f}]"
        f" ({found['more_bitrate_pct']:+.1f} %)   {found['more_stall_pts']:+.2f} [{less:+.2f}, {most:+.2f}]"
        f"   {found['more_qoe']:+.3f} [{worse:+.3f}, {better:+.3f}]"
    )

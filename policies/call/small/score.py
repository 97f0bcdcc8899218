"""What a net is worth beside GCC and the oracle: bitrate and stall of the same calls, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.call.compiled_rule import CompiledRule
from player.call.path import CallPath
from player.call.scored.outcomes import call_outcomes
from player.call.settings import CallSettings
from player.call.simulated.batch import SimulatedCalls
from player.call.simulated.playing import play_rule
from player.call.simulated.told import end_of, seconds_of
from policies.bootstrap import percentile_interval
from policies.call.small.labels import label_all, told_links
from traces.trace import Trace

GCC, ORACLE = "gcc", "oracle"
HEAD = f"{'policy':<24}{'Mbit/s':>7}{'stall':>10}{'p95 ms':>7}   more Mbit/s   more stall, points"
"""Of the table whose rows are `in_words`."""
Plays = Callable[[SimulatedCalls], None]
"""Plays a batch to its end."""


@dataclass(frozen=True)
class Scored:
    """(calls,) of one policy."""

    bitrate_mbps: NDArray[np.float64]
    stall_pct: NDArray[np.float64]
    frame_delay_p95_ms: NDArray[np.float64]
    """The call's length where no frame was seen."""


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


def scored(traces: Sequence[Trace], plays: Plays, call: CallSettings, path: CallPath, threads: int) -> Scored:
    """A call over each trace, from its beginning."""
    calls = SimulatedCalls(call, traces, path, np.arange(len(traces)), 0.0, threads)
    plays(calls)
    found = [call_outcomes(call, (), seconds_of(calls, n), end_of(calls, n, 0)) for n in range(len(calls))]
    never_ms = 1000.0 * call.duration_s
    return Scored(
        np.array([each.bitrate_mbps for each in found]),
        np.array([100.0 * each.stall_ratio for each in found]),
        np.array([each.frame_delay_p95_ms or never_ms for each in found]),
    )


def row(name: str, mine: Scored, base: Scored) -> dict[str, Any]:
    """One policy's figures over a set, and what it has more than `base`, with 95 % intervals over traces."""
    gain_mbps, stall_pts = mine.bitrate_mbps - base.bitrate_mbps, mine.stall_pct - base.stall_pct
    return {
        "policy": name,
        "bitrate_mbps": float(mine.bitrate_mbps.mean()),
        "stall_pct": float(mine.stall_pct.mean()),
        "frame_delay_p95_ms": float(mine.frame_delay_p95_ms.mean()),
        "more_mbps": float(gain_mbps.mean()),
        "more_mbps_ci95": list(percentile_interval(gain_mbps)),
        "more_bitrate_pct": 100.0 * float(gain_mbps.mean() / base.bitrate_mbps.mean()),
        "more_stall_pts": float(stall_pts.mean()),
        "more_stall_pts_ci95": list(percentile_interval(stall_pts)),
    }


def in_words(found: dict[str, Any]) -> str:
    """A row of the table."""
    low, high = found["more_mbps_ci95"]
    less, most = found["more_stall_pts_ci95"]
    return (
        f"{found['policy']:<24}{found['bitrate_mbps']:>7.3f}{found['stall_pct']:>8.2f} %"
        f"{found['frame_delay_p95_ms']:>7.0f}   {found['more_mbps']:+.3f} [{low:+.3f}, {high:+.3f}]"
        f" ({found['more_bitrate_pct']:+.1f} %)   {found['more_stall_pts']:+.2f} [{less:+.2f}, {most:+.2f}]"
    )

"""Figures of simulated sessions: a table for a person, one object for a machine."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from analysis.bootstrap import mean_interval
from analysis.clusters import ClusterRule
from player.policy import BY_FALLBACK
from player.qoe import QoE, SessionSummary
from player.record import FINISHED
from testbed.simulated.simulation import SessionToSimulate


@dataclass(frozen=True)
class SimulatedOutcome:
    """What came of one session."""

    session: SessionToSimulate
    summary: SessionSummary


def as_json(outcomes: Sequence[SimulatedOutcome], qoe: QoE, out: str) -> dict[str, Any]:
    """The object of `--json`: a line a policy, means over its sessions, the interval over traces."""
    rule = ClusterRule()
    policies = []
    for policy in dict.fromkeys(one.session.policy for one in outcomes):
        mine = [one for one in outcomes if one.session.policy == policy]
        interval = mean_interval(
            [_qoe(one) for one in mine], [rule.key(one.session.start.trace.name) for one in mine]
        )
        means = {
            name: statistics.fmean(getattr(one.summary, name) for one in mine)
            for name in (
                "bitrate_mbps",
                "stall_s_per_chunk",
                "stall_ratio",
                "smoothness_mbps",
                "startup_s",
                "switches",
            )
        }
        policies.append(
            {
                "policy": policy,
                "sessions": len(mine),
                "qoe": interval.mean,
                "qoe_ci95": interval.bounds,
                **means,
                "invalid": 0,
                "unfinished": sum(one.summary.outcome != FINISHED for one in mine),
                "fallback_chunks": sum(one.summary.decided_by.get(BY_FALLBACK, 0) for one in mine),
            }
        )
    return {
        "qoe": dataclasses.asdict(qoe),
        "link": outcomes[0].session.link_name,
        "simulated": True,
        "policies": policies,
        "out": out,
    }


def _qoe(outcome: SimulatedOutcome) -> float:
    """A computed session has two chunks or more, and so a QoE."""
    assert outcome.summary.qoe is not None
    return outcome.summary.qoe


def table(report: dict[str, Any], qoe: QoE) -> Table:
    """What a person sees of the report."""
    shown = Table(
        title=f"QoE: {qoe}; first chunk not counted; simulated, link {report['link']}",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    shown.add_column("policy")
    for name in (
        "sessions",
        "QoE",
        "95 % interval",
        "bitrate Mbit/s",
        "stall ratio",
        "stall s/chunk",
        "switches",
        "startup s",
    ):
        shown.add_column(name, justify="right")
    for one in report["policies"]:
        bounds = one["qoe_ci95"]
        cells = (
            one["policy"],
            str(one["sessions"]),
            f"{one['qoe']:.3f}",
            "-" if bounds is None else f"{bounds[0]:.3f} to {bounds[1]:.3f}",
            f"{one['bitrate_mbps']:.3f}",
            f"{100 * one['stall_ratio']:.2f} %",
            f"{one['stall_s_per_chunk']:.3f}",
            f"{one['switches']:.1f}",
            f"{one['startup_s']:.2f}",
        )
        shown.add_row(*map(Text, cells))
    return shown

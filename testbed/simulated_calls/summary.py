"""Figures of simulated calls: a table for a person, one object for a machine."""

from __future__ import annotations

import dataclasses
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from analysis.bootstrap import mean_interval
from analysis.clusters import ClusterRule
from player.call.scored.outcomes import CallOutcomes
from player.call.scored.qoe import CallQoE
from testbed.session.summary import deciders_words, shown_figure
from testbed.simulated_calls.carrying_out import LostCall, SimulatedCall
from testbed.simulated_calls.plan import CallsPlan

_FIGURES = tuple(each.name for each in dataclasses.fields(CallOutcomes))
_COLUMNS = (
    ("bitrate Mbit/s", "bitrate_mbps", 1.0, ".3f"),
    ("stall (200 ms)", "stall_ratio", 100.0, ".2f"),
    ("freezes/min", "freezes_per_min", 1.0, ".2f"),
    ("frame delay p50", "frame_delay_p50_ms", 1.0, ".0f"),
    ("p95 ms", "frame_delay_p95_ms", 1.0, ".0f"),
    ("loss", "loss_ratio", 100.0, ".2f"),
    ("link used", "link_share", 100.0, ".1f"),
)
_PER_CENT = frozenset({"stall_ratio", "loss_ratio", "link_share"})
GCC_ONLY = "fallback"


def as_json(plan: CallsPlan, made: Sequence[SimulatedCall], lost: Sequence[LostCall] = ()) -> dict[str, Any]:
    """The object of `--json`: a line a policy that has calls, means over these, the QoE's interval over
    traces."""
    return {
        "task": "call",
        "simulated": True,
        "qoe": dataclasses.asdict(plan.qoe),
        "call": dataclasses.asdict(plan.call),
        "path": dataclasses.asdict(plan.path),
        "policies": [
            _of_policy(mine, plan.qoe)
            for policy in plan.policies
            if (mine := [one for one in made if one.call.policy == policy])
        ],
        "lost": [{"record": str(one.call.record), "why": one.why} for one in lost],
        "out": str(plan.out),
    }


def _of_policy(mine: Sequence[SimulatedCall], qoe: CallQoE) -> dict[str, Any]:
    rule = ClusterRule()
    interval = mean_interval(
        [qoe.of(one.outcomes) for one in mine], [rule.key(one.call.start.trace.name) for one in mine]
    )
    return {
        "policy": mine[0].call.policy,
        "calls": len(mine),
        "qoe": interval.mean,
        "qoe_ci95": interval.bounds,
        **{name: _mean([getattr(one.outcomes, name) for one in mine]) for name in _FIGURES},
        "unseen": sum(one.outcomes.startup_s is None for one in mine),
        "decided_by": dict(sum((Counter(one.decided_by) for one in mine), Counter[str]())),
        "fallback_because": next((one.because for one in mine if one.because), None),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    """Of those that are known."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def table(plan: CallsPlan, report: dict[str, Any]) -> Table:
    """What a person sees of the report."""
    shown = Table(
        title=f"QoE: {plan.qoe.in_words}; first {plan.call.scored_from_s} s not counted; simulated",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    shown.add_column("policy")
    for name in ("calls", "QoE", "95 % interval", *(column[0] for column in _COLUMNS)):
        shown.add_column(name, justify="right")
    shown.add_column("decided by")
    for one in report["policies"]:
        bounds = one["qoe_ci95"]
        cells = (
            one["policy"],
            str(one["calls"]),
            shown_figure(one["qoe"], ".3f"),
            "-" if bounds is None else f"{bounds[0]:.3f} to {bounds[1]:.3f}",
            *(_cell(one[name], name, times, form) for _, name, times, form in _COLUMNS),
            deciders_words(one["decided_by"]),
        )
        shown.add_row(*map(Text, cells))
    return shown


def _cell(value: float | None, name: str, times: float, form: str) -> str:
    if value is None:
        return "-"
    return f"{value * times:{form}} %" if name in _PER_CENT else f"{value * times:{form}}"


def remarks_on(report: dict[str, Any]) -> list[str]:
    """What a reader of the table has to know besides."""
    lines = [f"{why}: {count} times" for why, count in Counter(one["why"] for one in report["lost"]).items()]
    for one in report["policies"]:
        stood_in = one["decided_by"].get("fallback", 0)
        if stood_in:
            total = sum(one["decided_by"].values())
            lines.append(
                f"{one['policy']}: GCC decided {stood_in} of {total} times in its place; the first time:"
                f" {one['fallback_because']}"
            )
        if one["unseen"]:
            lines.append(
                f"{one['policy']}: in {one['unseen']} of {one['calls']} calls no frame was ever seen; their"
                " delays are in no mean"
            )
    return lines


def all_good(report: dict[str, Any]) -> bool:
    """Whether no call was lost, and no policy was played by GCC alone."""
    return not report["lost"] and not any(
        one["decided_by"] and set(one["decided_by"]) <= {GCC_ONLY, "guard"} for one in report["policies"]
    )

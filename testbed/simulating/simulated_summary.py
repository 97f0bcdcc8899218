"""Figures of simulated sessions: a table for a person, one object for a machine."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from analysis.bootstrap import mean_interval
from analysis.clusters import ClusterRule
from player.defaults import DEADLINE_S
from player.policy import BY_FALLBACK
from player.qoe import Scored, SessionSummary, scored_json
from player.real.live import fallback_decided
from player.record import FINISHED
from player.registry import only_simulated
from testbed.session.summary import deciders_words, shown_figure
from testbed.simulated.simulation import SessionToSimulate

MEANS = ("bitrate_mbps", "stall_s_per_chunk", "stall_ratio", "smoothness_mbps", "startup_s", "switches")
"""Figures of a session whose means are shown."""


@dataclass(frozen=True)
class SimulatedOutcome:
    """What came of one session."""

    session: SessionToSimulate
    summary: SessionSummary | None
    """None where the session killed its process: there is no record."""

    @property
    def counts(self) -> bool:
        """Whether its figures are the policy's own."""
        return self.summary is not None and not self.summary.by_fallback_alone


def next_command(outcomes: Sequence[SimulatedOutcome]) -> str:
    """What of `analysis` runs on the records: `compare` where two policies count over one trace, `report`
    where one counts; where none does, `collect`, whose table says why."""
    met: dict[tuple[str, int], set[str]] = {}
    for one in outcomes:
        if one.counts and one.summary is not None and one.summary.qoe is not None:
            start = one.session.start
            met.setdefault((start.trace.sha256, start.index), set()).add(one.session.policy)
    if not met:
        return "collect"
    return "compare" if any(len(policies) > 1 for policies in met.values()) else "report"


def scored_in(outcomes: Sequence[SimulatedOutcome]) -> list[Scored]:
    """What the sessions are scored by, once a video."""
    found = ((one.session.video.name, one.session.video.ladder_kbps, one.session.qoe) for one in outcomes)
    return list(dict.fromkeys(found))


def as_json(outcomes: Sequence[SimulatedOutcome], out: str) -> dict[str, Any]:
    """The object of `--json`: a line a policy, means over its sessions, the interval over traces. What the
    fallback played alone counts in none of them."""
    policies = dict.fromkeys(one.session.policy for one in outcomes)
    return {
        "qoe": scored_json(scored_in(outcomes)),
        "link": outcomes[0].session.link_name,
        "simulated": True,
        "policies": [
            _of_policy([one for one in outcomes if one.session.policy == policy]) for policy in policies
        ],
        "out": out,
    }


def _of_policy(mine: Sequence[SimulatedOutcome]) -> dict[str, Any]:
    """One policy's line."""
    rule = ClusterRule()
    counted = [(one, one.summary) for one in mine if one.summary is not None and one.counts]
    played = [one.summary for one in mine if one.summary is not None]
    interval = None
    if counted:
        values = [_qoe(summary) for _, summary in counted]
        interval = mean_interval(values, [rule.key(one.session.start.trace.name) for one, _ in counted])
    decided_by = sum((Counter(summary.decided_by) for summary in played), Counter[str]())
    return {
        "policy": mine[0].session.policy,
        "sessions": len(counted),
        "qoe": None if interval is None else interval.mean,
        "qoe_ci95": None if interval is None else interval.bounds,
        **{
            name: statistics.fmean(getattr(summary, name) for _, summary in counted) if counted else None
            for name in MEANS
        },
        "decided_by": dict(decided_by),
        "longest_decision_ms": max((summary.longest_decision_ms or 0.0 for summary in played), default=0.0)
        or None,
        "invalid": 0,
        "unfinished": sum(summary.outcome != FINISHED for _, summary in counted),
        "fallback": mine[0].session.fallback,
        "fallback_chunks": decided_by[BY_FALLBACK],
        "fallback_because": next(iter(why for one in played if (why := one.fallback_because)), None),
        "by_fallback_alone": len(played) - len(counted),
        "died": len(mine) - len(played),
    }


def all_good(report: dict[str, Any]) -> bool:
    """Whether every session has a record, and none is the fallback's alone."""
    return not any(one["by_fallback_alone"] or one["died"] for one in report["policies"])


def remarks_on(outcomes: Sequence[SimulatedOutcome], report: dict[str, Any]) -> list[str]:
    """What a reader of the table has to know besides: who decided instead of a policy and why, who died,
    whose decisions would have been late on a real player, and what a mean over several ladders is."""
    lines: list[str] = []
    if len({qoe for _, _, qoe in scored_in(outcomes)}) > 1:
        lines.append(
            "each policy's mean is over videos of several ladders, each scored by its own mu, and the higher"
            " ladder weighs more; `python -m analysis table RESULTS --by video` keeps them apart"
        )
    for one in report["policies"]:
        mine = [outcome for outcome in outcomes if outcome.session.policy == one["policy"]]
        lines += [*_replaced(one, len(mine)), *_died(mine), *_slow(mine)]
    return lines


def _replaced(one: dict[str, Any], sessions: int) -> list[str]:
    if not one["fallback_chunks"]:
        return []
    line = f"{one['policy']}: {fallback_decided(one['fallback'], one['decided_by'], one['fallback_because'])}"
    alone = one["by_fallback_alone"]
    if alone == sessions:
        line += "; the policy has no QoE"
    elif alone:
        line += f"; it played {alone} of {sessions} sessions alone, which count in no mean"
    return [f"{line}; --strict stops at the first with its traceback"]


def _died(mine: Sequence[SimulatedOutcome]) -> list[str]:
    lost = [one.session.name for one in mine if one.summary is None]
    if not lost:
        return []
    more = f", and {len(lost) - 1} more" if len(lost) > 1 else ""
    return [f"{lost[0]}{more}: its process died with it (does it end it? is memory short?); not recorded"]


def _slow(mine: Sequence[SimulatedOutcome]) -> list[str]:
    """A real player would have let the fallback decide; of one that no real player offers nothing is said."""
    if only_simulated(mine[0].session.policy):
        return []
    slow = {
        one.session.name: longest_ms
        for one in mine
        if one.summary is not None
        and (longest_ms := one.summary.longest_decision_ms or 0.0) > 1000.0 * DEADLINE_S
    }
    if not slow:
        return []
    worst = max(slow, key=lambda name: slow[name])
    return [
        f"{mine[0].session.policy}: in {len(slow)} of {len(mine)} sessions a decision took over"
        f" {DEADLINE_S:g} s, the longest {slow[worst] / 1000.0:.1f} s ({worst}); a real player would have"
        " let the fallback decide it"
    ]


def _qoe(summary: SessionSummary) -> float:
    """A computed session has two chunks or more, and so a QoE."""
    assert summary.qoe is not None
    return summary.qoe


def table(report: dict[str, Any], weights: str) -> Table:
    """What a person sees of the report; `weights`: of QoE, in words."""
    shown = Table(
        title=f"QoE: {weights}; first chunk not counted; simulated, link {report['link']}",
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
    shown.add_column("decided by")
    for one in report["policies"]:
        bounds = one["qoe_ci95"]
        ratio = one["stall_ratio"]
        cells = (
            one["policy"],
            str(one["sessions"]),
            shown_figure(one["qoe"], ".3f"),
            "-" if bounds is None else f"{bounds[0]:.3f} to {bounds[1]:.3f}",
            shown_figure(one["bitrate_mbps"], ".3f"),
            "-" if ratio is None else f"{100 * ratio:.2f} %",
            shown_figure(one["stall_s_per_chunk"], ".3f"),
            shown_figure(one["switches"], ".1f"),
            shown_figure(one["startup_s"], ".2f"),
            deciders_words(one["decided_by"]),
        )
        shown.add_row(*map(Text, cells))
    return shown

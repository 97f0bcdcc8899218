"""Figures of a run's sessions: a table for a person, one object for a machine."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from player.policy import BY_PLAYER, BY_POLICY
from player.qoe import LiveQoE, QoE, SessionSummary, summarise
from player.real.live import fallback_note
from player.record import FINISHED, ChunkRow
from testbed.lanes.plan import names_of
from testbed.session.session_plan import SessionResult

SHARED = ("llm", "light")
"""Deciders of one policy that shares a session among them (`policies/apc`)."""
MOST_WHYS = 4
_FIGURES = re.compile(r"[;+-]?\s*[-+]?\d|;")
"""Where a reason's words end and its figures begin."""


def summary(result: SessionResult) -> SessionSummary:
    """One session's figures."""
    return summarise(result.chunks, result.end, result.plan.video.ladder_kbps, result.plan.scored_by)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def as_json(results: Sequence[SessionResult], qoe: QoE, out: str) -> dict[str, Any]:
    """The object of `--json`: a line a policy, means over its sessions, left out those that are invalid and
    those that the fallback played alone.

    `qoe_ci95` is an interval over traces and so null here, where there is one trace.
    """
    policies = []
    for policy in dict.fromkeys(result.plan.policy for result in results):
        mine = [result for result in results if result.plan.policy == policy]
        played = [summary(result) for result in mine if result.end.valid]
        counted = [one for one in played if not one.by_fallback_alone]

        def mean(
            get: Callable[[SessionSummary], float | None], of: list[SessionSummary] = counted
        ) -> float | None:
            return _mean([get(one) for one in of])

        policies.append(
            {
                "policy": policy,
                "sessions": len(counted),
                "qoe": mean(lambda one: one.qoe),
                "qoe_ci95": None,
                "bitrate_mbps": mean(lambda one: one.bitrate_mbps),
                "stall_s_per_chunk": mean(lambda one: one.stall_s_per_chunk),
                "stall_ratio": mean(lambda one: one.stall_ratio),
                "stall_s": mean(lambda one: one.stall_s),
                "smoothness_mbps": mean(lambda one: one.smoothness_mbps),
                "startup_s": mean(lambda one: one.startup_s),
                **({"latency_s": mean(lambda one: one.latency_s)} if isinstance(qoe, LiveQoE) else {}),
                "switches": mean(lambda one: one.switches),
                "decision_p50_ms": mean(lambda one: one.decision_p50_ms),
                "decision_p99_ms": mean(lambda one: one.decision_p99_ms),
                "decided_by": dict(sum((Counter(one.decided_by) for one in played), Counter[str]())),
                "invalid": len(mine) - len(played),
                "unfinished": sum(one.outcome != FINISHED for one in counted),
                "records": [str(result.plan.record) for result in mine],
            }
        )
    return {"qoe": qoe.to_json(), "policies": policies, "out": out}


def deciders_words(decided_by: Mapping[str, int]) -> str:
    """Who decided, and how many chunks where it was not the policy alone; the player's fixed first level
    aside."""
    deciders = {who: count for who, count in decided_by.items() if who != BY_PLAYER}
    if set(deciders) <= {BY_POLICY}:
        return BY_POLICY
    return ", ".join(f"{who} {count}" for who, count in deciders.items())


def row_names(results: Sequence[SessionResult]) -> list[str]:
    """What each session is called; see `names_of`."""
    return names_of([result.plan for result in results])


LATENCY = "latency s"
COLUMNS = (
    *("policy", "QoE", "bitrate Mbit/s", "stall ratio", "stall s", "switches", "startup s", LATENCY),
    *("decision p50/p99 ms", "decided by", "link"),
)
"""Of the table; latency is a live stream's."""


def table(results: Sequence[SessionResult], qoe: QoE) -> Table:
    """A line a session, the QoE with its weights. All sessions are of one video."""
    weights = qoe.in_words(results[0].plan.video.ladder_kbps)
    title = f"QoE: {weights}{'; first chunk not counted' if qoe.BY_CHUNK else ''}"
    live = isinstance(qoe, LiveQoE)
    shown = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in COLUMNS:
        if name != LATENCY or live:
            shown.add_column(name, justify="left" if name in ("policy", "decided by", "link") else "right")
    for name, result in zip(row_names(results), results, strict=True):
        one = summary(result)
        alone = one.by_fallback_alone  # then the figures are nobody's but the fallback's
        link = "valid" if result.end.valid else "INVALID"
        shown.add_row(
            *map(
                Text,
                (
                    name + ("" if one.outcome == FINISHED else f" ({one.outcome})"),
                    "-" if alone else shown_figure(one.qoe, ".3f"),
                    "-" if alone else shown_figure(one.bitrate_mbps, ".3f"),
                    "-" if alone else f"{100 * one.stall_ratio:.2f} %",
                    "-" if alone else f"{one.stall_s:.2f}",
                    "-" if alone else str(one.switches),
                    "-" if alone else f"{one.startup_s:.2f}",
                    *((shown_figure(one.latency_s, ".2f"),) if live else ()),
                    " / ".join(shown_figure(ms, ".2f") for ms in (one.decision_p50_ms, one.decision_p99_ms)),
                    deciders_words(one.decided_by),
                    link,
                ),
            )
        )
    return shown


def shown_figure(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


STEAL_SAID = 0.01
"""A machine that loses more of its processors' time than this to others is told so."""


def _machine(results: Sequence[SessionResult]) -> dict[str, Any]:
    """What records say of the machine, at worst; only what some record tells."""
    told = [machine for result in results if (machine := result.end.link.get("machine"))]
    figures = {
        name: [one[name] for one in told if one.get(name) is not None]
        for name in ("cpus", "steal", "pressure", "others_cores")
    }
    worst = {name: max(values) for name, values in figures.items() if values}
    waits = [ms for one in told for ms in one.get("waits_ms_per_s", {}).values()]
    return {**worst, **({"wait_ms_per_s": max(waits)} if waits else {})}


def machine_line(results: Sequence[SessionResult]) -> list[str]:
    """What the machine lost meanwhile, in a line, where it was much or where a link was not true."""
    worst = _machine(results)
    invalid = any(not result.end.valid for result in results)
    if not worst or not (invalid or worst.get("steal", 0.0) > STEAL_SAID):
        return []
    parts = []
    if "steal" in worst:
        parts.append(f"{100 * worst['steal']:.1f} % of its time went to others (steal)")
    if "others_cores" in worst:
        processors = "processors" if worst["cpus"] > 1 else "processor"
        parts.append(f"other work kept {worst['others_cores']:.1f} of {worst['cpus']} {processors} busy")
    if "wait_ms_per_s" in worst:
        parts.append(f"shaper and relays waited {worst['wait_ms_per_s']:.1f} ms a second for one")
    return [f"machine, at worst: {', '.join(parts)}"]


def _what_to_do(results: Sequence[SessionResult]) -> list[str]:
    """For whoever sees INVALID for the first time: what it means, and the way out."""
    count = sum(not result.end.valid for result in results)
    if not count:
        return []
    subject = "an INVALID link was" if count == 1 else f"{count} INVALID links were"
    whose = "its session counts" if count == 1 else "their sessions count"
    fewer = " or stream fewer at once (--lanes 1)," if len(results) > 1 else ""
    return [
        f"{subject} not what the trace says, so {whose} in no mean: end other work on this machine,{fewer}"
        " and run again, or with --retry-invalid 2; `python testbed/doctor.py` says what this machine holds"
    ]


def remarks(results: Sequence[SessionResult]) -> list[str]:
    """What a reader of the table has to know besides: untrue links and what to do about them, decisions by
    the fallback, why who decided where a policy has several deciders, and what the machine was."""
    lines = list(dict.fromkeys(note for result in results for note in result.notes))
    for policy, result in zip(row_names(results), results, strict=True):
        lines += [f"link of {policy} INVALID: {reason}" for reason in result.verdict.reasons]
        lines += _replaced(policy, result)
        lines += [f"{policy}: {shared}" for shared in _deciders(result.chunks)]
        if other := result.end.client.get("differences"):
            lines.append(f"{policy}: its player and the origin tell of other requests: {'; '.join(other)}")
        if (said := result.plan.log("stderr.txt")).exists():
            lines.append(f"{policy}: its player printed something, see {said.name} in {said.parent.name}/")
    return lines + _what_to_do(results) + machine_line(results)


def _replaced(policy: str, result: SessionResult) -> list[str]:
    """How much the fallback decided, and why."""
    if not any(row.replaced for row in result.chunks):
        return []
    return [f"{policy}: {fallback_note(summary(result), result.plan.fallback)}"]


def _deciders(chunks: Sequence[ChunkRow]) -> list[str]:
    """Of a session that policies shared, who decided how much and why; nothing of other sessions."""
    mine = [row for row in chunks if row.by in SHARED]
    if len({row.by for row in mine}) < 2:
        return []
    parts = []
    for who in SHARED:
        whys = Counter(_why(row.reason) for row in mine if row.by == who)
        listed = ", ".join(f"{why} {count}" for why, count in whys.most_common(MOST_WHYS) if why)
        parts.append(f"{who} decided {100 * whys.total() / len(chunks):.0f} % ({listed})")
    return ["; ".join(parts)]


def _why(reason: str) -> str:
    """A reason without its figures, so that equal ones can be counted."""
    return "asked in vain" if "; but " in reason else _FIGURES.split(reason)[0].strip()

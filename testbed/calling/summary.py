"""Figures of a run's calls: a table for a person, one object for a machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from player.call.media.freezes import freezes, stalled_s
from player.record import FINISHED
from testbed.calling.lane_call import CallResult
from testbed.lanes.plan import names_of
from testbed.session.summary import shown_figure


@dataclass(frozen=True)
class CallSummary:
    """One call's figures, its warm-up left out."""

    policy: str
    outcome: str
    valid: bool
    bitrate_mbps: float | None
    """Of media that came and were new."""
    stall_ratio: float | None
    """Time in gaps between seen frames over 200 ms."""
    freezes_per_min: float | None
    """WebRTC's."""
    frame_delay_p50_ms: float | None
    frame_delay_p95_ms: float | None
    """From capture to being seen."""
    loss_ratio: float | None
    """Of the packets that were missed when a later one had come."""
    decision_p50_ms: float | None
    decision_p99_ms: float | None
    """How long the policy took; None for GCC, which decides in the loop."""
    send_late_p99_ms: float | None
    decided_by: dict[str, int]


def summary(result: CallResult) -> CallSummary:
    """One call's figures."""
    begin_s, end_s = result.plan.call.warm_up_s, result.end.elapsed_s
    frames = [came for row in result.seconds if (came := row["came"])]
    frames += [result.end.receiver] if result.end.receiver else []
    at_s = np.array([value for came in frames for value in came["at_s"]])
    captured_s = np.array([value for came in frames for value in came["captured_s"]])
    scored = at_s >= begin_s
    delays_ms = 1000 * (at_s - captured_s)[scored]
    whole = [row["came"] for row in result.seconds if row["came"] and begin_s <= row["second"] <= end_s - 1]
    packets = sum(row["packets"] for row in whole)
    missed = sum(row["missed"] for row in whole)
    length_s = max(end_s - begin_s, 1e-6)
    count, _ = freezes(at_s, begin_s, end_s)
    stalls_s, _ = stalled_s(at_s, begin_s, end_s)
    took_ms = sorted(row["decision_ms"] for row in result.decisions if row["decision_ms"])
    known = bool(whole)
    return CallSummary(
        policy=result.plan.policy,
        outcome=result.end.outcome,
        valid=result.end.valid,
        bitrate_mbps=sum(row["media_bytes"] for row in whole) * 8 / 1e6 / len(whole) if known else None,
        stall_ratio=stalls_s / length_s if known else None,
        freezes_per_min=60 * count / length_s if known else None,
        frame_delay_p50_ms=_at(delays_ms, 50),
        frame_delay_p95_ms=_at(delays_ms, 95),
        loss_ratio=missed / max(packets + missed, 1) if known else None,
        decision_p50_ms=_at(took_ms, 50),
        decision_p99_ms=_at(took_ms, 99),
        send_late_p99_ms=result.end.sender.get("late", {}).get("p99_ms"),
        decided_by=dict(Counter(row["by"] for row in result.decisions)),
    )


def _at(values: Any, percent: float) -> float | None:
    return float(np.percentile(values, percent)) if len(values) else None


def as_json(results: Sequence[CallResult], out: str) -> dict[str, Any]:
    """The object of `--json`: a call each, and where its record is."""
    return {
        "calls": [{**asdict(summary(one)), "record": str(one.plan.record)} for one in results],
        "out": out,
    }


def table(results: Sequence[CallResult]) -> Table:
    """A line a call."""
    call = results[0].plan.call
    title = f"calls of {call.duration_s:g} s, the first {call.warm_up_s:g} s not counted"
    shown = Table(title=title, title_justify="left", box=None, pad_edge=False)
    left = ("policy", "decided by", "link")
    for name in (
        "policy",
        "bitrate Mbit/s",
        "stall ratio",
        "freezes/min",
        "frame delay p50/p95 ms",
        "loss",
        "decision p50/p99 ms",
        "send late p99 ms",
        "decided by",
        "link",
    ):
        shown.add_column(name, justify="left" if name in left else "right")
    for name, result in zip(names_of([one.plan for one in results]), results, strict=True):
        shown.add_row(*map(Text, _cells(name, summary(result))))
    return shown


def _cells(name: str, one: CallSummary) -> list[str]:
    return [
        name + ("" if one.outcome == FINISHED else f" ({one.outcome})"),
        shown_figure(one.bitrate_mbps, ".3f"),
        "-" if one.stall_ratio is None else f"{100 * one.stall_ratio:.2f} %",
        shown_figure(one.freezes_per_min, ".1f"),
        " / ".join(shown_figure(ms, ".0f") for ms in (one.frame_delay_p50_ms, one.frame_delay_p95_ms)),
        "-" if one.loss_ratio is None else f"{100 * one.loss_ratio:.2f} %",
        " / ".join(shown_figure(ms, ".2f") for ms in (one.decision_p50_ms, one.decision_p99_ms)),
        shown_figure(one.send_late_p99_ms, ".2f"),
        ", ".join(f"{who} {count}" for who, count in one.decided_by.items()),
        "valid" if one.valid else "INVALID",
    ]


def remarks(results: Sequence[CallResult]) -> list[str]:
    """What a reader of the table has to know besides."""
    lines = list(dict.fromkeys(note for result in results for note in result.notes))
    for name, result in zip(names_of([one.plan for one in results]), results, strict=True):
        lines += [f"call of {name} INVALID: {reason}" for reason in result.verdict.reasons]
        if result.end.reason:
            lines.append(f"{name}: {result.end.outcome}: {result.end.reason}")
        whys = Counter(row["reason"] for row in result.decisions if row["by"] == "fallback")
        lines += [f"{name}: GCC decided {count} times: {why}" for why, count in whys.most_common(3)]
        if (said := result.plan.log("stderr.txt")).exists():
            lines.append(f"{name}: something was printed, see {said.name} in {said.parent.name}/")
    return lines

"""What a rule makes of links whose rate is known: constant ones, and one that halves; computed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from player.call.compiled_rule import CompiledRule
from player.call.packets import PAYLOAD_BYTES, WIRE_BYTES
from player.call.path import CallPath
from player.call.settings import CallSettings
from player.call.simulated.batch import SimulatedCalls
from traces.trace import Trace

SETTLED_S = 20.0
"""From there on a constant link is looked at."""
HALVES_S = 30.0
"""When the link of `halved` does."""
PAYLOAD_SHARE = PAYLOAD_BYTES / WIRE_BYTES


@dataclass(frozen=True)
class OnConstantLink:
    """A rule on a link of one rate, after `SETTLED_S`."""

    link_mbps: float
    share: float
    """Mean target over the payload that the link carries, or the call's ceiling where that is less."""
    share_p5: float
    share_p95: float
    queue_p50_ms: float
    queue_p95_ms: float
    queue_max_ms: float
    """One-way delay over the empty path's, of packets that came."""
    dropped_packets: int
    """By the queue, in the whole call."""


@dataclass(frozen=True)
class Played:
    """A batch by one rule."""

    targets_kbps: NDArray[np.float64]
    """(intervals, calls)"""
    queues_ms: list[NDArray[np.float64]]
    """(calls) of packets reported after `SETTLED_S`."""
    dropped: NDArray[np.int64]


def played(rule: CompiledRule, traces: list[Trace], call: CallSettings, path: CallPath) -> Played:
    """One call over each trace, by the rule; probes are sent."""
    calls, count = SimulatedCalls(call, traces, path), len(traces)
    state, kbps, probes = rule.new_state(count), np.zeros(count), np.zeros(count)
    for each in range(count):
        rule.begin(state, each, call.start_kbps, call.min_kbps, call.max_kbps, True)
    rows: list[NDArray[np.float64]] = []
    queues: list[list[NDArray[np.float64]]] = [[] for _ in traces]
    while True:
        feedback = calls.to_next_feedback()
        if calls.finished.all():
            break
        rule.step_all(state, feedback, kbps, probes)
        calls.set_rates(kbps, probes)
        rows.append(np.clip(kbps, call.min_kbps, call.max_kbps))
        for each in range(count):
            packets = slice(0, int(feedback.packets[each]))
            if feedback.now_s[each] > SETTLED_S:
                delay_s = feedback.arrived_s[each, packets] - feedback.sent_s[each, packets]
                queues[each].append(1000.0 * delay_s[~np.isnan(delay_s)] - path.media_delay_ms)
    dropped = np.array(calls.paths.record["dropped_packets"])
    return Played(np.array(rows), [np.concatenate(each) for each in queues], dropped)


def on_constant_links(
    rule: CompiledRule, links_mbps: tuple[float, ...], call: CallSettings, path: CallPath
) -> list[OnConstantLink]:
    """A row a link."""
    traces = [Trace(f"{mbps:g} Mbit/s", (0.0, 100.0), (mbps, mbps)) for mbps in links_mbps]
    made = played(rule, traces, call, path)
    settled = made.targets_kbps[round(SETTLED_S * 1000 / call.feedback_ms) :]
    rows = []
    for place, mbps in enumerate(links_mbps):
        shares = settled[:, place] / min(1000.0 * mbps * PAYLOAD_SHARE, call.max_kbps)
        p5, p95 = np.percentile(shares, [5, 95])
        half_ms, most_ms, all_ms = map(float, np.percentile(made.queues_ms[place], [50, 95, 100]))
        dropped = int(made.dropped[place])
        spread = float(shares.mean()), float(p5), float(p95)
        rows.append(OnConstantLink(mbps, *spread, half_ms, most_ms, all_ms, dropped))
    return rows


def seconds_to_give_way(rule: CompiledRule, mbps: float, call: CallSettings, path: CallPath) -> float:
    """From when a link of `mbps` halves to the first target below what it then carries; infinite if none."""
    trace = Trace("halves", (0.0, HALVES_S, 100.0), (mbps, mbps, mbps / 2))
    targets = played(rule, [trace], call, path).targets_kbps[:, 0]
    first = round(HALVES_S * 1000 / call.feedback_ms)
    below = np.flatnonzero(targets[first:] < 500.0 * mbps * PAYLOAD_SHARE)
    return float((below[0] + 1) * call.feedback_ms / 1000.0) if len(below) else float("inf")

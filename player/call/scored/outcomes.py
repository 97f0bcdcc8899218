"""A call in figures, computed from its record.

All figures are of the seconds after the warm-up (`CallSettings.scored_from_s`). Delays of frames are from
their capture to the moment when they were seen, of those that were seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from player.call.media.freezes import freezes, stalled_s
from player.call.packets import OVERHEAD_BYTES
from player.call.record import CallEnd, CallRecord, DecisionRow, SecondRow
from player.call.settings import CallSettings
from traces.trace import Trace


@dataclass(frozen=True)
class CallOutcomes:
    """One call's figures."""

    scored_s: float
    bitrate_mbps: float
    """Of media that came for the first time."""
    sent_mbps: float
    stall_ratio: float
    """Share of the time within gaps of over 200 ms between two frames that are seen."""
    stall_excess_ratio: float
    """The same with the first 200 ms of each gap left out."""
    freezes_per_min: float
    """By WebRTC's rule."""
    frozen_ratio: float
    """Share of the time in these."""
    frame_delay_p50_ms: float | None
    frame_delay_p95_ms: float | None
    frame_delay_p99_ms: float | None
    """None: no frame was seen."""
    frames_per_s: float
    """That were seen."""
    delay_least_ms: float | None
    delay_p50_ms: float | None
    delay_p95_ms: float | None
    delay_p99_ms: float | None
    """One-way delay of packets; None: none came."""
    loss_ratio: float
    """Packets that were missed, of all that were missed or came."""
    resent_ratio: float
    """Packets sent again, of all that were sent."""
    link_share: float | None
    """Bytes that came, with all headers, of what the link could carry; None: it carried nothing, or isn't
    known."""
    rate_change: float
    """Mean |log ratio| of a second's mean rate to that of the second before; 0: it never changed."""
    startup_s: float | None
    """Until the first frame was seen; None: none was."""


def call_outcomes(
    call: CallSettings,
    decisions: Sequence[DecisionRow],
    seconds: Sequence[SecondRow],
    end: CallEnd,
    link_mbit: float | None = None,
) -> CallOutcomes:
    """A call's figures.

    Args:
        link_mbit: what the link could carry in the scored time; None: not known.
    """
    begin_s, end_s = float(call.scored_from_s), max(end.elapsed_s, call.scored_from_s + 1e-9)
    scored_s = end_s - begin_s
    scored = [row for row in seconds if row.second >= begin_s]
    shown_s = np.array([at_s for row in seconds for at_s in row.shown_s])
    captured_s = np.array([at_s for row in seconds for at_s in row.captured_s])
    delays_ms = 1000.0 * (shown_s - captured_s)[shown_s >= begin_s]
    stall_s, excess_s = stalled_s(shown_s, begin_s, end_s)
    frozen, frozen_s = freezes(shown_s, begin_s, end_s)
    came, missed = sum(row.packets for row in scored), sum(row.missed for row in scored)
    sent = sum(row.sent_packets for row in scored)
    wire_mbit = sum(row.bytes + OVERHEAD_BYTES * row.packets for row in scored) * 8 / 1e6
    return CallOutcomes(
        scored_s=scored_s,
        bitrate_mbps=sum(row.media_bytes for row in scored) * 8 / 1e6 / scored_s,
        sent_mbps=sum(row.sent_bytes for row in scored) * 8 / 1e6 / scored_s,
        stall_ratio=stall_s / scored_s,
        stall_excess_ratio=excess_s / scored_s,
        freezes_per_min=frozen / scored_s * 60.0,
        frozen_ratio=min(frozen_s / scored_s, 1.0),
        frame_delay_p50_ms=_quantile(delays_ms, 0.50),
        frame_delay_p95_ms=_quantile(delays_ms, 0.95),
        frame_delay_p99_ms=_quantile(delays_ms, 0.99),
        frames_per_s=len(delays_ms) / scored_s,
        delay_least_ms=end.delay_least_ms,
        delay_p50_ms=end.delay_p50_ms,
        delay_p95_ms=end.delay_p95_ms,
        delay_p99_ms=end.delay_p99_ms,
        loss_ratio=missed / (came + missed) if came + missed else 0.0,
        resent_ratio=sum(row.resent_packets for row in scored) / sent if sent else 0.0,
        link_share=wire_mbit / link_mbit if link_mbit else None,
        rate_change=_rate_change(call, decisions, end_s),
        startup_s=float(shown_s[0]) if len(shown_s) else None,
    )


def of_record(record: CallRecord) -> CallOutcomes:
    """The figures of a call that was recorded; its link's capacity is that of the trace in the manifest."""
    trace = record.told.trace
    link_mbit = None
    if trace is not None and trace.time_s and trace.rate_mbps and trace.start_s is not None:
        link = Trace(trace.name or "", trace.time_s, trace.rate_mbps)
        link_mbit = scored_mbit(record.call, link, trace.start_s, record.end.elapsed_s)
    return call_outcomes(record.call, record.decisions, record.seconds, record.end, link_mbit)


def scored_mbit(call: CallSettings, trace: Trace, start_s: float, elapsed_s: float) -> float:
    """Megabits that a trace carries in the scored part of a call that began at `start_s` of it."""
    end_s = max(elapsed_s, call.scored_from_s)
    return trace.megabits_until(start_s + end_s) - trace.megabits_until(start_s + call.scored_from_s)


def _rate_change(call: CallSettings, decisions: Sequence[DecisionRow], end_s: float) -> float:
    means = second_means_kbps(call, decisions, end_s)[call.scored_from_s :]
    changes = [abs(math.log(after / before)) for before, after in pairwise(means.tolist())]
    return sum(changes) / len(changes) if changes else 0.0


def second_means_kbps(
    call: CallSettings, decisions: Sequence[DecisionRow], end_s: float
) -> NDArray[np.float64]:
    """(whole seconds,) mean of the rate that was decided, over each second of the call."""
    at_s = np.array([0.0, *(row.at_s for row in decisions)])
    kbps = np.array([call.start_kbps, *(row.kbps for row in decisions)])
    edges = np.arange(math.floor(end_s) + 1.0)
    areas = np.concatenate([[0.0], np.cumsum(kbps[:-1] * np.diff(at_s))])
    place = np.searchsorted(at_s, edges, "right") - 1
    until = areas[place] + kbps[place] * (edges - at_s[place])
    return np.diff(until)


def _quantile(values: NDArray[np.float64], share: float) -> float | None:
    """Linear interpolation between the two nearest; None for none."""
    return float(np.quantile(values, share)) if len(values) else None

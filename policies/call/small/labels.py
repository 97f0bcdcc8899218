"""What links carry for certain, for every call of a batch at once: a batch's oracle, and the teacher's rate.

The same arithmetic as `policies/call/oracle.py` has for one call, compiled. The oracle looks a second ahead,
and so it falls for every hole and rises after it: an encoder follows late, what it sends too much waits in
the pacer, and over links with 20-ms variation the oracle stalls more than GCC. The *teacher* looks from 1 to
6 s ahead and takes a smaller share of it: it is steadier, and ahead of GCC in both.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from player.call.feedback_batch import FeedbackBatch
from player.call.simulated.batch import SimulatedCalls
from player.compiled.compiled import compiled
from policies.call.oracle import MARGIN, PAYLOAD_SHARE, WINDOWS_S
from policies.call.small.teacher import TEACHER_MARGIN, TEACHER_WINDOWS_S


class ToldLinks(NamedTuple):
    """The links of N calls, over T traces that lie one behind the other."""

    begin: Any
    end: Any
    """(N,) places of each call's trace."""
    time_s: Any
    rate_mbps: Any
    mbit: Any
    """(points,) what a trace has carried up to each of its points."""
    start_s: Any
    """(N,) where in the trace the call began."""
    limit_mbit: Any
    """(N,) of the queue."""
    queue_mbit: Any
    at_s: Any
    """(N,) what waits, and when in the trace that was known."""
    reaches_s: float
    """From a packet's sending until it is at the link."""


def told_links(calls: SimulatedCalls) -> ToldLinks:
    """The links of a batch that begins now."""
    distinct = {id(trace): trace for trace in calls.traces}
    lengths = [len(trace.time_s) for trace in distinct.values()]
    ends = dict(zip(distinct, np.cumsum(lengths), strict=True))
    end = np.array([ends[id(trace)] for trace in calls.traces])
    mbit = [
        np.concatenate([[0.0], np.cumsum(np.diff(trace.time_s) * np.asarray(trace.rate_mbps)[1:])])
        for trace in distinct.values()
    ]
    reaches_s = calls.path.media_delay_ms / 1000.0
    return ToldLinks(
        end - [len(trace.time_s) for trace in calls.traces],
        end,
        np.concatenate([np.asarray(trace.time_s) for trace in distinct.values()]),
        np.concatenate([np.asarray(trace.rate_mbps) for trace in distinct.values()]),
        np.concatenate(mbit),
        calls.start_s,
        np.array([calls.path.queue_limit_bytes(trace) * 8e-6 for trace in calls.traces]),
        np.zeros(len(calls)),
        calls.start_s + reaches_s,
        reaches_s,
    )


@compiled
def megabits_until(time_s: Any, rate_mbps: Any, mbit: Any, at_s: float) -> float:
    """As `Trace.megabits_until`."""
    passes = math.floor(at_s / time_s[-1])
    rest_s = at_s - passes * time_s[-1]
    place = min(np.searchsorted(time_s, rest_s, "right"), len(time_s) - 1)
    within = mbit[place - 1] + rate_mbps[place] * (rest_s - time_s[place - 1])
    return passes * mbit[-1] + within


def label_all(links: ToldLinks, feedback: FeedbackBatch, kbps: Any) -> None:
    """The oracle's rate of every call at this feedback: (N,) kbit/s are written, not below 0."""
    safe_all(links, feedback, kbps, WINDOWS_S, MARGIN)


def teach_all(links: ToldLinks, feedback: FeedbackBatch, kbps: Any, margin: float = TEACHER_MARGIN) -> None:
    """The teacher's, likewise."""
    safe_all(links, feedback, kbps, TEACHER_WINDOWS_S, margin)


@compiled
def safe_all(links: ToldLinks, feedback: FeedbackBatch, kbps: Any, windows_s: Any, margin: float) -> None:
    """A share of the least that links carry over windows, less what waits: (N,) kbit/s, not below 0."""
    for n in range(kbps.shape[0]):
        begin, end = links.begin[n], links.end[n]
        time_s, rate_mbps, mbit = links.time_s[begin:end], links.rate_mbps[begin:end], links.mbit[begin:end]
        at_s = links.start_s[n] + feedback.now_s[n] + links.reaches_s
        carried = megabits_until(time_s, rate_mbps, mbit, at_s)
        came = feedback.sent_bytes[n] * 8e-6 / PAYLOAD_SHARE
        left = carried - megabits_until(time_s, rate_mbps, mbit, links.at_s[n])
        waits = min(max(links.queue_mbit[n] + came - left, 0.0), links.limit_mbit[n])
        links.queue_mbit[n], links.at_s[n] = waits, at_s
        least_mbps = np.inf
        for length_s in windows_s:
            until = megabits_until(time_s, rate_mbps, mbit, at_s + length_s)
            least_mbps = min(least_mbps, (until - carried - waits) / length_s)
        kbps[n] = max(least_mbps, 0.0) * margin * PAYLOAD_SHARE * 1000.0

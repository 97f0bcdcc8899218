"""What each of those who shared a bottleneck got of it.

Rates are of payload over the time in which all were there: from `SETTLE_S` after the last one began to when
the first one ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from analysis.together.jain import jain
from traces.trace import Trace

CALL, VIDEO, FLOW = "call", "video", "flow"

SETTLE_S = 5.0
"""After the last one began: as long as a call's warm-up, which is not scored either."""
SHORTEST_S = 1.0
"""Rates over less than this tell nothing."""


@dataclass(frozen=True)
class Arrivals:
    """Payload as it came: spans of time since the lane's first session began, and bytes, even over each."""

    spans: tuple[tuple[float, float, float], ...] = ()
    """(from, until, bytes)."""

    @classmethod
    def by_second(cls, received: Sequence[float], offset_s: float = 0.0) -> Arrivals:
        """Bytes by the second in which they came, seconds counted from `offset_s` on."""
        return cls(
            tuple(
                (offset_s + second, offset_s + second + 1.0, float(count))
                for second, count in enumerate(received)
            )
        )

    def within(self, from_s: float, until_s: float) -> float:
        """Bytes that came from one moment to another."""
        total = 0.0
        for begin_s, end_s, count in self.spans:
            shared_s = min(end_s, until_s) - max(begin_s, from_s)
            if shared_s > 0:
                total += count * shared_s / (end_s - begin_s)
        return total


@dataclass(frozen=True)
class Member:
    """One of those who shared a bottleneck."""

    kind: str
    name: str
    """Its policy, as it was asked for; of a flow its congestion control and its number."""
    begin_s: float | None
    """Since the lane's first session began; None: it never did."""
    end_s: float | None
    arrivals: Arrivals
    record: str | None = None
    stall_ratio: float | None = None
    """Of the whole session; None of a flow."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else is worth a word of it."""
    fault: str = ""


def time_of_all(members: Sequence[Member]) -> tuple[float, float] | None:
    """From when to when all were there; None where they never were, or hardly."""
    begins = [one.begin_s for one in members if one.begin_s is not None]
    ends = [one.end_s for one in members if one.end_s is not None]
    if not members or len(begins) < len(members) or len(ends) < len(members):
        return None
    from_s, until_s = max(begins) + SETTLE_S, min(ends)
    return (from_s, until_s) if until_s - from_s >= SHORTEST_S else None


def sharing(members: Sequence[Member], trace: Trace, start_s: float) -> dict[str, Any]:
    """What each got, as records have it.

    Args:
        trace: of the link.
        start_s: where in it the lane's first session began.
    """
    time = time_of_all(members)
    rates: list[float | None] = [None] * len(members)
    carried_mbps = fairness = None
    if time is not None:
        from_s, until_s = time
        length_s = until_s - from_s
        got = [one.arrivals.within(from_s, until_s) * 8 / 1e6 / length_s for one in members]
        mbit = trace.megabits_until(start_s + until_s) - trace.megabits_until(start_s + from_s)
        rates, carried_mbps, fairness = list(got), mbit / length_s, jain(got)
    return {
        "from_s": None if time is None else round(time[0], 3),
        "until_s": None if time is None else round(time[1], 3),
        "carried_mbps": _rounded(carried_mbps),
        "jain": _rounded(fairness),
        "members": [
            {
                "kind": one.kind,
                "name": one.name,
                "record": one.record,
                "begin_s": _rounded(one.begin_s),
                "end_s": _rounded(one.end_s),
                "mbps": _rounded(rate),
                "share": _rounded(rate / carried_mbps) if rate is not None and carried_mbps else None,
                "stall_ratio": _rounded(one.stall_ratio),
                **one.facts,
                **({"fault": one.fault} if one.fault else {}),
            }
            for one, rate in zip(members, rates, strict=True)
        ],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)

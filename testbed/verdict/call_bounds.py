"""Bounds on the two ends of a call: what was late at one of them is no property of the link.

Each bound is a function of the evidence and says in words what is out of it. Its docstring says what a
controller could have noticed.
"""

from __future__ import annotations

from testbed.verdict.evidence import Evidence

SEND_LATE_P99_MS = 2.0
"""A packet that leaves later leaves with the next one, and both make a queue that no pacer would: at
2.5 Mbit/s packets are 3.8 ms apart, so at half of that their order of arrival is still the pacer's."""
SEND_LATE_MAX_MS = 20.0
"""What the pacer does not catch up with (`player/call/media/pacer.py`); and half of a frame's time."""
REPORT_LATE_P99_MS = 5.0
"""Of a report: a tenth of the usual interval; it reaches the controller that much later."""
REPORT_LATE_MAX_MS = 50.0
"""A usual interval: a controller that hears nothing for so long may take the link for dark."""


def late_senders(evidence: Evidence) -> list[str]:
    """Late packets queue where the call's own pacing would have let none queue."""
    found = []
    for call in evidence.calls:
        late = (call.send_late_p99_ms, call.send_late_max_ms)
        found += _beyond("packets left", *late, SEND_LATE_P99_MS, SEND_LATE_MAX_MS)
    return found


def late_reports(evidence: Evidence) -> list[str]:
    """A controller acts on what it hears: late reports are a longer round trip."""
    found = []
    for call in evidence.calls:
        late = (call.report_late_p99_ms, call.report_late_max_ms)
        found += _beyond("reports left", *late, REPORT_LATE_P99_MS, REPORT_LATE_MAX_MS)
    return found


def _beyond(what: str, p99_ms: float | None, max_ms: float | None, most_p99: float, most: float) -> list[str]:
    if p99_ms is not None and p99_ms > most_p99:
        return [f"{what} late: one in a hundred {p99_ms:.1f} ms, where {most_p99:g} ms is the most"]
    if max_ms is not None and max_ms > most:
        return [f"{what} late: {max_ms:.1f} ms at worst, where {most:g} ms is the most"]
    return []


def refused_datagrams(evidence: Evidence) -> list[str]:
    """What a kernel did not take of its own host was lost by no link."""
    refused = sum(call.refused for call in evidence.calls)
    return [f"{refused} datagrams were not taken by their own host's kernel"] if refused else []


CALL_BOUNDS = (late_senders, late_reports, refused_datagrams)

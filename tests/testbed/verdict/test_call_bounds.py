"""The bounds on a call's two ends: one in time keeps each, and what is late or foreign is named."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from testbed.verdict.call_bounds import CALL_BOUNDS
from testbed.verdict.evidence import CallUse, Evidence
from testbed.verdict.judge import judge
from tests.testbed.verdict.test_judge import rows_with
from tests.testbed.verdict.test_path_bounds import ACKS, DROPS, SENT, path_use

CALL = CallUse(
    media_sent=SENT,
    media_received=SENT - DROPS,
    feedback_sent=ACKS,
    feedback_received=ACKS,
    refused=0,
    strange=0,
    real_time=True,
    send_late_p99_ms=0.4,
    send_late_max_ms=3.0,
    report_late_p99_ms=0.5,
    report_late_max_ms=2.0,
)


def reasons(call: CallUse, **path: Any) -> tuple[str, ...]:
    """What is said of a call over a path on which nothing but it has passed."""
    udp = SENT + (SENT - DROPS) + 2 * ACKS
    alone = {"tcp_segments_out": 0, "retransmits": 0, "timeouts": 0, "loss_probes": 0, "connections": 0}
    use = path_use(**{**alone, "strangers": udp, **path})
    return judge(Evidence(rows_with(20), path=use, calls=[call])).reasons


def test_a_call_in_time_keeps_all_bounds() -> None:
    assert reasons(CALL) == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"send_late_p99_ms": 2.1}, "packets left late: one in a hundred 2.1 ms, where 2 ms is the most"),
        ({"send_late_max_ms": 20.5}, "packets left late: 20.5 ms at worst, where 20 ms is the most"),
        ({"report_late_p99_ms": 5.2}, "reports left late: one in a hundred 5.2 ms, where 5 ms is the most"),
        ({"report_late_max_ms": 51.0}, "reports left late: 51.0 ms at worst, where 50 ms is the most"),
        ({"refused": 3}, "3 datagrams were not taken by their own host's kernel"),
    ],
)
def test_what_an_end_did_late_or_not_at_all_is_named(changes: dict[str, Any], said: str) -> None:
    assert said in reasons(dataclasses.replace(CALL, **changes))


@pytest.mark.parametrize("bound", CALL_BOUNDS)
def test_at_the_bound_is_within(bound: Any) -> None:
    at_most = dataclasses.replace(
        CALL, send_late_p99_ms=2.0, send_late_max_ms=20.0, report_late_p99_ms=5.0, report_late_max_ms=50.0
    )
    assert bound(Evidence((), calls=[at_most])) == []


def test_datagrams_of_others_are_told_from_the_calls_own() -> None:
    udp = SENT + (SENT - DROPS) + 2 * ACKS
    assert any("1 UDP and ICMP packets" in reason for reason in reasons(CALL, strangers=udp + 1))


def test_a_packet_that_left_the_server_and_that_no_call_sent_is_named() -> None:
    fewer = dataclasses.replace(CALL, media_sent=SENT - 1)
    assert any("in the server" in reason or "UDP" in reason for reason in reasons(fewer))


def test_an_end_that_did_not_live_to_tell_is_no_reason_by_itself() -> None:
    dead = dataclasses.replace(
        CALL, media_received=None, feedback_sent=None, report_late_p99_ms=None, report_late_max_ms=None
    )
    assert reasons(dead) == ()

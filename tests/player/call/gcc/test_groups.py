"""Which packets are one group, and the deltas between groups, by hand."""

from __future__ import annotations

from itertools import pairwise

import pytest

from player.call.gcc import groups
from player.call.gcc.groups import add_packet, forget_groups
from player.call.gcc.state import new_state


def deltas(packets: list[tuple[float, float]]) -> list[tuple[int, float, float]]:
    """(which packet, sent ms, arrived ms) of each group that ended; packets are (sent ms, arrived ms)."""
    group = new_state(1).groups[0]
    forget_groups(group)
    found = []
    for place, (sent_ms, arrived_ms) in enumerate(packets):
        known, sent, arrived = add_packet(group, sent_ms / 1000, arrived_ms / 1000, arrived_ms / 1000 + 0.05)
        if known:
            found.append((place, round(sent, 6), round(arrived, 6)))
    return found


def test_constants_are_those_of_webrtc() -> None:
    assert (groups.GROUP_S, groups.BURST_S, groups.LONGEST_BURST_S) == (0.005, 0.005, 0.100)
    assert (groups.REORDERED_RESET, groups.CLOCK_JUMP_S) == (3, 3.0)


def test_a_group_is_what_was_sent_within_five_ms() -> None:
    packets = [(0, 40), (4.9, 47), (20, 65), (24, 72), (40, 84), (60, 101)]
    assert deltas(packets) == [(4, 24 - 4.9, 72 - 47), (5, 40 - 24, 84 - 72)]


def test_a_burst_after_an_outage_is_one_group_for_a_tenth_of_a_second() -> None:
    """Sent each 20 ms, held, then all at once 1 ms apart: they join as long as the group is young."""
    held = [(20.0 * n, 2000 + 1.0 * n) for n in range(1, 201)]
    ended = deltas([(-100, 0), (0, 40), *held])
    first = ended[0]
    assert first[0] == 2  # the packet before the outage ended with the burst's first
    lengths = [b[0] - a[0] for a, b in pairwise(ended)]
    assert lengths and all(length == 100 for length in lengths)


@pytest.mark.parametrize("mbps", [1.0, 1.5, 2.0, 3.0])
def test_a_saturated_link_does_not_blind_the_groups(mbps: float) -> None:
    """The link spaces frames of 1242 bytes; a pacer sends each 5 ms. At 2 Mbit/s that is 4.968 ms."""
    spacing_ms = 1242 * 8 / mbps / 1000
    packets = [(5.0 * n, 40 + max(5.0, spacing_ms) * n) for n in range(400)]
    drained = [(5.0 * n + 2.0, 200 + spacing_ms * n) for n in range(400)]
    for series in (packets, drained):
        ended = deltas(series)
        gaps = [b[0] - a[0] for a, b in pairwise(ended)]
        assert ended and max(gaps) <= 0.1 / (spacing_ms / 1000) + 2


def test_what_was_sent_in_the_same_millisecond_joins() -> None:
    packets = [(0, 40), (7.1, 47), (7.9, 90), (30, 100), (50, 120)]
    assert deltas(packets) == [(3, 7.9, 50), (4, pytest.approx(22.1), 10)]


def test_a_packet_sent_before_its_group_is_passed_over() -> None:
    assert deltas([(10, 50), (3, 51), (30, 70), (50, 90)]) == [(3, 20, 20)]


def test_three_groups_out_of_order_begin_anew() -> None:
    """Arrivals that run backwards: nothing is said, then all is forgotten and two groups are needed again."""
    backwards = [(20.0 * n, 500.0 - 10.0 * n) for n in range(6)]
    onwards = [(20.0 * n, 1000.0 + 20.0 * n) for n in range(10, 14)]
    assert [place for place, _, _ in deltas([*backwards, *onwards])] != []
    assert all(place > len(backwards) for place, _, _ in deltas([*backwards, *onwards]))

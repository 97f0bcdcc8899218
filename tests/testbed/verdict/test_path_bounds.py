"""The bounds on the path: an untouched lane keeps each, and each kind of untruth is named."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.link.settings import LinkSettings, Loss
from testbed.verdict.evidence import ChunkTime, Evidence, QuicUse
from testbed.verdict.judge import judge
from testbed.verdict.path_bounds import (
    FEWEST_CHUNKS,
    PATH_BOUNDS,
    UNSETTLED_PACKETS,
    _added_loss,
    a_longer_round_trip,
    hops,
    time_off,
)
from testbed.verdict.path_counters import PathUse
from tests.testbed.verdict.test_judge import rows_with

SENT, ACKS, KICKS = 1000, 520, 4
DROPS = 12
PAYLOAD = (SENT - DROPS) * 1448 - 20_000


def path_use(**changes: Any) -> PathUse:
    """A session in which all went as asked: 12 drops by the queue, 12 segments sent again."""
    passed = SENT - DROPS
    use = PathUse(
        seconds=20.0,
        server_ip_out=700,
        server_tx=SENT,
        wan_up_rx=SENT,
        lost_as_asked=0,
        wan_down_tx=SENT,
        router_up_rx=SENT,
        queued=SENT + KICKS,
        dropped=DROPS,
        waiting_bytes=0,
        sent=passed + KICKS,
        router_down_tx=passed + KICKS,
        player_rx=passed + KICKS,
        player_ip_in=passed,
        player_delivered=passed,
        player_ip_out=ACKS,
        player_tx=ACKS,
        router_down_rx=ACKS,
        router_up_tx=ACKS,
        wan_down_rx=ACKS,
        delayed=ACKS,
        wan_up_tx=ACKS,
        server_rx=ACKS,
        server_ip_in=ACKS,
        server_delivered=ACKS,
        sent_bytes=passed * 1514 + KICKS * 60,
        player_ip_bytes=passed * 1500,
        retransmits=DROPS,
        timeouts=0,
        loss_probes=0,
        tcp_segments_out=SENT - DROPS,
        strangers=0,
        connections=0,
        checksum_errors=0,
    )
    return dataclasses.replace(use, **changes)


def chunk_time(chunk: int, ttfb_ms: float = 83.0, download_s: float = 2.0) -> ChunkTime:
    """Expected: 83 ms and 2 s."""
    return ChunkTime(chunk, 2.0 * chunk, ttfb_ms / 1000, download_s, 0.083, 2.0)


def evidence(**changes: Any) -> Evidence:
    """An untouched session of twenty chunks."""
    whole = Evidence(
        rows=rows_with(40, sent_packets=25),
        settings=LinkSettings(rtt_ms=80.0),
        path=path_use(),
        chunks=[chunk_time(chunk) for chunk in range(20)],
        payload_bytes=PAYLOAD,
    )
    return dataclasses.replace(whole, **changes)


def said(**changes: Any) -> str:
    """What all bounds say, in one text."""
    return "; ".join(reason for bound in PATH_BOUNDS for reason in bound(evidence(**changes)))


def test_an_untouched_session_keeps_every_bound() -> None:
    assert judge(evidence()).reasons == ()


@pytest.mark.parametrize(
    ("place", "where"),
    [
        ("server_tx", "in the server"),
        ("wan_up_rx", "between the server and the delay stage"),
        ("wan_down_tx", "in the delay stage, downwards"),
        ("router_up_rx", "between the delay stage and the router"),
        ("queued", "in the router before the bottleneck"),
        ("router_down_tx", "at the bottleneck's interface"),
        ("player_rx", "between the bottleneck and the player"),
        ("player_delivered", "in the player"),
        ("player_tx", "in the player, upwards"),
        ("router_down_rx", "between the player and the router"),
        ("router_up_tx", "in the router, upwards"),
        ("wan_down_rx", "between the router and the delay stage"),
        ("delayed", "on the way into the delay stage, upwards"),
        ("wan_up_tx", "in the delay stage, upwards"),
        ("server_rx", "between the delay stage and the server"),
        ("server_ip_in", "at the server's interface"),
        ("server_delivered", "in the server, upwards"),
    ],
)
def test_a_packet_that_goes_missing_is_named_with_its_place(place: str, where: str) -> None:
    count = getattr(path_use(), place)
    missing = 3 + (KICKS if place == "queued" else 0)
    assert f"packets were lost {where}" in said(path=path_use(**{place: count - missing}))


def test_packets_beyond_our_own_kicks_are_named_however_often_the_rate_was_changed() -> None:
    rows = rows_with(40, where=range(40), refills=50, kicks=2, sent_packets=25)
    ours = path_use(queued=SENT + 80, sent=SENT - DROPS + 80, router_down_tx=SENT - DROPS + 80)
    assert "in the router before" not in said(path=ours, rows=rows)
    more = dataclasses.replace(ours, queued=SENT + 100)
    assert "100 packets came out in the router before the bottleneck" in said(path=more, rows=rows)


def test_packets_that_nobody_sent_are_named() -> None:
    assert "50 packets came out between the delay stage and the router" in said(
        path=path_use(router_up_rx=SENT + 50)
    )
    assert "in the router before the bottleneck that did not go in" in said(path=path_use(queued=SENT + 200))


def test_a_lane_that_did_not_come_to_rest_may_have_some_packets_on_their_way() -> None:
    moving = {"settled": False, "wan_up_tx": ACKS - UNSETTLED_PACKETS}
    assert said(path=path_use(**moving)) == ""
    assert "lost in the delay stage, upwards" in said(path=path_use(**{**moving, "wan_up_tx": ACKS - 40}))


def test_what_waits_in_the_bottleneck_is_not_lost() -> None:
    waiting = path_use(queued=SENT - 20, waiting_bytes=20 * 1514)
    assert not [hop for hop in hops(waiting, KICKS) if hop.where.startswith("in the router") and hop.fault()]


def test_a_queue_that_was_replaced_is_told_by_its_counters() -> None:
    assert said(path=path_use(sent=-12, queued=-12, sent_bytes=-5267)).startswith(
        "the bottleneck's counters ran backwards: its queue was replaced"
    )


def test_bytes_that_do_not_agree_are_named() -> None:
    assert "bytes and" in said(path=path_use(sent_bytes=path_use().sent_bytes + 60))


def test_asked_loss_is_held_to_its_share() -> None:
    settings = LinkSettings(rtt_ms=80.0, loss=Loss("uniform", 2.0))

    def lost(count: int) -> str:
        path = path_use(
            server_tx=10_000 + count,
            tcp_segments_out=10_000,
            retransmits=DROPS,
            wan_up_rx=10_000,
            lost_as_asked=count,
        )
        return said(settings=settings, path=path)

    assert "was asked" not in lost(200)
    assert "was asked" not in lost(250)
    assert "280 of 10000 packets were lost where 2.00% was asked" in lost(280)
    assert "was asked" in lost(130)
    assert "was asked" in lost(0)


def test_a_chain_of_losses_may_wander_further() -> None:
    chain = LinkSettings(rtt_ms=80.0, loss=Loss("gemodel", 1.0, 10.0, 50.0, 0.0))
    due = 10_000 * (1 / 11) * 0.5
    path = path_use(wan_up_rx=10_000, lost_as_asked=round(due * 1.3))
    assert "was asked" not in said(settings=chain, path=path)
    assert "was asked" in said(settings=chain, path=dataclasses.replace(path, lost_as_asked=round(due * 3)))


def test_loss_that_nobody_asked_for_is_a_fault_of_the_stage_too() -> None:
    assert "3 of 1000 packets were lost where 0.00% was asked" in said(path=path_use(lost_as_asked=3))


def test_segments_that_are_sent_again_without_a_loss_are_named() -> None:
    again = "segments again where 12 were dropped"
    assert again in said(path=path_use(retransmits=DROPS + 119, server_tx=SENT + 119))
    probed = path_use(retransmits=DROPS + 2, loss_probes=2)
    assert again not in said(path=probed)
    assert again not in said(path=path_use(retransmits=DROPS + 100, timeouts=1))


def test_somebody_elses_packets_and_bytes_are_named() -> None:
    assert "UDP and ICMP" in said(path=path_use(strangers=5))
    assert "came broken" in said(path=path_use(checksum_errors=1))
    assert "somebody else's traffic" in said(payload_bytes=PAYLOAD * 9 // 10)
    assert "another way" in said(payload_bytes=PAYLOAD * 11 // 10)
    assert said(payload_bytes=None) == ""


def test_a_first_byte_sooner_than_the_round_trip_went_around_the_delay() -> None:
    chunks = [chunk_time(chunk, 38.0 if chunk == 7 else 83.0) for chunk in range(20)]
    assert "chunk 8 of 20: its first byte came after 38.0 ms" in said(chunks=chunks)
    jittery = LinkSettings(rtt_ms=80.0, jitter_ms=45.0)
    assert "first byte" not in said(chunks=chunks, settings=jittery)


def test_a_first_byte_sooner_than_the_traces_delay_went_around_it() -> None:
    """From 10 s on the trace adds 100 ms; a request just after that may still have passed without."""
    rows = rows_with(40, where=range(10, 40), delay_ms=100.0, sent_packets=25)
    rows = [dataclasses.replace(row, sent_packets=25) for row in rows]
    late = [chunk_time(chunk, 83.0 if chunk < 6 else 183.0) for chunk in range(20)]
    delayed = [dataclasses.replace(one, expected_ttfb_s=None) for one in late]
    assert said(rows=rows, chunks=delayed) == ""
    delayed[5] = ChunkTime(5, 10.1, 0.083, 2.0)
    assert said(rows=rows, chunks=delayed) == ""
    delayed[12] = ChunkTime(12, 24.0, 0.12, 2.0)
    assert (
        "chunk 13 of 20: its first byte came after 120.0 ms where a round trip of 180 ms was asked"
        in said(rows=rows, chunks=delayed)
    )


def test_a_traces_losses_count_by_the_packets_that_came_to_them() -> None:
    """Half of 20,000 packets met a loss of 40 %: 4,000 are lost, and 6,000 of those 10,000 pass."""
    rows = rows_with(20, where=range(10, 20), loss_pct=40.0)
    rows = [dataclasses.replace(row, sent_packets=600 if row.loss_pct else 1000) for row in rows]
    assert _added_loss(rows) == pytest.approx(0.2)
    assert _added_loss(rows_with(3)) == 0.0


@pytest.mark.parametrize("more_ms", [20.0, 160.0])
def test_a_longer_round_trip_shows_in_the_first_bytes(more_ms: float) -> None:
    chunks = [chunk_time(chunk, 83.0 + (more_ms if chunk > 1 else 0.0)) for chunk in range(20)]
    assert "first bytes came" in said(chunks=chunks)


def test_ends_that_take_their_time_now_and_then_are_no_longer_round_trip() -> None:
    chunks = [chunk_time(chunk, 83.0 + (60.0 if chunk % 3 == 0 else 0.0)) for chunk in range(20)]
    assert said(chunks=chunks) == ""


@pytest.mark.parametrize("share", [0.05, -0.05, 2.0])
def test_chunks_that_take_another_time_are_named(share: float) -> None:
    chunks = [chunk_time(chunk, download_s=2.0 * (1 + (share if chunk > 1 else 0))) for chunk in range(20)]
    assert "against what they take over this trace" in said(chunks=chunks)


def test_one_chunk_that_the_model_gets_wrong_is_no_fault_of_the_link() -> None:
    chunks = [chunk_time(chunk, download_s=1.0 if chunk == 4 else 2.0) for chunk in range(20)]
    assert said(chunks=chunks) == ""


def test_without_a_model_or_with_few_chunks_times_are_not_judged() -> None:
    unmodelled = [ChunkTime(chunk, 0.0, 5.0, 50.0) for chunk in range(20)]
    assert said(chunks=unmodelled) == ""
    assert said(chunks=[chunk_time(chunk, download_s=2.2) for chunk in range(FEWEST_CHUNKS - 1)]) == ""


def test_a_chunk_that_stood_still_is_named() -> None:
    chunks = [chunk_time(chunk, download_s=4.1 if chunk == 9 else 2.0) for chunk in range(20)]
    assert "chunk 10 of 20 took 4.10 s where the asked path explains 2.00 s" in said(chunks=chunks)
    dropping = rows_with(40, where=[19], drops=5, sent_packets=25)
    assert said(chunks=chunks, rows=dropping) == "", "TCP may have waited for its timers"
    chunks[9] = chunk_time(9, download_s=5.2)
    assert "chunk 10 of 20 took 5.20 s" in said(chunks=chunks, rows=dropping)


def test_a_first_byte_that_was_held_up_is_no_recovery() -> None:
    chunks = [chunk_time(chunk, ttfb_ms=2100.0 if chunk == 2 else 83.0) for chunk in range(20)]
    rows = rows_with(40, where=[4, 5], drops=5, sent_packets=25)
    assert "chunk 3 of 20: its first byte came after 2.10 s" in said(chunks=chunks, rows=rows)


def test_what_others_changed_and_what_the_probe_found_are_said() -> None:
    assert "somebody changed the lane: rule deleted (wan, at 2.00 s)" in said(
        changes=["rule deleted (wan, at 2.00 s)"]
    )
    assert "after the session: RTT 90 ms" in said(probe_faults=["RTT 90 ms"])


@given(st.lists(st.floats(-0.5, 5.0), min_size=4, max_size=40))
def test_two_chunks_that_the_model_gets_wrong_move_nothing(shares: list[float]) -> None:
    chunks = [chunk_time(chunk, download_s=2.0 * (1 + share)) for chunk, share in enumerate(shares[:2])]
    chunks += [chunk_time(chunk) for chunk in range(2, 8)]
    assert time_off(chunks) == (0.0, 0.0)


@given(st.floats(0.03, 2.0), st.integers(6, 60))
def test_a_link_that_is_slower_throughout_shows_whatever_the_number_of_chunks(
    share: float, count: int
) -> None:
    chunks = [chunk_time(chunk, download_s=2.0 * (1 + share)) for chunk in range(count)]
    in_all, median = time_off(chunks)
    assert in_all == pytest.approx(median) == pytest.approx(share - 0.004)


def test_work_of_both_ends_is_not_the_links_time() -> None:
    quick = [ChunkTime(chunk, 0.0, 0.083, 0.107, 0.083, 0.1) for chunk in range(20)]
    assert time_off(quick) == (0.0, 0.0)


def test_what_was_not_gathered_is_not_judged() -> None:
    bare = Evidence(rows_with(10))
    assert [reason for bound in PATH_BOUNDS for reason in bound(bare)] == []


def test_first_bytes_may_come_later_where_processes_wait_for_a_processor() -> None:
    late = [chunk_time(chunk, ttfb_ms=83 + 16) for chunk in range(20)]
    evidence = Evidence(rows=(), chunks=late)
    assert a_longer_round_trip(evidence)
    assert not a_longer_round_trip(dataclasses.replace(evidence, wanted_share=0.6))
    later = [chunk_time(chunk, ttfb_ms=83 + 80) for chunk in range(20)]
    assert a_longer_round_trip(Evidence(rows=(), chunks=later, wanted_share=1.0))


RECEIVED, ASKED = SENT - DROPS, 520
QUIC_PACKET_BYTES = 1480


def quic_use(**changes: Any) -> PathUse:
    """A session over QUIC: TCP counts nothing, UDP what both ends say and what was lost."""
    of_udp = {"strangers": ASKED + ASKED + RECEIVED + SENT, "server_datagrams": SENT}
    bytes_of = {"player_ip_bytes": RECEIVED * QUIC_PACKET_BYTES}
    bytes_of["sent_bytes"] = RECEIVED * (QUIC_PACKET_BYTES + 14) + KICKS * 60
    return path_use(**{"retransmits": 0, "tcp_segments_out": 0, **of_udp, **bytes_of, **changes})


def said_of_quic(quic: QuicUse | None = None, **changes: Any) -> str:
    payload = RECEIVED * (QUIC_PACKET_BYTES - 60)
    chunks = [dataclasses.replace(chunk_time(0), expected_ttfb_s=None, expected_download_s=None)]
    return said(
        path=quic_use(**changes),
        quic=[quic or QuicUse(ASKED, RECEIVED)],
        payload_bytes=payload,
        chunks=chunks,
    )


def test_a_session_over_quic_keeps_every_bound() -> None:
    assert said_of_quic() == ""
    assert said_of_quic(QuicUse(None, None)) == ""  # of a browser, which counts nothing


def test_what_is_not_of_a_session_over_quic_is_named() -> None:
    strangers = quic_use().strangers
    assert "somebody else's traffic" in said_of_quic(strangers=strangers + 40, server_datagrams=SENT)
    assert "packets were lost in the server" in said_of_quic(server_datagrams=SENT + 3)
    assert "found no room in a socket" in said_of_quic(overruns=2)
    assert "somebody else's traffic" in said(path=quic_use(), calls=[], payload_bytes=None)
    much = RECEIVED * QUIC_PACKET_BYTES
    assert "another way" in said(path=quic_use(), quic=[QuicUse(ASKED, RECEIVED)], payload_bytes=much)


def test_a_full_socket_of_tcp_alone_is_no_fault() -> None:
    assert said(path=path_use(overruns=2)) == ""


def test_what_codel_tells_late_is_no_fault_and_more_is() -> None:
    managed = LinkSettings(rtt_ms=80.0, aqm="codel")
    few, many = path_use(router_up_rx=SENT + 5, wan_down_tx=SENT + 5), path_use(queued=SENT + KICKS - 40)
    where = "in the router before the bottleneck"
    assert where in said(path=few) and where not in said(path=few, settings=managed)
    assert where in said(path=many, settings=managed)

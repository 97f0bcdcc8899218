"""A call's datagrams come out as they went in, and nothing else passes for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from player.call.packets import (
    HEADER_BYTES,
    LOST_US,
    MEDIA,
    NACK,
    REPORT,
    MediaHeader,
    PacketError,
    Report,
    kind_of,
    nacked,
    packed_nack,
)

u32 = st.integers(0, 2**32 - 1)
u16 = st.integers(0, 2**16 - 1)
headers = st.builds(MediaHeader, u32, u32, u32, u32, u16, u16, st.integers(0, 7), u32)
reports = st.builds(
    Report, u32, u32, u32, st.lists(u32 | st.just(LOST_US), max_size=256).map(tuple), st.integers(0, 1)
)


@given(headers, st.binary(max_size=40))
def test_media_headers_come_back(header: MediaHeader, behind: bytes) -> None:
    datagram = header.packed() + behind
    assert len(header.packed()) == HEADER_BYTES == 28
    assert kind_of(datagram) == MEDIA
    assert MediaHeader.of(datagram) == header


@given(reports)
def test_reports_come_back(report: Report) -> None:
    assert kind_of(report.packed()) == REPORT
    assert len(report.packed()) <= 1200
    assert Report.of(report.packed()) == report


@given(st.lists(u32, max_size=64))
def test_requests_come_back(seqs: list[int]) -> None:
    assert kind_of(packed_nack(seqs)) == NACK
    assert nacked(packed_nack(seqs)) == tuple(seqs)


@given(st.binary(max_size=60))
def test_noise_is_refused_or_read_but_never_breaks(noise: bytes) -> None:
    for read in (MediaHeader.of, Report.of, nacked):
        try:
            read(noise)
        except PacketError as error:
            assert "\n" not in str(error)


def test_a_report_that_is_cut_off_is_none() -> None:
    whole = Report(1, 2, 3, (4, 5)).packed()
    with pytest.raises(PacketError):
        Report.of(whole[:-1])

"""Compiled code writes and reads the same bytes as `player/call/packets.py`."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from player.call.media.receiver_state import ARRIVAL
from player.call.media.sender_state import PACKET
from player.call.packets import (
    HEADER_BYTES,
    LOST_US,
    MEDIA,
    MOST_NACKED,
    NACK,
    REPORT,
    MediaHeader,
    Report,
    nacked,
    packed_nack,
)
from testbed.calling.ends.wire import (
    NOT_OURS,
    kind_of,
    put_media,
    put_nack,
    put_report,
    take_media,
    take_report,
)

WORDS = st.integers(0, 2**32 - 1)
SHORTS = st.integers(0, 2**16 - 1)
TIMES_US = st.integers(0, 3_600_000_000)
RING = 64


def buffer(data: bytes = b"") -> np.ndarray:
    room = np.zeros(2048, np.uint8)
    room[: len(data)] = np.frombuffer(data, np.uint8)
    return room


@given(WORDS, TIMES_US, WORDS, TIMES_US, SHORTS, SHORTS, st.integers(0, 7), WORDS, st.integers(28, 1200))
@settings(deadline=None)
def test_media(
    seq: int,
    sent_us: int,
    frame: int,
    captured_us: int,
    index: int,
    count: int,
    flags: int,
    repeats: int,
    size: int,
) -> None:
    header = MediaHeader(seq, sent_us, frame, captured_us, index, count, flags, repeats)
    packet = np.zeros(1, PACKET)[0]
    for name in ("seq", "frame", "index", "count", "flags", "repeats"):
        packet[name] = getattr(header, name)
    packet["size_bytes"], packet["sent_s"], packet["captured_s"] = size, sent_us / 1e6, captured_us / 1e6
    out = buffer()
    assert put_media(out, packet) == size
    assert out[:HEADER_BYTES].tobytes() == header.packed()
    assert kind_of(out, size) == MEDIA

    back = np.zeros(1, PACKET)[0]
    take_media(out, size, back)
    assert back == packet


@given(
    WORDS,
    TIMES_US,
    st.integers(0, 2**32 - 1 - RING),
    st.lists(st.one_of(st.none(), TIMES_US), max_size=RING),
    st.integers(0, 1),
)
@settings(deadline=None)
def test_reports(number: int, made_us: int, first: int, arrived: list[int | None], flags: int) -> None:
    ring = np.zeros(RING, ARRIVAL)
    ring["seq"] = -1
    for place, at_us in enumerate(arrived):
        if at_us is not None:
            ring[(first + place) % RING] = (first + place, at_us / 1e6)
    out = buffer()
    length = put_report(out, ring, number, first, len(arrived), flags, made_us / 1e6)
    told = tuple(LOST_US if at_us is None else at_us for at_us in arrived)
    assert out[:length].tobytes() == Report(number, made_us, first, told, flags).packed()
    assert kind_of(out, length) == REPORT and kind_of(out, length - 1) == NOT_OURS

    again = np.zeros(RING, ARRIVAL)
    again["seq"] = -1
    assert take_report(out, again) == (number, first, len(arrived), flags, made_us / 1e6)
    assert again["seq"].tolist() == ring["seq"].tolist()
    known = ring["seq"] >= 0
    assert again["at_s"][known].tolist() == ring["at_s"][known].tolist()


@given(st.lists(WORDS, max_size=MOST_NACKED))
@settings(deadline=None)
def test_requests(seqs: list[int]) -> None:
    out = buffer()
    length = put_nack(out, np.array(seqs, np.int64), len(seqs))
    assert out[:length].tobytes() == packed_nack(seqs)
    assert nacked(out[:length].tobytes()) == tuple(seqs)
    assert kind_of(out, length) == NACK and kind_of(out, length + 1) == NOT_OURS


@given(st.binary(max_size=100))
@settings(deadline=None)
def test_what_is_not_ours_is_no_datagram_of_a_call(data: bytes) -> None:
    kind = kind_of(buffer(data), len(data))
    if kind == MEDIA:
        MediaHeader.of(data)
    elif kind == REPORT:
        Report.of(data)
    elif kind == NACK:
        nacked(data)
    else:
        assert kind == NOT_OURS

"""Boxes are written and found as ISO/IEC 14496-12 has them; segments have exactly the asked sizes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from player.video.media.boxes import BoxError, box, boxes, find, header
from player.video.media.filled import TooSmall, filled, least_bytes

KINDS = st.binary(min_size=4, max_size=4)
FRAGMENT = box(b"moof", box(b"mfhd", bytes(8))) + box(b"mdat", b"sample data")


@given(st.lists(st.tuples(KINDS, st.binary(max_size=40)), max_size=6))
def test_what_is_written_is_read(contents: list[tuple[bytes, bytes]]) -> None:
    data = b"".join(box(kind, content) for kind, content in contents)
    assert [(one.kind, data[one.content : one.end]) for one in boxes(data)] == contents


@given(st.binary(max_size=60))
def test_any_bytes_are_boxes_or_refused(data: bytes) -> None:
    try:
        found = list(boxes(data))
    except BoxError:
        return
    assert sum(one.end - one.start for one in found) == len(data)


def test_a_box_over_4_gib_has_a_long_header() -> None:
    assert header(b"free", 2**32 - 1) == b"\xff\xff\xff\xfffree"
    assert header(b"free", 2**32) == b"\x00\x00\x00\x01free" + struct.pack(">Q", 2**32)
    with pytest.raises(BoxError, match="7 bytes"):
        header(b"free", 7)


def test_a_path_of_kinds_leads_to_a_box() -> None:
    place = find(FRAGMENT, "moof/mfhd")
    assert (place.kind, place.end - place.content) == (b"mfhd", 8)
    with pytest.raises(BoxError, match="no box moof/traf"):
        find(FRAGMENT, "moof/traf")


@given(st.integers(0, 3000))
def test_segments_have_exactly_the_size_and_hold_the_fragment(size_bytes: int) -> None:
    if size_bytes < least_bytes(FRAGMENT):
        with pytest.raises(TooSmall, match=f"{size_bytes} bytes"):
            filled(FRAGMENT, size_bytes)
        return
    made = filled(FRAGMENT, size_bytes)
    whole = made.head + b"\xa5" * (made.size_bytes - len(made.head))
    assert len(whole) == made.size_bytes == size_bytes
    kinds = [one.kind for one in boxes(whole)]
    assert kinds in ([b"styp", b"moof", b"mdat"], [b"styp", b"moof", b"mdat", b"free"])
    media = find(whole, "mdat")
    assert whole[media.content : media.end].startswith(b"sample data")
    assert media.end - media.content - len(b"sample data") < 8


def test_a_filling_over_4_gib_is_one_box() -> None:
    made = filled(FRAGMENT, 2**33)
    (size,) = struct.unpack(">Q", made.head[-8:])
    assert len(made.head) - 16 + size == 2**33

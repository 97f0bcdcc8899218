"""The index of an MP4 file: what it lists, and that nothing in it costs more than it may."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from player.video.byte_range import ByteRange, byte_range, overlapping
from player.video.sidx import MOST_INDEX_BYTES, IndexFault, IndexReader
from tests.support.one_file import FTYP, a_file, sidx

MOST = 1000


class File:
    """Reads parts of some bytes, and counts."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.parts: list[ByteRange] = []

    def __call__(self, part: ByteRange) -> bytes:
        self.parts.append(part)
        return self.data[part.first : part.last + 1]


def faults(data: bytes, index: ByteRange | None = None) -> str:
    """What is wrong with it, and that little was read to find out."""
    file = File(data)
    reader = IndexReader(file, MOST)
    with pytest.raises(IndexFault) as caught:
        if index is None:
            reader.from_start()
        else:
            reader.at(index)
    assert sum(part.length for part in file.parts) <= 2 * MOST_INDEX_BYTES
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_segments_lie_one_after_the_other_behind_the_index() -> None:
    data, index = a_file([5, 7, 9])
    file = File(data)
    found = IndexReader(file, MOST).at(index)
    assert file.parts == [index]
    assert [set(data[one.part.first : one.part.last + 1]) for one in found] == [{1}, {2}, {3}]
    assert [one.part.length for one in found] == [5, 7, 9]
    assert [one.start_s for one in found] == [0, 2, 4] and {one.duration_s for one in found} == {2}


def test_the_index_is_found_in_front_of_the_media() -> None:
    data, index = a_file([5, 7])
    assert IndexReader(File(data), MOST).from_start() == IndexReader(File(data), MOST).at(index)


@pytest.mark.parametrize("version", [0, 1])
def test_offset_and_first_time_of_both_versions(version: int) -> None:
    index = sidx([(0, 4, 1)], timescale=3, time=2, offset=100, version=version)
    (one,) = IndexReader(File(index + bytes(104)), MOST).from_start()
    assert one.part == ByteRange(len(index) + 100, len(index) + 103)
    assert (one.start_s, one.duration_s) == (Fraction(2, 3), Fraction(1, 3))


def test_an_index_of_indexes() -> None:
    inner = [sidx([(0, 10, 5), (0, 20, 5)]), sidx([(0, 30, 5)], time=10)]
    pieces = [inner[0] + bytes(30), inner[1] + bytes(30)]
    outer = sidx([(1, len(pieces[0]), 10), (1, len(pieces[1]), 5)])
    found = IndexReader(File(outer + b"".join(pieces)), MOST).from_start()
    assert [one.part.length for one in found] == [10, 20, 30]
    assert found[0].part.first == len(outer) + len(inner[0])
    assert found[2].part.last == len(outer) + sum(map(len, pieces)) - 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "ends at byte 0"),
        (FTYP + b"\0\0\0\x20moov" + bytes(24) + b"\0\0\0\x08mdat", "no index (sidx) in front"),
        (b"\x1a\x45\xdf\xa3" + bytes(60), "WebM's (Cues)"),
        (b"\0\0\0\x04ftyp" + bytes(60), "is no box"),
        (b"\0\0\0\x20\xff\xfe\x00\x01" + bytes(60), "is no box"),
        (b"\0\0\0\x08free" * 40, "there is no index"),
        (sidx([]), "lists no segment"),
        (sidx([(0, 0, 1)]), "of bytes 0"),
        (sidx([(0, 1, 0)]), "of duration 0"),
        (sidx([(0, 1, 1)], timescale=0), "timescale is 0"),
        (sidx([(0, 1, 1)] * (MOST + 1)), "more than 1000 segments"),
        (sidx([(0, 1, 1)], offset=2**63, version=1), "no file is as long"),
        (sidx([(1, 8, 1)], offset=2**63, version=1) + bytes(8), "no file is as long"),
        (sidx([(0, 9, 1)] * 5)[:-12], "before its index does"),
        (b"\x7f\xff\xff\xffsidx" + bytes(60), "are the limit"),
        (sidx([(1, 8, 1)]) + b"\0\0\0\x08free", "where there is no index"),
        (b"\0\0\0\x0csidx\0\0\0\0", "cut off"),
    ],
)
def test_what_cannot_be_used_is_named(data: bytes, said: str) -> None:
    assert said in faults(data)


def test_a_box_that_counts_more_references_than_it_holds() -> None:
    data = bytearray(sidx([(0, 9, 1)] * 2))
    data[30:32] = b"\xff\xff"
    assert "65535 references is cut off" in faults(bytes(data))


def test_indexes_that_lead_on_and_on_are_given_up() -> None:
    link = sidx([(1, 0, 1)])
    assert "over and over" in faults(link * 50)
    wide = sidx([(1, 0, 1)] * 1000)  # each to the same next index
    assert "over and over" in faults(wide + wide + sidx([(0, 1, 1)]))


def test_an_mpds_idea_of_the_index_is_bounded() -> None:
    data, _ = a_file([5])
    assert "at most 4194304" in faults(data, ByteRange(0, 2**40))
    assert f"which has {len(data)}" in faults(data, ByteRange(10, 9000))
    assert "no index" in faults(data, ByteRange(0, len(FTYP) - 1))


@given(st.binary(max_size=300), st.integers(0, 200))
@settings(max_examples=200, deadline=None)
def test_no_bytes_do_harm(junk: bytes, place: int) -> None:
    whole = sidx([(1, 40, 3), (0, 9, 2)]) + sidx([(0, 9, 2)] * 3)
    data = whole[:place] + junk + whole[place + len(junk) :]
    file = File(data)
    try:
        found = IndexReader(file, MOST).from_start()
    except IndexFault as error:
        assert "\n" not in str(error)
    else:
        assert 0 < len(found) <= MOST and all(one.duration_s > 0 for one in found)
    assert len(file.parts) < 1000


@pytest.mark.parametrize("text", ["", "5", "5-", "-5", "6-5", "0x1-5", "1-2,4-5", f"0-{10**18}"])
def test_what_is_no_byte_range(text: str) -> None:
    with pytest.raises(ValueError, match="is no byte range"):
        byte_range(text)


def test_overlaps() -> None:
    parts = [ByteRange(10, 19), ByteRange(0, 9), ByteRange(20, 29)]
    assert overlapping(parts) is None
    assert overlapping([*parts, ByteRange(29, 40)]) == (ByteRange(20, 29), ByteRange(29, 40))

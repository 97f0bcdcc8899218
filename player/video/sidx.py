"""The index of an MP4 file (`sidx`, ISO/IEC 14496-12 8.16.3): where its segments lie, how long they are.

A reference is to media or, in a hierarchy, to another index further on in the file. Whatever a file says,
what is read of it is bounded: bytes of an index, indexes, levels of them, segments.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from player.video.byte_range import ByteRange

MOST_INDEX_BYTES = 4 * 1024 * 1024
"""Of what an MPD calls an index: 12 bytes a segment, 65,535 segments in each `sidx`."""
MOST_INDEXES = 200
"""Of one file."""
DEEPEST = 4
"""Indexes of indexes."""
MOST_BOXES_BEFORE = 20
"""Where an MPD does not say where the index is: boxes of a file that may stand in front of it."""
MOST_FILE_BYTES = 2**48
"""Where a segment may end."""
_WINDOW_BYTES = 4096
"""Read at once where it is not known how much there is to be read."""

_WEBM = (b"\x1c\x53\xbb\x6b", b"\x1a\x45\xdf\xa3")
"""What an index (Cues) and a file of WebM begin with."""
_MEDIA = (b"moof", b"mdat")
_HEADER, _LARGE_HEADER = 8, 16

ReadFile = Callable[[ByteRange], bytes]
"""A part of the file; fewer bytes where it ends before."""


class IndexFault(ValueError):
    """An index that cannot be used; the message says what is wrong with it."""


@dataclass(frozen=True)
class Indexed:
    """A segment of a file."""

    part: ByteRange
    start_s: Fraction
    duration_s: Fraction


@dataclass(frozen=True)
class _Reference:
    to_index: bool
    size_bytes: int
    duration: int


@dataclass(frozen=True)
class _Box:
    kind: bytes
    start: int
    """In the file."""
    size_bytes: int


class IndexReader:
    """Reads the index of one file: `at` where an MPD says that it is, else `from_start`."""

    def __init__(self, read: ReadFile, most_segments: int) -> None:
        self._read = read
        self._most_segments = most_segments
        self._held = ByteRange(0, -1), b""
        self._indexes = 0
        self._found: list[Indexed] = []

    def at(self, part: ByteRange) -> list[Indexed]:
        """The segments, by the index in a part of the file.

        Raises:
            IndexFault: there is none, or one that can't be used.
        """
        if part.length > MOST_INDEX_BYTES:
            raise IndexFault(f"bytes {part} are {part.length}; an index has at most {MOST_INDEX_BYTES}")
        self._hold(part)
        held = len(self._held[1])
        if held < part.length:
            raise IndexFault(f"bytes {part} go beyond the end of the file, which has {part.first + held}")
        return self._segments(self._first_index(part.first, part.last + 1))

    def from_start(self) -> list[Indexed]:
        """The segments, by the index that stands in front of the media.

        Raises:
            IndexFault: there is none, or one that can't be used.
        """
        return self._segments(self._first_index(0, None))

    def _segments(self, index: _Box) -> list[Indexed]:
        self._follow(index, 1)
        if not self._found:
            raise IndexFault("it lists no segment")
        return self._found

    def _first_index(self, position: int, stop: int | None) -> _Box:
        """The first `sidx` from a position on."""
        for _ in range(MOST_BOXES_BEFORE):
            if stop is not None and position >= stop:
                break
            box = self._box(position)
            if box.kind == b"sidx":
                return box
            if box.kind in _MEDIA:
                raise IndexFault("the file has media, and no index (sidx) in front of them")
            position += box.size_bytes
        raise IndexFault("there is no index (sidx)")

    def _box(self, position: int) -> _Box:
        _refuse_far(position)
        head = self._bytes(ByteRange(position, position + _LARGE_HEADER - 1), at_least=_HEADER)
        if head[:4] in _WEBM:
            raise IndexFault("it is a WebM's (Cues); only an MP4's (sidx) is read")
        size, kind = struct.unpack_from(">I4s", head)
        least = _HEADER
        if size == 1 and len(head) >= _LARGE_HEADER:
            (size,) = struct.unpack_from(">Q", head, _HEADER)
            least = _LARGE_HEADER
        if size < least or not kind.isascii() or not kind.decode("ascii").isprintable():
            raise IndexFault(f"what is at byte {position} is no box of an MP4 file")
        return _Box(kind, position, size)

    def _follow(self, index: _Box, depth: int) -> None:
        """Gather what an index refers to."""
        self._indexes += 1
        if self._indexes > MOST_INDEXES or depth > DEEPEST:
            raise IndexFault(
                f"indexes refer to indexes over and over; {MOST_INDEXES}, {DEEPEST} deep, are the limit"
            )
        if index.size_bytes > MOST_INDEX_BYTES:
            raise IndexFault(
                f"the index at byte {index.start} has {index.size_bytes} bytes; {MOST_INDEX_BYTES} are the"
                " limit"
            )
        whole = ByteRange(index.start, index.start + index.size_bytes - 1)
        timescale, time, offset, references = _parsed(self._bytes(whole, whole.length))
        position = whole.last + 1 + offset
        for number, one in enumerate(references):
            if one.to_index:
                box = self._box(position)
                if box.kind != b"sidx":
                    raise IndexFault(f"reference {number} leads to byte {position}, where there is no index")
                self._follow(box, depth + 1)
            else:
                self._take(number, one, position, Fraction(time, timescale), timescale)
            position += one.size_bytes
            time += one.duration

    def _take(self, number: int, one: _Reference, position: int, start_s: Fraction, timescale: int) -> None:
        if not one.size_bytes or not one.duration:
            what = "bytes" if not one.size_bytes else "duration"
            raise IndexFault(f"reference {number} is to a segment of {what} 0")
        if len(self._found) >= self._most_segments:
            raise IndexFault(f"it lists more than {self._most_segments} segments")
        _refuse_far(position)
        part = ByteRange(position, position + one.size_bytes - 1)
        self._found.append(Indexed(part, start_s, Fraction(one.duration, timescale)))

    def _bytes(self, part: ByteRange, at_least: int) -> bytes:
        """A small part of the file, read with what follows it."""
        held, data = self._held
        if not (held.first <= part.first and part.last < held.first + len(data)):
            self._hold(ByteRange(part.first, part.first + max(part.length, _WINDOW_BYTES) - 1))
            held, data = self._held
        start = part.first - held.first
        found = data[start : start + part.length]
        if len(found) < at_least:
            raise IndexFault(f"the file ends at byte {part.first + len(found)}, before its index does")
        return found

    def _hold(self, part: ByteRange) -> None:
        self._held = part, self._read(part)


def _refuse_far(position: int) -> None:
    if position > MOST_FILE_BYTES:
        raise IndexFault(f"it leads to byte {position}; no file is as long")


def _parsed(box: bytes) -> tuple[int, int, int, list[_Reference]]:
    """Timescale, earliest time, offset of the first reference, and the references of a `sidx`."""
    version = box[_HEADER] if len(box) > _HEADER else 0
    form = ">IIQQHH" if version else ">IIIIHH"
    content = _HEADER + 4
    if len(box) < content + struct.calcsize(form):
        raise IndexFault(f"an index of {len(box)} bytes is cut off")
    _, timescale, time, offset, _, count = struct.unpack_from(form, box, content)
    if timescale == 0:
        raise IndexFault("its timescale is 0")
    start = content + struct.calcsize(form)
    if len(box) < start + 12 * count:
        raise IndexFault(f"an index of {len(box)} bytes for {count} references is cut off")
    return timescale, time, offset, list(_references(box, start, count))


def _references(box: bytes, start: int, count: int) -> Iterator[_Reference]:
    for place in range(start, start + 12 * count, 12):
        kind_and_size, duration, _ = struct.unpack_from(">III", box, place)
        yield _Reference(bool(kind_and_size >> 31), kind_and_size & 0x7FFFFFFF, duration)

"""Boxes of the ISO base media file format (ISO/IEC 14496-12), as many as fragments of one track need.

A box is its size (4 bytes, big-endian), its kind (4 letters) and its content; a size of 1 says that 8 bytes
of size follow the kind (4.2).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

HEADER_BYTES, LARGE_HEADER_BYTES = 8, 16
_LARGEST_SIZE = 2**32 - 1


class BoxError(ValueError):
    """Bytes that are no boxes, or lack one that is needed."""


@dataclass(frozen=True)
class Box:
    """Where a box lies within some bytes."""

    kind: bytes
    start: int
    content: int
    """Its first byte after the header."""
    end: int


def header(kind: bytes, size_bytes: int) -> bytes:
    """The beginning of a box of so many bytes, itself included.

    Raises:
        BoxError: fewer than a header has.
    """
    if size_bytes < HEADER_BYTES:
        raise BoxError(f"a box of {size_bytes} bytes; its header alone has {HEADER_BYTES}")
    if size_bytes <= _LARGEST_SIZE:
        return struct.pack(">I4s", size_bytes, kind)
    return struct.pack(">I4sQ", 1, kind, size_bytes)


def box(kind: bytes, content: bytes) -> bytes:
    """A whole box."""
    return header(kind, HEADER_BYTES + len(content)) + content


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """The boxes that lie one after the other in `data[start:end]`.

    Raises:
        BoxError: one is longer than there are bytes, or shorter than its header.
    """
    stop = len(data) if end is None else end
    while start < stop:
        if stop - start < HEADER_BYTES:
            raise BoxError(f"{stop - start} bytes at {start} are no box")
        size, kind = struct.unpack_from(">I4s", data, start)
        content = start + HEADER_BYTES
        if size == 1 and stop - start >= LARGE_HEADER_BYTES:
            (size,) = struct.unpack_from(">Q", data, content)
            content = start + LARGE_HEADER_BYTES
        elif size == 0:  # to the end of the file
            size = stop - start
        if not content - start <= size <= stop - start:
            raise BoxError(f"box {kind!r} at {start} has {size} bytes of {stop - start}")
        yield Box(kind, start, content, start + size)
        start += size


def find(data: bytes, path: str, start: int = 0, end: int | None = None) -> Box:
    """The first box of a path of kinds, `moof/traf/tfdt` say.

    Raises:
        BoxError: there is none.
    """
    found: Box | None = None
    for kind in path.split("/"):
        found = next((one for one in boxes(data, start, end) if one.kind == kind.encode()), None)
        if found is None:
            raise BoxError(f"no box {path}")
        start, end = found.content, found.end
    assert found is not None
    return found


def codec_of(init: bytes) -> str:
    """What RFC 6381 calls the H.264 of an initialization segment, `avc1.64000D` say.

    Raises:
        BoxError: it is not H.264.
    """
    entries = find(init, "moov/trak/mdia/minf/stbl/stsd")
    entry = find(init, "avc1", entries.content + 8, entries.end)  # version, flags, count of entries
    sample_entry_bytes = 78  # of a VisualSampleEntry, before the boxes that it holds (12.1.3)
    config = find(init, "avcC", entry.content + sample_entry_bytes, entry.end)
    profile, compatible, level = init[config.content + 1 : config.content + 4]
    return f"avc1.{profile:02X}{compatible:02X}{level:02X}"


def timescale_of(init: bytes) -> int:
    """Units a second of the first track's times.

    Raises:
        BoxError: there is no track.
    """
    media = find(init, "moov/trak/mdia/mdhd")
    version = init[media.content]
    (scale,) = struct.unpack_from(">I", init, media.content + (20 if version == 1 else 12))
    return int(scale)


def sequence_of(fragment: bytes) -> int:
    """The number of a fragment, in its `mfhd`."""
    return int(struct.unpack_from(">I", fragment, find(fragment, "moof/mfhd").content + 4)[0])


def time_of(fragment: bytes) -> int:
    """When a fragment's first picture is decoded, in units of the timescale, by its `tfdt`."""
    place = find(fragment, "moof/traf/tfdt")
    form = ">Q" if fragment[place.content] == 1 else ">I"
    return int(struct.unpack_from(form, fragment, place.content + 4)[0])


def samples_of(fragment: bytes) -> int:
    """How many samples (pictures) a fragment's run holds, by its `trun`."""
    return int(struct.unpack_from(">I", fragment, find(fragment, "moof/traf/trun").content + 4)[0])

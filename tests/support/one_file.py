"""Files whose segments an index in them lists, and MPDs of such files."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from player.video.byte_range import ByteRange

FTYP = struct.pack(">I4s4sI", 16, b"ftyp", b"iso6", 0)
Reference = tuple[int, int, int]
"""To an index (1) or media (0), bytes, units of the timescale."""


def sidx(
    references: Sequence[Reference], *, timescale: int = 10, time: int = 0, offset: int = 0, version: int = 0
) -> bytes:
    """An index box."""
    numbers = struct.pack(">QQ" if version else ">II", time, offset)
    body = struct.pack(">BxxxII", version, 1, timescale) + numbers
    body += struct.pack(">HH", 0, len(references))
    body += b"".join(struct.pack(">III", kind << 31 | size, units, 0) for kind, size, units in references)
    return struct.pack(">I4s", 8 + len(body), b"sidx") + body


def a_file(sizes: Sequence[int], units: int = 20) -> tuple[bytes, ByteRange]:
    """A whole file, and where in it the index is; segment k is all bytes k + 1."""
    index = sidx([(0, size, units) for size in sizes])
    media = b"".join(bytes([number + 1]) * size for number, size in enumerate(sizes))
    return FTYP + index + media, ByteRange(len(FTYP), len(FTYP) + len(index) - 1)


def write_one_file_video(folder: Path, sizes: Sequence[Sequence[int]], units: int = 20) -> Path:
    """Files `v0.mp4`, `v1.mp4`, … of segments of `units` / 10 s, [level][chunk] bytes, and the MPD, whose
    path comes back."""
    levels = []
    for level, row in enumerate(sizes):
        data, index = a_file(row, units)
        (folder / f"v{level}.mp4").write_bytes(data)
        levels.append(
            f'<Representation id="{level}" bandwidth="{(level + 1) * 100_000}">'
            f"<BaseURL>v{level}.mp4</BaseURL>"
            f'<SegmentBase indexRange="{index}"><Initialization range="0-{index.first - 1}"/></SegmentBase>'
            "</Representation>"
        )
    path = folder / "one-file.mpd"
    path.write_text(
        f'<MPD type="static" mediaPresentationDuration="PT{units * len(sizes[0]) / 10}S"><Period>'
        f'<AdaptationSet mimeType="video/mp4">{"".join(levels)}</AdaptationSet></Period></MPD>'
    )
    return path

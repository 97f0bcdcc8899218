"""Segments of exactly the described sizes: a fragment, and behind it a `free` box that no decoder reads.

    styp  moof  mdat  free (header, and as many bytes as are missing)

A `free` box has 8 bytes at least. Where 1 to 7 are missing, `mdat` gets them: its samples are found by their
places in `moof`, and what lies behind the last one is nobody's (ISO/IEC 14496-12, 8.1.1).
"""

from __future__ import annotations

from dataclasses import dataclass

from player.video.media.boxes import HEADER_BYTES, box, find, header

SEGMENT_TYPE = box(b"styp", b"msdh" + bytes(4) + b"msdhmsix")
"""That this is a media segment of DASH (ISO/IEC 23009-1, 6.3.4.2)."""


class TooSmall(ValueError):
    """A described size that a fragment doesn't fit into."""


@dataclass(frozen=True)
class FilledSegment:
    """A segment of an exact size."""

    head: bytes
    """All but the filling."""
    size_bytes: int
    """Of head and filling; what the filling is made of doesn't matter."""


def least_bytes(fragment: bytes) -> int:
    """The smallest segment that holds a fragment."""
    return len(SEGMENT_TYPE) + len(fragment)


def filled(fragment: bytes, size_bytes: int) -> FilledSegment:
    """A segment of `size_bytes` bytes with a fragment (`moof` and `mdat`) in it.

    Raises:
        TooSmall: the fragment is larger than that.
    """
    missing = size_bytes - least_bytes(fragment)
    if missing < 0:
        raise TooSmall(f"{size_bytes} bytes hold no fragment of {least_bytes(fragment)}")
    if missing == 0:
        return FilledSegment(SEGMENT_TYPE + fragment, size_bytes)
    if missing < HEADER_BYTES:
        return FilledSegment(SEGMENT_TYPE + _longer(fragment, missing), size_bytes)
    return FilledSegment(SEGMENT_TYPE + fragment + header(b"free", missing), size_bytes)


def _longer(fragment: bytes, by: int) -> bytes:
    """The fragment, its `mdat` so many bytes longer."""
    media = find(fragment, "mdat")
    content = fragment[media.content : media.end] + bytes(by)
    return fragment[: media.start] + box(b"mdat", content) + fragment[media.end :]

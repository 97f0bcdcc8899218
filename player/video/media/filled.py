"""Segments of exactly the described sizes: a fragment, and behind it a `free` box that no decoder reads.

    styp  moof  mdat  free (header, and as many bytes as are missing)

A `free` box has 8 bytes at least. Where 1 to 7 are missing, `mdat` gets them: its samples are found by their
places in `moof`, and what lies behind the last one is nobody's (ISO/IEC 14496-12, 8.1.1). A segment that is
sent in parts as it is made has a fragment a part, and all of its filling so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from player.live.parts import part_end
from player.video.media.boxes import HEADER_BYTES, box, find, header

SEGMENT_TYPE = box(b"styp", b"msdh" + bytes(4) + b"msdhmsix")
"""That this is a media segment of DASH (ISO/IEC 23009-1, 6.3.4.2)."""


class TooSmall(ValueError):
    """A described size that a fragment doesn't fit into."""


@dataclass(frozen=True)
class FilledSegment:
    """A segment of an exact size."""

    pieces: tuple[tuple[int, bytes], ...]
    """(where, what) of all but the filling, in order."""
    size_bytes: int
    """Of all of it; what the filling is made of doesn't matter."""

    @property
    def head(self) -> bytes:
        """What stands at its beginning."""
        return self.pieces[0][1]


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
        head = SEGMENT_TYPE + fragment
    elif missing < HEADER_BYTES:
        head = SEGMENT_TYPE + _longer(fragment, missing) + bytes(missing)
    else:
        head = SEGMENT_TYPE + fragment + header(b"free", missing)
    return FilledSegment(((0, head),), size_bytes)


def filled_in_parts(fragments: Sequence[bytes], size_bytes: int) -> FilledSegment:
    """A segment of `size_bytes` bytes in parts, a fragment each (a CMAF chunk). A part's filling is in its
    `mdat`, behind the samples: so no player has a part before its last byte.

    Raises:
        TooSmall: a fragment is larger than its part.
    """
    pieces: list[tuple[int, bytes]] = []
    begin = 0
    for number, fragment in enumerate(fragments, start=1):
        end = part_end(size_bytes, number, len(fragments))
        kind = b"" if begin else SEGMENT_TYPE
        missing = end - begin - len(kind) - len(fragment)
        if missing < 0:
            raise TooSmall(
                f"part {number} of {len(fragments)} has {end - begin} bytes, too few for a fragment"
            )
        pieces.append((begin, kind + _longer(fragment, missing)))
        begin = end
    return FilledSegment(tuple(pieces), size_bytes)


def _longer(fragment: bytes, by: int) -> bytes:
    """The fragment, its `mdat` so many bytes longer, which come behind it."""
    media = find(fragment, "mdat")
    samples = fragment[media.content : media.end]
    return fragment[: media.start] + header(b"mdat", media.end - media.start + by) + samples

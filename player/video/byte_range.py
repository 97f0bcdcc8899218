"""A part of a file: the bytes that a segment of a DASH presentation has there (RFC 9110 section 14)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

_MOST_DIGITS = 18
"""Of a position; no file is as long."""
_FORM = re.compile(rf"\s*([0-9]{{1,{_MOST_DIGITS}}})-([0-9]{{1,{_MOST_DIGITS}}})\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `first` to `last`, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


ReadPart = Callable[[str, ByteRange], bytes]
"""(URL, part) -> the bytes; fewer where the file ends before the part does."""


def byte_range(text: str) -> ByteRange:
    """`FIRST-LAST` as an MPD writes it.

    Raises:
        ValueError: it is none, or ends before it begins.
    """
    match = _FORM.fullmatch(text)
    if not match or int(match[2]) < int(match[1]):
        raise ValueError(f"{text[:60]!r} is no byte range; expected FIRST-LAST")
    return ByteRange(int(match[1]), int(match[2]))


def overlapping(parts: Iterable[ByteRange]) -> tuple[ByteRange, ByteRange] | None:
    """Two parts of one file that share bytes; None where no two do."""
    in_order = sorted(parts, key=lambda part: (part.first, part.last))
    return next(((one, other) for one, other in pairwise(in_order) if other.first <= one.last), None)

"""What a level's pictures are: how large, how many a second, by which codec. Bitrates don't tell.

Written as `1280x720@30000/1001 h264`, in recipes of built-in videos, in a file `pictures` beside a directory
of sizes (a line a level, lowest first) and in records.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from traces.safe_reading import shown

H264 = "h264"
_WRITTEN = re.compile(
    r"(?P<width>[0-9]{1,5})x(?P<height>[0-9]{1,5})@(?P<rate>[0-9]{1,6}(?:[./][0-9]{1,6})?)"
    r"(?: (?P<codec>[A-Za-z0-9]{1,12}))?",
    re.ASCII,
)


@dataclass(frozen=True)
class Pictures:
    """Of one level.

    Raises:
        ValueError: a size or a rate that is none.
    """

    width: int
    height: int
    rate: Fraction
    """A second."""
    codec: str = H264
    """`h264`, or what an MPD calls it."""

    def __post_init__(self) -> None:
        if not (self.width > 0 and self.height > 0 and 0 < self.rate <= 1000):
            raise ValueError(f"pictures of {self.width}x{self.height}, {float(self.rate):g} a second")

    def __str__(self) -> str:
        return f"{self.width}x{self.height}@{self.rate} {self.codec}"


def pictures_of(text: str) -> Pictures:
    """Those that a text says.

    Raises:
        ValueError: it says none.
    """
    match = _WRITTEN.fullmatch(text.strip())
    try:
        if match is None:
            raise ValueError
        codec = match["codec"] or H264
        return Pictures(int(match["width"]), int(match["height"]), Fraction(match["rate"]), codec)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{shown(text)}: expected pictures, such as 1280x720@30 h264") from None


def codec_named(codecs: str) -> str:
    """What an MPD's `@codecs` says in a word: `h264`, or its first four letters."""
    word = re.sub(r"[^A-Za-z0-9]", "", codecs.strip().partition(".")[0])
    return H264 if word.lower() in ("avc1", "avc3") else word[:12] or "unknown"

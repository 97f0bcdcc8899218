"""A video as a player sees it: a ladder and the true size of every chunk at every level."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from functools import cached_property

from player.video.pictures import Pictures
from traces.safe_reading import shown

LONGEST_CHUNK_S = 86_400.0
LARGEST_CHUNK_BYTES = 2**34
"""A day, and 16 GiB: a chunk beyond them is a wrong unit, or an attack."""
LONGEST_NAME_BYTES = 200
"""File systems take 255."""


class VideoError(ValueError):
    """A video that cannot be used; the message names the place, the value and the way out."""


@dataclass(frozen=True)
class Video:
    """Ladder and chunk sizes.

    Raises:
        VideoError: an empty or unsorted ladder, no chunks, a chunk's length or a size that is not positive
            or beyond any chunk's, a row of the wrong length, pictures of another number of levels.
    """

    name: str
    chunk_s: float
    ladder_kbps: tuple[int, ...]
    """Nominal bitrates, lowest first: what QoE counts."""
    sizes_bytes: tuple[tuple[int, ...], ...]
    """[chunk][level], HTTP body bytes."""
    sizes_exact: bool = field(default=True, compare=False)
    """False: nobody knows them; they are what the nominal bitrates come to."""
    notes: tuple[str, ...] = field(default=(), compare=False)
    """What was assumed or left out in reading it, a sentence each."""
    pictures: tuple[Pictures, ...] = field(default=(), compare=False)
    """[level] what is shown; empty: nobody says."""

    def __post_init__(self) -> None:
        if not self.chunk_s > 0:
            raise VideoError(f"{self.name}: chunk length {self.chunk_s} s; must be positive")
        if self.chunk_s > LONGEST_CHUNK_S:
            raise VideoError(f"{self.name}: chunk length {self.chunk_s} s; at most {LONGEST_CHUNK_S:g}")
        if not self.ladder_kbps:
            raise VideoError(f"{self.name}: the ladder is empty")
        if any(kbps <= 0 for kbps in self.ladder_kbps) or any(
            low >= high for low, high in zip(self.ladder_kbps, self.ladder_kbps[1:], strict=False)
        ):
            raise VideoError(
                f"{self.name}: ladder {shown(list(self.ladder_kbps))} must be positive and increase"
            )
        if self.pictures and len(self.pictures) != len(self.ladder_kbps):
            raise VideoError(
                f"{self.name}: pictures of {len(self.pictures)} levels; it has {len(self.ladder_kbps)}"
            )
        if not self.sizes_bytes:
            raise VideoError(f"{self.name}: no chunks")
        for index, row in enumerate(self.sizes_bytes):
            if len(row) != len(self.ladder_kbps):
                raise VideoError(
                    f"{self.name}: chunk {index} has {len(row)} sizes for {len(self.ladder_kbps)} levels"
                )
            if any(size <= 0 for size in row):
                raise VideoError(f"{self.name}: chunk {index} has size {min(row)}; must be positive")
            if max(row) > LARGEST_CHUNK_BYTES:
                raise VideoError(
                    f"{self.name}: chunk {index} has over {LARGEST_CHUNK_BYTES} bytes; is the unit right?"
                )

    @property
    def chunks(self) -> int:
        return len(self.sizes_bytes)

    @property
    def levels(self) -> int:
        return len(self.ladder_kbps)

    @property
    def duration_s(self) -> float:
        return self.chunks * self.chunk_s

    def first(self, chunks: int) -> Video:
        """The video cut to its first `chunks` chunks.

        Raises:
            VideoError: it has fewer.
        """
        if not 1 <= chunks <= self.chunks:
            raise VideoError(f"{self.name}: asked for {chunks} chunks; it has {self.chunks}")
        return replace(self, sizes_bytes=self.sizes_bytes[:chunks])

    @cached_property
    def sha256(self) -> str:
        """Hex digest of chunk length, ladder and sizes (not of the name)."""
        text = json.dumps([self.chunk_s, self.ladder_kbps, self.sizes_bytes], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def plain_name(text: str) -> str:
    """The nearest name that a folder can have: a title may hold anything."""
    parts = (part for part in re.split(r"[/\\]+", "".join(filter(str.isprintable, text))) if part.strip(". "))
    name = "-".join(part.strip() for part in parts).encode()[:LONGEST_NAME_BYTES].decode(errors="ignore")
    return name.strip() or "video"


def check_name(name: str) -> None:
    """Refuse a name that a folder can't have.

    Raises:
        VideoError: it is empty, padded, too long, not printable, or more than one part of a path.
    """
    plain = name.isprintable() and name.strip() == name != ""
    one_part = name not in (".", "..") and not set(name) & set("/\\")
    if not (plain and one_part and len(name.encode()) <= LONGEST_NAME_BYTES):
        raise VideoError(f"video name {name[:80]!r} is no plain name: one part of a path, no separators")

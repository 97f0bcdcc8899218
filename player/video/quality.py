"""What a chunk of a level looks like, as a file says: VMAF, SSIM, anything that is higher where it is better.

A CSV file with the header `chunk,level,quality` and a line for each chunk and level, both counted from 0.
"""

from __future__ import annotations

import csv
import hashlib
import math
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from traces.safe_reading import BadFileError, decoded, read_bytes, shown

HEADER = ["chunk", "level", "quality"]
_INDEX = re.compile(r"[0-9]{1,6}", re.ASCII)


@dataclass(frozen=True)
class QualityTable:
    """Quality of every chunk and level."""

    name: str
    """The file's."""
    sha256: str
    values: tuple[tuple[float, ...], ...]
    """[chunk][level]."""

    @cached_property
    def level_means(self) -> tuple[float, ...]:
        """[level] over all chunks."""
        return tuple(math.fsum(column) / len(column) for column in zip(*self.values, strict=True))


def read_quality(path: Path) -> QualityTable:
    """Read a file.

    Raises:
        BadFileError: not this format, a value that is no number, a chunk and level twice or not at all.
        OSError: it can't be read.
    """
    content = read_bytes(path)
    rows = list(csv.reader(decoded(content, str(path)).splitlines()))
    if not rows or [word.strip().lower() for word in rows[0]] != HEADER:
        raise BadFileError(str(path), f"{shown(rows[0] if rows else [])}; expected {','.join(HEADER)}", 1)
    found: dict[tuple[int, int], float] = {}
    for line, row in enumerate(rows[1:], start=2):
        if not any(word.strip() for word in row):
            continue
        place, value = _read(row, path, line)
        if place in found:
            raise BadFileError(str(path), f"chunk {place[0]} of level {place[1]} stands there twice", line)
        found[place] = value
    return QualityTable(path.name, hashlib.sha256(content).hexdigest(), _values(found, path))


def _read(row: list[str], path: Path, line: int) -> tuple[tuple[int, int], float]:
    words = [word.strip() for word in row]
    if len(words) != len(HEADER) or not all(_INDEX.fullmatch(word) for word in words[:2]):
        raise BadFileError(str(path), f"{shown(row)}; expected a chunk, a level and a number", line)
    try:
        value = float(words[2])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadFileError(str(path), f"quality {shown(words[2])}; expected a number", line)
    return (int(words[0]), int(words[1])), value


def _values(found: dict[tuple[int, int], float], path: Path) -> tuple[tuple[float, ...], ...]:
    if not found:
        raise BadFileError(str(path), "it has no chunk")
    chunks, levels = (1 + max(place[axis] for place in found) for axis in (0, 1))
    if len(found) != chunks * levels:
        chunk, level = next(
            (chunk, level)
            for chunk in range(chunks)
            for level in range(levels)
            if (chunk, level) not in found
        )
        raise BadFileError(str(path), f"chunk {chunk} of level {level} is missing")
    return tuple(tuple(found[chunk, level] for level in range(levels)) for chunk in range(chunks))


def write_quality(values: tuple[tuple[float, ...], ...]) -> str:
    """Such a file's text of [chunk][level]."""
    lines = [",".join(HEADER)]
    for chunk, row in enumerate(values):
        lines += [f"{chunk},{level},{value:.6g}" for level, value in enumerate(row)]
    return "\n".join(lines) + "\n"

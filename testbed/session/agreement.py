"""What a client says that it requested, held against what the origin says that it answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from player.record import ChunkRow
from traces.safe_reading import BadFileError, read_json_lines

BROKEN = 499
"""The origin's status of a request that the client gave up."""
SEGMENTS = (".m4s", "/init.mp4")
MOST_SHOWN = 5


@dataclass(frozen=True)
class Agreement:
    """How far two accounts of a session's requests are the same."""

    requests: int
    """That the client tells of."""
    answered: int
    """That the origin tells of, those that were given up included."""
    given_up: int
    """Of these."""
    differences: tuple[str, ...]
    """In words; empty where the accounts agree."""


def agreement(told: Sequence[Mapping[str, Any]], chunks: Sequence[ChunkRow], log: Path) -> Agreement:
    """Hold a client's requests for segments, and the sizes of its chunks, against the origin's log.

    Args:
        told: `path` and `status` of each.
        log: the origin's, a JSON line a request.
    """
    lines = _lines(log)
    whole = [line for line in lines if line["status"] != BROKEN]
    mine = Counter(one["path"] for one in told)
    theirs = Counter(line["path"] for line in lines)
    differences = [
        f"{path}: {mine[path]} by the client, {theirs[path]} by the origin" for path in _unlike(mine, theirs)
    ]
    sizes = [line["bytes"] for line in whole if line["path"].endswith(SEGMENTS[0])]
    had = [row.size_bytes for row in chunks]
    if sorted(sizes) != sorted(had):
        differences.append(f"the origin sent {sum(sizes)} bytes of chunks, the client has {sum(had)}")
    return Agreement(len(told), len(lines), len(lines) - len(whole), tuple(differences[:MOST_SHOWN]))


def _unlike(mine: Counter[str], theirs: Counter[str]) -> Iterable[str]:
    return sorted(path for path in mine.keys() | theirs.keys() if mine[path] != theirs[path])


def _lines(log: Path) -> list[dict[str, Any]]:
    """Requests for segments in a log; none where it can't be read."""
    try:
        lines = list(read_json_lines(log))
    except (OSError, BadFileError):
        return []
    return [line for line in lines if line["method"] == "GET" and line["path"].endswith(SEGMENTS)]

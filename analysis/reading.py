"""Many files looked at by several processes, in order, when they are many enough to be worth it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

WORTH_PROCESSES = 400
"""Fewer records are read before a second process has started."""

CHUNK = 64
"""Files that a process is given at once."""

Found = TypeVar("Found")


def processes_here() -> int:
    """As many as this process may have cores."""
    return len(os.sched_getaffinity(0))


def each(
    look: Callable[[Path], Found], paths: Sequence[Path], pool: ProcessPoolExecutor | None
) -> Iterator[Found]:
    """What `look`, which can be pickled, finds in each file; here, or by the pool's processes.

    Raises:
        what `look` raises.
    """
    yield from map(look, paths) if pool is None else pool.map(look, paths, chunksize=CHUNK)

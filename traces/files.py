"""Files that appear under their final name only when they are complete, and belong to the caller.

A file is written aside, beside its final name; then it is synced, renamed and given to who typed sudo
(`traces/ownership.py`). Whoever finds a final name has found a whole file, however the writer ended.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from traces.ownership import give_to_caller

PARTIAL = ".partial"
"""How the name of a file ends that is not yet complete."""


def partial_of(final: Path) -> Path:
    """Where a file is written before it has its final name."""
    return final.with_name(f"{final.name}{PARTIAL}")


@contextlib.contextmanager
def aside(final: Path, *, keep_suffix: bool = False) -> Iterator[Path]:
    """A path to write to; on leaving, what was written there gets its final name.

    Args:
        keep_suffix: the path ends as `final` does, for writers that tell the format by it (matplotlib).

    Raises:
        OSError: it cannot be synced or renamed. After this error, as after one of the writer's own,
            nothing is left behind.
    """
    partial = final.with_name(f"{final.stem}{PARTIAL}{final.suffix}") if keep_suffix else partial_of(final)
    try:
        yield partial
        settle(partial, final)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_aside(final: Path, content: str | bytes) -> None:
    """Write a whole file; text as UTF-8.

    Raises:
        OSError: it cannot be written; nothing is left behind then.
    """
    with aside(final) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def settle(partial: Path, final: Path) -> None:
    """Sync a file that is complete, and give it its final name and its owner.

    Raises:
        OSError: it cannot be synced or renamed.
    """
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(final)
    give_to_caller(final)


def sync(file: IO[Any]) -> None:
    """Bring to the disk what was written to a file that grows under its final name (a journal).

    Raises:
        OSError: it cannot be synced.
    """
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Bring to the disk which names a folder holds: a rename is not safe before.

    Raises:
        OSError: it cannot be opened or synced.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

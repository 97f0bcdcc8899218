"""Files that appear under their final name only when they are complete, and belong to the caller."""

from __future__ import annotations

import os
from pathlib import Path

from testbed.ownership import give_to_caller


def settle(partial: Path, final: Path) -> None:
    """Sync a file that is complete, and give it its final name and its owner.

    Raises:
        OSError: it cannot be synced or renamed.
    """
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(final)
    give_to_caller(final)


def write_aside(final: Path, text: str) -> None:
    """Write a whole file.

    Raises:
        OSError: it cannot be written; nothing is left behind then.
    """
    partial = final.with_name(f"{final.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        settle(partial, final)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise

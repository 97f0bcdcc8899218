"""Machine code that a run under sudo keeps: in the caller's cache, theirs, and read only where it is safe.

Whoever can write a kept file decides what root executes next. So a folder is used only where the caller or
root owns it and all above it, and no third person may write to any of them. Root may trust the caller where
the project's own files are the caller's: those are executed anyway.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from numba.core.caching import FunctionCache

from traces.ownership import Caller, caller, caller_cache_dir, give_to_caller, make_directory

OF_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_CODE = Path(__file__).resolve()


def callers_folder(chosen: str = "") -> Path | None:
    """Where a run under sudo may keep machine code; None where nothing is safe. It is there then.

    Args:
        chosen: the folder that the caller asks for; empty for their cache.
    """
    person = caller()
    if person is None or _CODE.stat().st_uid != person.uid:
        return None
    folder = Path(chosen) if chosen else caller_cache_dir() / "compiled"
    try:
        place = make_directory(folder)
    except OSError:
        return None
    return place if safe(place, person) else None


def safe(folder: Path, person: Caller) -> bool:
    """Whether only root and a person can have written what is in a folder, or put another in its place.

    Above it, folders that anybody may write to are safe where only owners may rename (`/tmp`).
    """
    place = Path(os.path.realpath(folder))
    return _theirs(place, person, sticky=False) and all(
        _theirs(above, person, sticky=True) for above in place.parents
    )


def _theirs(place: Path, person: Caller, *, sticky: bool) -> bool:
    try:
        status = place.lstat()
    except OSError:
        return False
    mine = stat.S_ISDIR(status.st_mode) and status.st_uid in (0, person.uid)
    closed = not status.st_mode & OF_OTHERS or (sticky and bool(status.st_mode & stat.S_ISVTX))
    return mine and closed


class CallersCache(FunctionCache):
    """numba's cache of one function: its files are the caller's, read where nobody else can have written.

    numba makes its folders when it begins, in one of ours that has the stamp for its name.
    """

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        give_to_caller(Path(self.cache_path).parent)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """As numba's; nothing where the folder is not safe."""
        return super().load_overload(sig, target_context) if self._safe() else None

    def save_overload(self, sig: Any, data: Any) -> None:
        """As numba's, then given to the caller."""
        folder = Path(self.cache_path)
        try:
            make_directory(folder)
        except OSError:
            return
        if self._safe():
            super().save_overload(sig, data)
            give_to_caller(folder)

    def _safe(self) -> bool:
        person = caller()
        return person is not None and safe(Path(self.cache_path), person)

"""Code of somebody's may close our standard streams, put others in their place, or fork: that is undone."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from traces.escaping import VisibleStream

_DESCRIPTORS = (0, 1, 2)
_OUT_OF_THE_WAY = 500
"""Where copies of them lie: who closes descriptors begins with the low ones."""


@contextlib.contextmanager
def undone() -> Iterator[None]:
    """Within runs code of somebody's. Afterwards our standard streams are what they were: who closes them
    costs nobody else's lines, and a file that is opened next isn't taken for one of them. Whoever comes here
    as a copy of us, for that code has forked, ends: we are one.
    """
    we, files = os.getpid(), (sys.stdout, sys.stderr)
    copies = {number: copy for number in _DESCRIPTORS if (copy := _copy_of(number)) is not None}
    try:
        yield
    finally:
        if os.getpid() != we:
            os._exit(0)
        for number, copy in copies.items():
            with contextlib.suppress(OSError):  # the copy has been closed, too
                if not _same(number, copy):
                    os.dup2(copy, number)
            with contextlib.suppress(OSError):
                os.close(copy)
        sys.stdout, sys.stderr = (_open(file, number) for file, number in zip(files, (1, 2), strict=True))


def _copy_of(number: int) -> int | None:
    """None where we have been started without it, or there is no room for one."""
    with contextlib.suppress(OSError):
        return fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY)
    return None


def _same(number: int, copy: int) -> bool:
    try:
        return os.path.sameopenfile(number, copy)
    except OSError:
        return False


def _open(file: Any, number: int) -> Any:
    """The stream itself; where it has been closed, another one like it."""
    if file is None or not getattr(file, "closed", False):
        return file
    place: Any = number if _is_open(number) else Path(os.devnull)
    another = open(place, "w", encoding="utf-8", errors="backslashreplace", closefd=place != number)  # noqa: SIM115
    return VisibleStream(another) if isinstance(file, VisibleStream) else another


def _is_open(number: int) -> bool:
    with contextlib.suppress(OSError):
        os.fstat(number)
        return True
    return False

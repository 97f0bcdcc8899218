"""Files that appear under their final name only when they are complete, and belong to the caller.

A file is written aside, beside its final name; then it is synced, renamed and given to who typed sudo
(`traces/ownership.py`). Whoever finds a final name has found a whole file, however the writer ended.

In a folder that others may write to, a name may hold what was put there to mislead us, above all where we
are root: nothing is written through a symbolic link, and no device, pipe or folder is put away for a file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from traces.ownership import give_to_caller
from traces.safe_reading import kind_of

PARTIAL = ".partial"
"""How the name of a file ends that is not yet complete."""


DAMAGED = ".damaged"
"""How the name ends of what was to be a file of ours and can't be read any more."""


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
    refuse_special(final)
    partial = final.with_name(f"{final.stem}{PARTIAL}{final.suffix}") if keep_suffix else partial_of(final)
    with os.fdopen(fresh(partial), "wb") as made:
        mine = os.fstat(made.fileno())
        try:
            yield partial
            if not os.path.samestat(mine, partial.lstat()):
                raise OSError(errno.EBUSY, "somebody else writes there", str(partial))
            settle(partial, final)
        except BaseException:
            with contextlib.suppress(OSError):
                if os.path.samestat(mine, partial.lstat()):
                    partial.unlink()
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
        OSError: it cannot be synced or renamed, or the name is that of something that is no file.
    """
    refuse_special(final)
    descriptor = os.open(partial, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    partial.replace(final)
    give_to_caller(final)


def refuse_special(final: Path) -> None:
    """Refuse a name that holds what no file may take the place of: a device, a pipe, a socket, a folder, or a
    link to one of these (`/dev/stdout`).

    Raises:
        OSError: it does.
    """
    for look in (final.lstat, final.stat):
        try:
            kind = kind_of(look().st_mode)
        except FileNotFoundError:  # nothing there, or a link to nothing
            return
        if kind and (kind != LINK or of_the_system(final)):
            raise OSError(errno.EINVAL, f"{kind}, in whose place no file is put", str(final))


def of_the_system(path: Path) -> bool:
    """Whether it is one of the system's own names, such as `/dev/stdout` or `/dev/fd/63`."""
    return path.absolute().parts[1:2] in (("dev",), ("proc",))


LINK = kind_of(stat.S_IFLNK)


def fresh(path: Path) -> int:
    """A descriptor, to write to, of a new file; an older one, or a link, of that name is removed.

    Raises:
        OSError: it cannot be made, or the name is that of something that is no file.
    """
    if of_the_system(path):
        return os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    with contextlib.suppress(FileNotFoundError):
        kind = kind_of(path.lstat().st_mode)
        if kind not in ("", LINK):
            raise OSError(errno.EINVAL, f"{kind}, in whose place no file is put", str(path))
        path.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(path, flags, 0o666)


def remove(path: Path) -> None:
    """Remove a file or a link, if it is there; what is something else stays.

    Raises:
        OSError: it cannot be removed.
    """
    with contextlib.suppress(FileNotFoundError):
        if kind_of(path.lstat().st_mode) in ("", LINK):
            path.unlink()


def put_aside(path: Path, ending: str) -> Path:
    """Give whatever has a name another, with that ending, which nobody has; the new name.

    Raises:
        OSError: it cannot be renamed.
    """
    place, number = path.with_name(f"{path.name}{ending}"), 1
    while os.path.lexists(place):
        number += 1
        place = path.with_name(f"{path.name}{ending}-{number}")
    return path.rename(place)


def growing(path: Path) -> IO[str]:
    """A file that grows under its final name (a journal, a log), to append text to; it is the caller's.

    Raises:
        OSError: it cannot be opened, or the name is that of a link or of something that is no file.
    """
    if of_the_system(path):
        return path.open("a", encoding="utf-8")
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    try:
        kind = kind_of(path.lstat().st_mode)
    except FileNotFoundError:
        kind = ""
    if kind:
        raise OSError(errno.EINVAL, f"{kind}, to which nothing is written", str(path))
    file = os.fdopen(os.open(path, flags, 0o666), "a+", encoding="utf-8")
    give_to_caller(path)
    return file


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

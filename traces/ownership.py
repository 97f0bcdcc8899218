"""Files that a run under sudo makes belong to the person who typed sudo, and so does the cache."""

from __future__ import annotations

import errno
import os
import pwd
import stat
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Caller:
    """The person who typed sudo."""

    uid: int
    gid: int


def caller() -> Caller | None:
    """Who typed sudo; None when we are not root, or are root without sudo."""
    uid, gid = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if os.geteuid() != 0 or not (uid.isdecimal() and gid.isdecimal()) or int(uid) == 0:
        return None
    return Caller(int(uid), int(gid))


def give_to_caller(path: Path | str) -> None:
    """Give a file, or a directory with all in it, to the caller; without sudo, do nothing.

    Only what belongs to root changes hands, symbolic links are not followed, and a hard-linked
    file stays whose it is, since its other name may lie anywhere. A file system that knows no
    owners (a shared folder of a virtual machine) keeps its own: that costs a line on stderr, not
    the run.

    Raises:
        FileNotFoundError: the path does not exist.
    """
    person = caller()
    if person is None:
        return
    path = Path(path)
    _give(path.name, person, directory=path.parent)
    if path.is_symlink() or not path.is_dir():
        return
    for folder, folders, files, descriptor in os.fwalk(path, follow_symlinks=False):
        for name in (*folders, *files):
            _give(name, person, directory=Path(folder), descriptor=descriptor)


def make_directory(path: Path | str) -> Path:
    """Make a directory and what is missing above it; what it makes belongs to the caller.

    Raises:
        OSError: it cannot be made.
    """
    path = Path(path)
    if not path.is_dir():
        if path.exists():
            raise NotADirectoryError(errno.ENOTDIR, f"{path} is no folder")
        if path.parent != path:
            make_directory(path.parent)
        try:
            path.mkdir()
        except FileExistsError:  # made by another one meanwhile, with whatever is in it
            return path
        give_to_caller(path)
    return path


def make_within(folder: Path, *names: str) -> Path:
    """Make folders within a folder that others may write to: none of them is a link to somewhere else.

    Raises:
        OSError: one cannot be made, or its name is that of something else.
    """
    place = folder
    for name in names:
        place = place / name
        if place.is_symlink():
            raise NotADirectoryError(
                errno.ENOTDIR, "a symbolic link, through which nothing is written", str(place)
            )
        make_directory(place)
    return place


def caller_cache_dir() -> Path:
    """The caller's own cache directory for us, also under sudo; make it with `make_directory`.

    `$XDG_CACHE_HOME/streambed` where that variable is absolute, else `~/.cache/streambed`
    (XDG Base Directory Specification 0.8).
    """
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if base.is_absolute():
        return base / "streambed"
    return _caller_home() / ".cache" / "streambed"


def _caller_home() -> Path:
    person = caller()
    if person is not None:
        try:
            return Path(pwd.getpwuid(person.uid).pw_dir)
        except KeyError:
            print(
                f"streambed: SUDO_UID is {person.uid}, whom this machine does not know; using root's home",
                file=sys.stderr,
            )
    return Path.home()


def _give(name: str, person: Caller, *, directory: Path, descriptor: int | None = None) -> None:
    place = name if descriptor is not None else str(directory / name)
    try:
        status = os.stat(place, dir_fd=descriptor, follow_symlinks=False)
        linked = status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode)
        if status.st_uid == 0 and not linked:
            os.chown(place, person.uid, person.gid, dir_fd=descriptor, follow_symlinks=False)
    except PermissionError as error:
        print(
            f"streambed: {directory / name} stays root's: {error.strerror} (file system without owners?)",
            file=sys.stderr,
        )

"""What is the caller's under sudo: files and folders (`player/ownership.py`), and a cache directory."""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

from player.ownership import caller, give_to_caller, make_directory

__all__ = ["caller", "caller_cache_dir", "give_to_caller", "make_directory"]


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

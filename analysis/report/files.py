"""A folder of files that appear only when complete; what only an earlier report had made there goes."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from player.record import make_folder
from traces.files import write_aside
from traces.ownership import make_within
from traces.safe_reading import read_json

LISTED = "files"
"""Key, in the last file, of the names of all others."""


class Folder:
    """Where a report is written.

    Args:
        named: whether the user named the folder, and so may have named a link. One that we name ourselves, in
            a folder of results that others may write to, is none.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, path: Path, *, named: bool = True) -> None:
        self.path = path
        self._made: dict[str, None] = {}
        if named:
            make_folder(path)
        else:
            make_within(path.parent, path.name)

    @property
    def files(self) -> list[str]:
        """All that was made so far, as seen from the folder."""
        return list(self._made)

    def write(self, name: str, what: str | bytes) -> None:
        """Write a file aside, sync it, and give it its name.

        Raises:
            OSError: it cannot be written; nothing is left behind then.
        """
        final = self.path / name
        if final.parent != self.path:
            make_within(self.path, *final.parent.relative_to(self.path).parts)
        write_aside(final, what)
        _own(final)
        self._made[name] = None

    def finish(self, name: str, text: str) -> None:
        """Write the last file, which lists the others, and remove what only an earlier report had listed.

        Raises:
            OSError: it cannot be written.
        """
        before = self._listed(name)
        self.write(name, text)
        for old in before:
            path = self.path / old
            if old not in self._made and path.resolve().is_relative_to(self.path.resolve()):
                with contextlib.suppress(IsADirectoryError, FileNotFoundError):
                    path.unlink()

    def _listed(self, name: str) -> list[str]:
        try:
            found = read_json(self.path / name)[LISTED]
        except (OSError, ValueError, KeyError, TypeError):
            return []
        return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def _own(path: Path) -> None:
    """Under sudo a file belongs to whom its folder belongs to, as the records do."""
    if os.geteuid() == 0:
        folder = path.parent.stat()
        os.chown(path, folder.st_uid, folder.st_gid, follow_symlinks=False)

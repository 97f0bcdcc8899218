"""Folders in the temporary directory that go with the process that made them, however it ends.

`tempfile.TemporaryDirectory` removes its folder when the process ends in order. After `kill -9` nobody does:
so a shell waits for the end of a pipe that only the process holds, and removes the folder then.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

_WAIT_AND_REMOVE = 'read -r nothing; exec rm -rf -- "$1"'


class RemovedWithUs:
    """Sees to it that a folder goes when this process ends; `close` removes it at once.

    Raises:
        OSError: there is no shell.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._waiting = subprocess.Popen(
            ["/bin/sh", "-c", _WAIT_AND_REMOVE, "sh", str(folder.absolute())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C and whoever kills our group are none of its business
            cwd="/",
        )

    def close(self) -> None:
        """Remove the folder; safe to call twice."""
        shutil.rmtree(self.folder, ignore_errors=True)
        assert self._waiting.stdin is not None
        self._waiting.stdin.close()
        self._waiting.wait()


@contextlib.contextmanager
def temporary_folder(prefix: str = "streambed-") -> Iterator[Path]:
    """A new folder of ours alone, removed on leaving, or when this process is killed.

    Raises:
        OSError: it cannot be made.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    removal = RemovedWithUs(folder)
    try:
        yield folder
    finally:
        removal.close()

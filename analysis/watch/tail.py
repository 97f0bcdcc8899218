"""A file that somebody else writes line by line, read as it grows."""

from __future__ import annotations

import os
from pathlib import Path

from traces.safe_reading import BadFileError, open_file

MOST_LINE_BYTES = 8 << 20
"""The first line of a record with the longest of traces is a third of it."""
MOST_FILE_BYTES = 64 << 20
"""Of what grows further, no more is read."""


class Tail:
    """Whole lines, as they come; half of one waits for its end.

    A file that was cut, or put in place of the one that was read before, is read from its begin: `begins`
    counts that. What can't be read any more is left alone, and `fault` says why.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        """Where the file is now; a record gets another name when it is whole."""
        self.begins = 0
        self.fault = ""
        self.changed_s = 0.0
        """Unix time at which it was written to last, as far as it was looked at."""
        self.waits = False
        """Whether more is there than a turn had room for."""
        self._file: tuple[int, int] | None = None
        self._place, self._rest = 0, b""

    def lines(self, most: int) -> list[bytes]:
        """What has come since the last call, without the ends of lines.

        Args:
            most: bytes that are read now.

        Raises:
            FileNotFoundError: it has gone.
        """
        self.waits = False
        if self.fault:
            return []
        try:
            came = self._read(most)
        except FileNotFoundError:
            raise
        except (BadFileError, OSError) as error:
            self.fault = getattr(error, "fault", None) or getattr(error, "strerror", None) or "unreadable"
            return []
        *whole, self._rest = (self._rest + came).split(b"\n")
        if len(self._rest) > MOST_LINE_BYTES:
            self.fault, self._rest = f"a line of over {MOST_LINE_BYTES >> 20} MiB", b""
        return whole

    def _read(self, most: int) -> bytes:
        """The next bytes of the file, from its begin where it is another one."""
        status = self.path.lstat()
        self.changed_s = status.st_mtime
        file = (status.st_dev, status.st_ino)
        if file != self._file or status.st_size < self._place:
            self._file, self._place, self._rest = file, 0, b""
            self.begins += 1
        elif status.st_size == self._place:
            return b""
        with os.fdopen(open_file(self.path, follow=False), "rb") as opened:
            opened.seek(self._place)
            came = opened.read(most) or b""
        self._place += len(came)
        self.waits = status.st_size > self._place
        if self._place > MOST_FILE_BYTES:
            self.fault, self.waits = f"over {MOST_FILE_BYTES >> 20} MiB; the rest is not shown", False
        return came

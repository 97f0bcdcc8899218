"""Where the commands of this package print for a person."""

from __future__ import annotations

import sys
from typing import TextIO

from player.real.live import LiveConsole
from traces.commands import PIPE_COLUMNS


def person_console(out: TextIO, as_object: bool) -> LiveConsole:
    """A console on `out`, or on stderr where `out` is kept for one machine-readable object."""
    stream = sys.stderr if as_object else out
    return LiveConsole(file=stream, width=None if stream.isatty() else PIPE_COLUMNS)

"""The argument parser of every command: a mistake costs one line on stderr and exit status 2."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

BAD_INPUT = 2
"""Exit status of a command that was asked for what it cannot do."""

PIPE_COLUMNS = 160
"""How wide a table may be that goes to a pipe or a file: none of ours is folded there."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong, and where help is, in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: {message}; see {self.prog} --help\n")


def leave(status: int) -> NoReturn:
    """End with a status. A Ctrl-C that is pressed once more meanwhile has been heard already: it may not turn
    the status into a death."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(status)


def exit_with(command: Callable[[], int]) -> NoReturn:
    """Run a command and end with its status. A reader that leaves (`| head`) is no fault."""
    try:
        status = command()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more
        status = 0
    leave(status)

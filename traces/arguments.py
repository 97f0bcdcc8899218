"""The argument parser of every command: a mistake costs one line on stderr and exit status 2."""

from __future__ import annotations

import argparse
from typing import NoReturn

BAD_INPUT = 2
"""Exit status of a command that was asked for what it cannot do."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong, and where help is, in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: {message}; see {self.prog} --help\n")

"""What commands of this package print as a single line, with exit status 2."""

from __future__ import annotations


class TestbedError(Exception):
    """Something that the user can mend; the message names the cause and the way out."""

    __test__ = False  # pytest would take the name for a test class


STOPPED = "; stopped, as --strict says"


class StrictStop(TestbedError):
    """A policy's first fault, at which `--strict` stops everything: a line, and the traceback below it.

    Args:
        said: the session and the fault.
        shown: the traceback; empty where there is none.
    """

    def __init__(self, said: str, shown: str = "") -> None:
        super().__init__(said, shown)  # both, so that it comes whole out of another process
        self.said = said
        self.shown = shown

    def __str__(self) -> str:
        return f"{self.said}{STOPPED}" + (f"\n{self.shown}" if self.shown else "")

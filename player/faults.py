"""What went wrong in a policy, in words: the exception, its line, and when."""

from __future__ import annotations

import inspect
import signal
import traceback
from pathlib import Path

LONGEST_REASON = 300
"""Characters of a reason that a record keeps."""


class PolicyFault(Exception):
    """A policy's fault that is to stop everything (`--strict`).

    Args:
        said: the fault in a line.
        shown: its traceback; empty for an answer that is no level.
    """

    def __init__(self, said: str, shown: str = "") -> None:
        super().__init__(said, shown)
        self.said = said
        self.shown = shown

    def __str__(self) -> str:
        return self.said


def one_line(error: BaseException) -> str:
    """An exception's type and text on one line of bounded length."""
    text = " ".join(str(error).split())[:LONGEST_REASON]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def is_interrupt(error: BaseException) -> bool:
    """Whether somebody wants the program to end, who may not be taken for a policy that cannot decide.

    Where Ctrl-C is left to another process, only the policy itself can have raised it.
    """
    return isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN


def source_of(policy: object) -> Path | None:
    """The file that a policy's class stands in; None if it stands in none."""
    try:
        return Path(inspect.getfile(type(policy)))
    except (TypeError, OSError):
        return None


def place_of(error: BaseException, file: Path | None) -> str:
    """`mine.py:12`: the innermost line of the policy's file that an exception came through, else of any
    file; empty where it came through none."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if file is not None and frame.filename == str(file)]
    if not (own or frames):
        return ""
    last = (own or frames)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"


def raised(error: BaseException, policy: object, what: str) -> str:
    """Why a policy has not decided: what it raised, at what, and in which line."""
    place = place_of(error, source_of(policy))
    return f"policy raised {one_line(error)} at {what}" + (f" ({place})" if place else "")


def traceback_of(error: BaseException) -> str:
    """As Python shows it."""
    return "".join(traceback.format_exception(error)).rstrip()

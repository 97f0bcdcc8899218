"""What went wrong in a policy, in words: the exception, its line, and when."""

from __future__ import annotations

import inspect
import re
import signal
import traceback
from pathlib import Path

LONGEST_REASON = 300
"""Characters of a reason that a record keeps."""

_NUMBERED = re.compile(
    r"^(policy raised .* at|policy took over \S+ s for|policy is still busy with) chunk (\d+)"
    r"(?=(?: \([^()]*\))?(?:;|$))"
)
_ANSWERED = re.compile(
    r"^answered (.*?)(?=, which is no level; expected|; the ladder has|; both must be text)"
)


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


def text_of(error: BaseException) -> str:
    """What an exception says, on one line; empty where it says nothing, or can't."""
    try:
        return " ".join(str(error).split())
    except Exception:  # somebody's own exception may not be able to say what it is
        return ""


def one_line(error: BaseException) -> str:
    """An exception's type and text on one line of bounded length."""
    text = text_of(error)[:LONGEST_REASON]
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


def in_words(reason: str, chunk: int | None = None) -> str:
    """A record's reason for a fallback's decision, as a person reads it.

    Records count chunks from 0 and leave the subject out; people count from 1, as the line of a chunk does.

    Args:
        reason: as the record has it.
        chunk: whose it is, counted from 0; None where it isn't to be named.
    """
    at = "" if chunk is None else f" at chunk {chunk + 1}"
    if _ANSWERED.match(reason):
        return _ANSWERED.sub(lambda found: f"the policy answered {found[1]}{at}", reason)
    if _NUMBERED.match(reason):
        return "the " + _NUMBERED.sub(lambda found: f"{found[1]} chunk {int(found[2]) + 1}", reason)
    if reason.startswith("policy "):  # at its reset
        return f"the {reason}"
    return f"{reason}{at}"

r"""Names from outside may hold anything: ESC sequences that clear a terminal, marks that turn text around.

Wherever such a name is shown, on a terminal, in a log, on a picture or a page, what is no visible sign is
shown as Python writes it: `\x1b`, `\u202e`. All that a command prints goes through here (`visible_output`,
within `traces.commands.carried_out`), so that nobody has to think of it at each of fifty places.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from typing import Any, TextIO

_UNSEEN = re.compile(
    "["
    "\0-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # turn the direction of text
    "\u2028\u2029"  # end a line or a paragraph
    "\ud800-\udfff"  # halves of characters
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"  # marks of bytes, of notes, of languages
    "]"
)
_UNSEEN_BUT_LINES = re.compile(_UNSEEN.pattern.replace("\0-\x1f", "\0-\x08\x0b-\x1f"))


def visible(text: str) -> str:
    r"""A name on one line, with nothing in it that can't be seen: ESC is `\x1b`, a new line `\n`."""
    return _UNSEEN.sub(_written, text)


def visible_lines(text: str) -> str:
    """Text of several lines: as `visible`, but lines end and tabs stay."""
    return _UNSEEN_BUT_LINES.sub(_written, text)


def _written(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "backslashreplace").decode("ascii")


class VisibleStream:
    """A text stream that shows what is written to it as visible lines.

    A progress bar that begins a line again may: a carriage return at the beginning of a write stays.
    """

    def __init__(self, stream: TextIO) -> None:
        self.rich_proxied_file = stream
        """Where `rich` writes to, which has to send ESC itself; see `traces.console.VisibleConsole`."""

    def write(self, text: str) -> int:
        begin, rest = ("\r", text[1:]) if text.startswith("\r") else ("", text)
        self.rich_proxied_file.write(begin + visible_lines(rest))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rich_proxied_file, name)


@contextlib.contextmanager
def visible_output() -> Iterator[None]:
    """Within, what is printed is visible; a stream that is replaced meanwhile stays so."""
    mine: dict[str, Any] = {}
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, VisibleStream):
            mine[name] = VisibleStream(stream)
            setattr(sys, name, mine[name])
    try:
        yield
    finally:
        for name, stream in mine.items():
            if getattr(sys, name) is stream:
                setattr(sys, name, stream.rich_proxied_file)

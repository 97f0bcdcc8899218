"""Where a TOML text is wrong: the line to be mended, which isn't always where the parser gave up.

An array that lacks its `]` is noticed at the next key or at the end of the file; what is to be mended is the
line where it begins. So with strings in triple quotes.
"""

from __future__ import annotations

import re
import tomllib

_TOKEN = re.compile(
    r'"""(?:[^"\\]+|\\.|"(?!""))*+"{3,5}|\'\'\'(?:[^\']+|\'(?!\'\'))*+\'{3,5}'
    r'|"""|\'\'\''
    r'|"(?:[^"\\\n]+|\\.)*+"|\'[^\'\n]*+\'|#[^\n]*+|[\[\]{}]',
    re.DOTALL,
)
"""Strings, comments, brackets; triple quotes alone are those that nothing closes."""

_OPENING = {
    "[": ("array", "]"),
    "{": ("inline table", "}"),
    '"""': ("string", '"""'),
    "'''": ("string", "'''"),
}
"""What begins, and what closes it."""

_NEW_STATEMENT = re.compile(
    r"""[ \t]*+(?:\[{1,2}[\w."' \t-]++\]{1,2}[ \t]*+(?:\#.*)?$"""
    r"""|(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[\w."' \t-]*+=)"""
)
"""A line that begins a table or sets a key."""

_UNCLOSED = ("Unclosed array", "Unclosed inline table", "Unterminated string")


def fault_of(text: str, error: tomllib.TOMLDecodeError) -> tuple[str, int]:
    """What is wrong with a text that `tomllib` refused with `error`, and on which line, from 1."""
    text = text.replace("\r\n", "\n")
    message, _, where = str(error).rpartition(" (at ")
    named = re.match(r"line (\d+), column (\d+)", where)
    if named:
        line, end = int(named[1]), _place(text, int(named[1]), int(named[2]))
    else:  # "at end of document"
        line, end = text.rstrip().count("\n") + 1, len(text)
    anew = bool(named) and _begins_anew(text, line)
    opened = _open_at(text, _place(text, line, 1) if anew else end)
    if opened is None or not (anew or not named or message in _UNCLOSED):
        return message or str(error), line
    mark, begin = opened
    begun = text.count("\n", 0, begin) + 1
    if named and begun == line:
        return message, line
    what, closing = _OPENING[mark]
    return f"unclosed {what}: no {closing} {f'before line {line}' if named else 'follows'}", begun


def _place(text: str, line: int, column: int) -> int:
    """Offset of a line and column, both from 1."""
    begin = 0
    for _ in range(line - 1):
        begin = text.index("\n", begin) + 1
    return begin + column - 1


def _open_at(text: str, end: int) -> tuple[str, int] | None:
    """The innermost bracket or triple quote that is open at a place, and where it stands; None for none."""
    opened: list[tuple[str, int]] = []
    for found in _TOKEN.finditer(text, 0, end):
        mark = found[0]
        if mark in ("]", "}"):
            if opened:
                opened.pop()
        elif mark in ('"""', "'''"):
            return mark, found.start()
        elif mark in _OPENING:
            opened.append((mark, found.start()))
    return opened[-1] if opened else None


def _begins_anew(text: str, line: int) -> bool:
    return _NEW_STATEMENT.match(text.split("\n")[line - 1]) is not None

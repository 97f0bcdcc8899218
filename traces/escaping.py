"""Text of others on a terminal: what would move the cursor, change colours or hide is shown as an escape.

Names of files and what stands in them are whatever somebody wrote. A terminal obeys control characters, and
text that runs from right to left turns what follows around.
"""

from __future__ import annotations


def escaped(text: str) -> str:
    r"""The text on one line, each character that is not printed as such written out: `\x1b`, `\n`, `\u202e`.

    What Python holds of a file name that is not UTF-8 becomes the byte that it stands for (`\xff`), so that
    the result can always be encoded.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _written_out(char) for char in text)


def _written_out(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape", "backslashreplace").decode("ascii")

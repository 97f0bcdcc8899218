"""From a file's bytes to its text: packed files, byte-order marks, and what is no text at all."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from traces.trace import TraceError

MAX_BYTES = 64 * 1024 * 1024
"""A larger file is no trace, packed or not."""
MOST_LINES = 4_000_000
"""And as many objects: each takes a kilobyte of memory while it is read."""
CUT_IT = "cut it into traces, such as by `split -l 100000`"

_PACKED: tuple[tuple[bytes, str, Callable[[io.BytesIO], io.BufferedIOBase]], ...] = (
    (b"\x1f\x8b", "gzip", lambda file: gzip.GzipFile(fileobj=file)),
    (b"BZh", "bzip2", bz2.BZ2File),
    (b"\xfd7zXZ\x00", "xz", lzma.LZMAFile),
)
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_NO_TEXT = (
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook; unpack it, or save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook; save the sheet as CSV"),
    (b"PAR1", "a Parquet table; write it as CSV"),
    (b"\x89HDF", "an HDF5 file; write its rates as CSV"),
    (b"\xd4\xc3\xb2\xa1", "a packet capture; count its bytes over time first"),
    (b"\xa1\xb2\xc3\xd4", "a packet capture; count its bytes over time first"),
    (b"\x0a\x0d\x0d\x0a", "a packet capture; count its bytes over time first"),
    (b"%PDF", "a PDF"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd; unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive; unpack it"),
)
"""What a file begins with that is no text, and what to do."""
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x19\x1b-\x1f\x7f]")
_LOOKED_AT = 4096


@dataclass(frozen=True)
class Content:
    """A file's text."""

    text: str
    assumed: tuple[str, ...] = ()
    """What was taken for granted to read it."""


def content_of(data: bytes, source: str) -> Content:
    """The text in a file's bytes: UTF-8, UTF-16 or Windows-1252, packed by gzip, bzip2 or xz or not.

    Raises:
        TraceError: it is broken, too large or no text; `source:line: what (value), way out`.
    """
    data = _unpacked(data, source)
    if max(data.count(each) for each in (b"\n", b"\r", b"{")) > MOST_LINES:
        raise TraceError(f"{source}: over {MOST_LINES} lines or objects; {CUT_IT}")
    for begin, what in _NO_TEXT:
        if data.startswith(begin):
            raise TraceError(f"{source}: not text: {what}")
    named = next((name for mark, name in _MARKS if data.startswith(mark)), _unmarked_utf16(data) or "utf-8")
    try:
        return Content(data.decode(named))
    except UnicodeDecodeError as error:
        place = error.start
    control = _CONTROL.search(data)
    if named != "utf-8" or control is not None:
        line = data.count(b"\n", 0, place) + 1
        raise TraceError(
            f"{source}:{line}: not text (byte 0x{data[place]:02x}); traces are UTF-8 text"
        ) from None
    line = data.count(b"\n", 0, place) + 1
    return Content(
        data.decode("cp1252", errors="replace"),
        (f"byte 0x{data[place]:02x} in line {line} is not UTF-8; read as Windows-1252",),
    )


def _unpacked(data: bytes, source: str) -> bytes:
    for begin, name, opened in _PACKED:
        if not data.startswith(begin):
            continue
        try:
            with opened(io.BytesIO(data)) as file:
                data = file.read(MAX_BYTES + 1)
        except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
            raise TraceError(
                f"{source}: {name} that does not unpack ({error}); the file may be cut off"
            ) from error
        if len(data) > MAX_BYTES:
            raise TraceError(f"{source}: over {MAX_BYTES >> 20} MiB unpacked; {CUT_IT}")
    return data


def _unmarked_utf16(data: bytes) -> str:
    """UTF-16 without a mark: every other byte is a digit, with a 0 beside it; empty for other texts."""
    head = data[:_LOOKED_AT]
    if len(head) < 4 or len(data) % 2:
        return ""
    even, odd = head[0::2], head[1::2]
    for zeros, others, name in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if zeros.count(0) > 0.9 * len(zeros) and not others.count(0):
            return name
    return ""


_LOOKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"\s*<(!doctype html|html|head|body)\b", re.I),
        "this is an HTML page: a download that failed?",
    ),
    (re.compile(r"\s*<\?xml|\s*<[A-Za-z]"), "this is XML"),
    (
        re.compile(r"version https://git-lfs"),
        "this is a Git LFS pointer, the data is not here; get it with `git lfs pull`",
    ),
    (re.compile(r"/annex/objects/|\.\./.*\.git/annex"), "this is a git-annex pointer, the data is not here"),
)


def what_it_is(text: str) -> str:
    """What a text is that is no trace, where that can be told; empty where not."""
    return next((words for pattern, words in _LOOKS if pattern.match(text)), "")

"""Everything that comes from outside as JSON or TOML is read here: records, sweeps' files, models, journals.

Whoever made a file may have cut it, nested it 100,000 deep, put a pipe under its name or a number of 4,301
digits into it. All that is one error, `FILE:LINE: what`, and nothing hangs, recurses or eats the memory. What
is read without an error has text that can be printed and encoded, whole numbers of 64 bits, finite numbers,
each key once, and no more than `MOST_DEPTH` levels.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import os
import re
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from traces.numbers import MOST_WHOLE
from traces.toml_faults import fault_of

MOST_BYTES = 256 << 20
"""Of a JSON file: a record with the longest of traces is a hundredth of it."""
MOST_TOML_BYTES = 1 << 20
MOST_DEPTH = 64
"""Arrays and objects within each other: ours have 6; Python's own limit is near 1,000, at any place."""
TOO_MANY_DIGITS = "a whole number of thousands of digits"
"""Where Python's own words would name a setting of Python's."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISLNK, "a symbolic link"),
)


_HANDED_OVER = re.compile(r"/dev/stdin|/dev/fd/\d+|/proc/self/fd/\d+", re.ASCII)


class BadFileError(ValueError):
    """What can't be read as it must be: `FILE:LINE: fault`."""

    def __init__(self, source: str, fault: str, line: int | None = None) -> None:
        super().__init__(f"{source}:{line}: {fault}" if line else f"{source}: {fault}")
        self.source, self.fault, self.line = source, fault, line

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.source, self.fault, self.line)  # it comes back from other processes


@dataclass(frozen=True)
class Identity:
    """What tells a file from another, or from itself before it was written to."""

    device: int
    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def kind_of(mode: int) -> str:
    """In words, what something is that is no regular file; empty for one."""
    return next((name for test, name in _KINDS if test(mode)), "")


def open_file(path: str | Path, *, follow: bool = True) -> int:
    """A descriptor, to read from, of a regular file; it never waits for anybody.

    Args:
        follow: whether a symbolic link may lead there (not in a folder that somebody else may write to).

    Raises:
        BadFileError: it is something else: a folder, a pipe, a device, a link that may not be followed.
        OSError: it can't be opened.
    """
    look = os.stat if follow else os.lstat
    _refuse_special(str(path), look(path).st_mode)  # before opening: some devices act when opened
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | (0 if follow else os.O_NOFOLLOW)
    descriptor = os.open(path, flags)
    try:
        _refuse_special(str(path), os.fstat(descriptor).st_mode)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _refuse_special(source: str, mode: int) -> None:
    kind = kind_of(mode)
    if kind:
        raise BadFileError(source, f"{kind}, no file")


def read_bytes(path: str | Path, most: int = MOST_BYTES, *, follow: bool = True) -> bytes:
    """A regular file's content.

    Args:
        most: bytes; a larger file is refused.
        follow: as `open_file` has it.

    Raises:
        BadFileError: it is no regular file, or too large.
        OSError: it can't be read.
    """
    with os.fdopen(open_file(path, follow=follow), "rb") as file:
        size = os.fstat(file.fileno()).st_size  # of a file that grows, or lies in /proc, it is not the whole
        # nothing is there to read at present, as in /proc/kmsg: None
        content = (file.read(size + 1) or b"") if size <= most else b""
        if size <= most and content and len(content) != size:
            content += file.read(most) or b""
    if max(size, len(content)) > most:
        raise BadFileError(str(path), f"over {most >> 20} MiB")
    return content


def sha256_of(path: str | Path) -> str:
    """Hex digest of a regular file, of any size.

    Raises:
        BadFileError: it is no regular file.
        OSError: it can't be read.
    """
    with os.fdopen(open_file(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_given(path: str | Path, most: int = MOST_BYTES) -> bytes:
    """A regular file's content, or what comes out of a pipe that who started us has opened for us, such as
    /dev/stdin or a shell's `<(…)`. No other pipe is read: nobody may ever write into it.

    Raises:
        BadFileError, OSError: as `read_bytes`.
    """
    if not _HANDED_OVER.fullmatch(str(path)):
        return read_bytes(path, most)
    with Path(path).open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise BadFileError(str(path), f"over {most >> 20} MiB")
    return content


def read_text(path: str | Path, most: int = MOST_BYTES, *, follow: bool = True) -> str:
    """A regular file's text, without a byte order mark.

    Raises:
        BadFileError: as `read_bytes`, or it is no UTF-8, or has a NUL.
        OSError: it can't be read.
    """
    return decoded(read_bytes(path, most, follow=follow), str(path))


def decoded(content: bytes, source: str) -> str:
    """UTF-8 text, without a byte order mark.

    Raises:
        BadFileError: it is something else; the line and the byte are named.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadFileError(source, "UTF-16; save it as UTF-8", 1)
    nul = content.find(b"\0")
    if nul >= 0:
        raise BadFileError(source, f"a NUL at byte {nul}: no text, or damaged", _line_at(content, nul))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at, line = error.start, _line_at(content, error.start)
        raise BadFileError(source, f"not UTF-8 at byte {at} (0x{content[at]:02x})", line) from None


def _line_at(content: bytes, place: int) -> int:
    return content.count(b"\n", 0, place) + 1


def read_json(path: str | Path, most: int = MOST_BYTES, *, follow: bool = True) -> Any:
    """A JSON file's value.

    Raises:
        BadFileError: it is no regular file, too large, no JSON, or not within the bounds of this module.
        OSError: it can't be read.
    """
    return json_value(read_text(path, most, follow=follow), str(path))


def read_json_object(path: str | Path, most: int = MOST_BYTES, *, follow: bool = True) -> dict[str, Any]:
    """A JSON file's object.

    Raises:
        BadFileError, OSError: as `read_json`; or it is something else than an object.
    """
    return _object(read_json(path, most, follow=follow), str(path), None)


def read_json_lines(
    path: str | Path, most: int = MOST_BYTES, *, follow: bool = True
) -> Iterator[dict[str, Any]]:
    """The objects of a file that has one on each line.

    Raises:
        BadFileError, OSError: as `read_json`; or a line is no object.
    """
    text = read_text(path, most, follow=follow)
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else (), start=1):
        yield json_object(line, str(path), number)


def read_first_object(path: str | Path, most: int = MOST_BYTES, *, follow: bool = True) -> dict[str, Any]:
    """The object on the first line of a file that has one on each line, such as a record's manifest.

    Raises:
        BadFileError, OSError: as `read_json`; or the first line is no object.
    """
    with os.fdopen(open_file(path, follow=follow), "rb") as file:
        content = file.readline(most + 1)
    if len(content) > most:
        raise BadFileError(str(path), f"over {most >> 20} MiB", 1)
    return json_object(decoded(content, str(path)), str(path), 1)


def json_object(text: str, source: str, line: int = 1) -> dict[str, Any]:
    """The object that a text is, `line` its first line's number.

    Raises:
        BadFileError: as `json_value`; or it is something else than an object.
    """
    return _object(json_value(text, source, line), source, line)


def _object(value: Any, source: str, line: int | None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadFileError(source, f"{shown(value)}; expected an object", line)
    return value


_MANY_DIGITS = re.compile(r"[0-9]{18}")
_FAR = re.compile(r"(?<![0-9.])[0-9]{18}")
_LARGE = re.compile(r"[0-9][eE]\+?[0-9]{3,}(?=[\s,\]}]|$)")
_NO_CHARACTER = re.compile(r"\\u(?:[dD][89a-fA-F]|0000)")


def _is_plain(text: str) -> bool:
    """Whether certainly no number of a JSON text is too large for 64 bits, and no text of it has halves of
    pairs or a NUL. Three searches, as one for all takes twice as long, and this is done for every request.
    """
    far = _MANY_DIGITS.search(text) and _FAR.search(text)
    return not (far or _LARGE.search(text) or ("\\u" in text and _NO_CHARACTER.search(text)))


def json_value(text: str, source: str, line: int = 1) -> Any:
    """The JSON value that a text is.

    Args:
        source: the file's name, for errors.
        line: of the file, where the text begins.

    Raises:
        BadFileError: it is no JSON, or not within the bounds of this module.
    """
    deep = _too_deep(text, _JSON_TOKEN)
    if deep:
        raise BadFileError(source, f"more than {MOST_DEPTH} brackets within each other", line + deep - 1)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise BadFileError(source, f"not JSON ({_said(error)})", line + error.lineno - 1) from None
    except (ValueError, RecursionError) as error:
        raise BadFileError(source, own_words(error), line) from None
    if not _is_plain(text):
        fault = _out_of_bounds(value)
        if fault:
            raise BadFileError(source, fault, line)
    return value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {shown(twice)} stands there twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_each_once, parse_constant=_no_constant)


def _said(error: json.JSONDecodeError) -> str:
    if not error.doc.strip():
        return "empty"
    return f"column {error.colno}: {error.msg[:1].lower()}{error.msg[1:]}"


def own_words(error: Exception) -> str:
    """What is wrong; Python's own words for too many digits name a setting of Python's."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return TOO_MANY_DIGITS if "digits" in str(error) else str(error)


def read_toml(path: str | Path, most: int = MOST_TOML_BYTES) -> dict[str, Any]:
    """A TOML file's tables.

    Raises:
        BadFileError: it is no regular file, too large, no TOML, or not within the bounds of this module.
        OSError: it can't be read.
    """
    return toml_tables(read_text(path, most), str(path))


def toml_tables(text: str, source: str) -> dict[str, Any]:
    """The tables that a TOML text is.

    Raises:
        BadFileError: it is no TOML, or not within the bounds of this module.
    """
    deep = _too_deep(text, _TOML_TOKEN)
    if deep:
        raise BadFileError(source, f"more than {MOST_DEPTH} brackets within each other", deep)
    chain = _LONG_KEY.search(text)
    if chain:
        fault = f"a key of more than {MOST_DEPTH} parts"
        raise BadFileError(source, fault, text.count("\n", 0, chain.start()) + 1)
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        fault, line = fault_of(text, error)
        raise BadFileError(source, fault, line) from None
    except (ValueError, RecursionError) as error:
        raise BadFileError(source, own_words(error), _line_of_number(text)) from None
    fault = _out_of_bounds(tables)
    if fault:
        raise BadFileError(source, fault, _line_of_number(text))
    return tables


_LONG_KEY = re.compile(
    rf"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){{{MOST_DEPTH}}}""", re.ASCII
)
"""`tomllib` takes a minute for a key of 50,000 parts."""
_FAR_NUMBER = re.compile(
    r"(?<![\w.])[+-]?(?:0[xob][\w]{16,}|[\d_]{18,}|[\d_.]+[eE]\+?[\d_]{3,}|inf|nan)(?!\w)", re.ASCII
)


def _line_of_number(text: str) -> int:
    """The line of the first number that may be the one out of bounds."""
    found = _FAR_NUMBER.search(text)
    return text.count("\n", 0, found.start()) + 1 if found else 1


_JSON_TOKEN = re.compile(r'"(?:[^"\\]+|\\.)*+"|[\[\]{}]', re.DOTALL)
_TOML_TOKEN = re.compile(
    r'"""(?:[^"\\]+|\\.|"(?!""))*+"""|\'\'\'(?:[^\']+|\'(?!\'\'))*+\'\'\''
    r'|"(?:[^"\\\n]+|\\.)*+"|\'[^\'\n]*+\'|#[^\n]*+|[\[\]{}]',
    re.DOTALL,
)


def _too_deep(text: str, token: re.Pattern[str]) -> int:
    """The line at which more brackets are open than may be; 0 where none is."""
    if text.count("[") + text.count("{") <= MOST_DEPTH:
        return 0
    depth = 0
    for found in token.finditer(text):
        if found[0] in ("[", "{"):
            depth += 1
            if depth > MOST_DEPTH:
                return text.count("\n", 0, found.start()) + 1
        elif found[0] in ("]", "}"):
            depth -= 1
    return 0


def _out_of_bounds(value: Any) -> str:
    """What of a value, at any depth, is no finite number, 64-bit whole number or text; empty if nothing."""
    left = [(value, 0)]
    while left:
        one, depth = left.pop()
        fault = _fault_of(one)
        if fault:
            return fault
        if isinstance(one, dict | list):
            if depth >= MOST_DEPTH:
                return f"more than {MOST_DEPTH} tables within each other"
            within = [*one, *one.values()] if isinstance(one, dict) else one
            left += [(each, depth + 1) for each in within]
    return ""


def _fault_of(one: Any) -> str:
    if isinstance(one, str):
        if "\0" in one:
            return f"a NUL in the text {shown(one)}"
        return "" if one.isascii() or _encodes(one) else f"half a character in the text {shown(one)}"
    if isinstance(one, float):
        return "" if math.isfinite(one) else f"a number that is not finite ({one})"
    if isinstance(one, int) and not -MOST_WHOLE <= one <= MOST_WHOLE:
        return f"a whole number of more than 64 bits ({one.bit_length()} of them)"
    return ""


def line_of(value: Any) -> str:
    """JSON on one line, for a file that this module reads again: what it would refuse is put in other words,
    such as a NUL in a text, or a number of 400 digits.

    Raises:
        ValueError: a number that is not finite.
    """
    text = _compact(value)
    if not _is_plain(text) or text.count("{") + text.count("[") > 2:
        text = _compact(_within_bounds(value))
    return text


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _within_bounds(value: Any, depth: int = 0) -> Any:
    if isinstance(value, dict | list | tuple) and depth >= MOST_DEPTH:
        return "…"
    if isinstance(value, dict):
        return {_text_within(_key(name)): _within_bounds(one, depth + 1) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_within_bounds(one, depth + 1) for one in value]
    if isinstance(value, str):
        return _text_within(value)
    return shown(value) if isinstance(value, int) and _fault_of(value) else value


def _key(name: Any) -> str:
    """As JSON writes it: two keys that are the same there are one."""
    return name if isinstance(name, str) else str(json.loads(json.dumps([name]))[0])


def _text_within(text: str) -> str:
    if not _fault_of(text):
        return text
    return text.replace("\0", "\\0").encode(errors="backslashreplace").decode()


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(value: Any) -> str:
    """A value on one line, in 60 characters, each of ASCII."""
    if isinstance(value, dict | list) and len(value) > 20:
        return f"a list of {len(value)}" if isinstance(value, list) else f"an object of {len(value)} keys"
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."

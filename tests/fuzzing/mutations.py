"""Files as nobody should write them: whole ones in which bytes, words or values were changed at random."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

BYTES = (
    *(b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3\x28", b"\x1b[2J", b"\n", b"\r\n", b"\t", b"", b"-", b"#"),
    *(b"9" * 400, b"9" * 4301, b"1e400", b"-1e308", b"NaN", b"nan", b"inf", b"0x" + b"f" * 40, b"1e-400"),
    *(
        b"[" * 3000,
        b'{"a":' * 3000,
        b"]" * 50,
        b'"',
        b"'",
        b"\\",
        b"\\u0000",
        b"\\ud800",
        b'"""',
        b"a." * 500,
    ),
    *(
        b"0",
        b"-1",
        b"null",
        b"true",
        b"{}",
        b"[]",
        b'""',
        b" " * 5000,
        b"<!DOCTYPE x [<!ENTITY a 'b'>]>",
        b"&a;",
    ),
)
"""What is put somewhere into a file."""
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**53, 2**63, 10**400, -(10**30), 0.0, -0.0, 1e308, -1e308, 1e-308, 0.5),
    *("", " ", "x", "\0", "\x1b[2Jx", "‮x", "$x^{$", "../../x", "/etc/passwd", "a\nb", "é" * 500, "9" * 30),
    *([], {}, [[]], [1], [0, 0], [-1.0, 1e300], [None], ["x"], {"a": 1}, {"": {}}, [[1, "x"], [2]]),
)
"""What is put in place of a value."""


def changed(whole: bytes, draw: random.Random) -> bytes:
    """One of the ways to spoil a file."""
    ways: tuple[Callable[[bytes, random.Random], bytes], ...] = (
        *(_bytes_changed, _cut, _word_put_in, _part_doubled, _number_changed),
        *(_value_changed, _value_changed, _value_changed, _key_lost),
    )
    content = draw.choice(ways)(whole, draw)
    return draw.choice(ways)(content, draw) if draw.random() < 0.3 else content


def _bytes_changed(whole: bytes, draw: random.Random) -> bytes:
    content = bytearray(whole)
    for _ in range(draw.randint(1, 8)):
        if content:
            content[draw.randrange(len(content))] = draw.randrange(256)
    return bytes(content)


def _cut(whole: bytes, draw: random.Random) -> bytes:
    begin, end = sorted((draw.randrange(len(whole) + 1), draw.randrange(len(whole) + 1)))
    return whole[:begin] if draw.random() < 0.5 else whole[:begin] + whole[end:]


def _word_put_in(whole: bytes, draw: random.Random) -> bytes:
    at, gone = draw.randrange(len(whole) + 1), draw.choice((0, 0, 1, 5))
    return whole[:at] + draw.choice(BYTES) + whole[at + gone :]


def _part_doubled(whole: bytes, draw: random.Random) -> bytes:
    lines = whole.split(b"\n")
    at = draw.randrange(len(lines))
    return b"\n".join([*lines[: at + 1], draw.choice(lines), *lines[at + 1 :]])


def _number_changed(whole: bytes, draw: random.Random) -> bytes:
    places = [at for at, byte in enumerate(whole) if 48 <= byte <= 57]
    if not places:
        return whole
    at = draw.choice(places)
    return whole[:at] + draw.choice((*BYTES[11:20], b"-", b".", b"e9", b"0" * 20)) + whole[at + 1 :]


def _value_changed(whole: bytes, draw: random.Random) -> bytes:
    """A value of a JSON line, at any depth, is another one."""
    return _json_changed(
        whole, draw, lambda held, key: held.__setitem__(key, copy.deepcopy(draw.choice(VALUES)))
    )


def _key_lost(whole: bytes, draw: random.Random) -> bytes:
    return _json_changed(whole, draw, lambda held, key: held.__delitem__(key))


def _json_changed(whole: bytes, draw: random.Random, change: Callable[[Any, Any], None]) -> bytes:
    lines = whole.split(b"\n")
    at = 0 if draw.random() < 0.5 else draw.randrange(len(lines))
    for begin, end in ((at, at + 1), (0, len(lines))):
        try:
            value = json.loads(b"\n".join(lines[begin:end]))
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict | list) and value:
            change(*_somewhere(value, draw))
            return b"\n".join([*lines[:begin], json.dumps(value).encode(), *lines[end:]])
    return _word_put_in(whole, draw)


def _somewhere(value: Any, draw: random.Random) -> tuple[Any, Any]:
    """A container within a value and one of its keys."""
    while True:
        key = draw.choice(list(value)) if isinstance(value, dict) else draw.randrange(len(value))
        inner = value[key]
        if not isinstance(inner, dict | list) or not inner or draw.random() < 0.3:
            return value, key
        value = inner

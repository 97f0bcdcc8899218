"""What comes from outside is read whole, or refused in one line that names the file and the line."""

from __future__ import annotations

import json
import os
import pickle
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traces.safe_reading import (
    MOST_DEPTH,
    MOST_WHOLE,
    BadFileError,
    json_object,
    json_value,
    read_bytes,
    read_first_object,
    read_json,
    read_json_lines,
    read_text,
    read_toml,
    sha256_of,
    toml_tables,
)

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MOST_WHOLE, MOST_WHOLE)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), inner)
    ),
    max_leaves=20,
)


@given(PLAIN)
def test_what_is_within_bounds_comes_back_as_it_is(value: Any) -> None:
    assert json_value(json.dumps(value), "f") == value
    assert json_value(json.dumps(value, ensure_ascii=False), "f") == value


@given(st.text(st.sampled_from("[]{}\"\\,:0123456789.eE+-nulNaI \n\0#='_x")))
@settings(max_examples=500)
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    for read in (json_value, toml_tables):
        try:
            read(text, "f")
        except BadFileError as error:
            assert str(error).startswith("f:")
            assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "f:1: not JSON (empty)"),
        ('{"a": 1', "f:1: not JSON (column 8: expecting ',' delimiter)"),
        ('{"a": 1,\n"a": 2}', 'f:1: the key "a" stands there twice'),
        ("[NaN]", "f:1: NaN is no number of JSON"),
        ("[-Infinity]", "f:1: -Infinity is no number of JSON"),
        ("[1e400]", "f:1: a number that is not finite (inf)"),
        ("[1" + "0" * 400 + ".5]", "f:1: a number that is not finite (inf)"),
        ("9" * 400, "f:1: a whole number of more than 64 bits (1329 of them)"),
        (str(MOST_WHOLE + 1), "f:1: a whole number of more than 64 bits (64 of them)"),
        ("9" * 4301, "f:1: a whole number of thousands of digits"),
        ("[" * 3000, "f:1: more than 64 brackets within each other"),
        ('[\n{"a":' * 100_000, "f:33: more than 64 brackets within each other"),
        ('["\\ud800"]', 'f:1: half a character in the text "\\ud800"'),
        ('{"\\udc00": 1}', 'f:1: half a character in the text "\\udc00"'),
        ('{"name": "a\\u0000b"}', 'f:1: a NUL in the text "a\\u0000b"'),
    ],
)
def test_json_that_is_none_or_out_of_bounds(text: str, said: str) -> None:
    with pytest.raises(BadFileError) as caught:
        json_value(text, "f")
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (str(MOST_WHOLE), MOST_WHOLE),
        (f'"{"9" * 5000}"', "9" * 5000),
        ('"e999 \\\\u0000 \\ud83d\\ude00"', "e999 \\u0000 😀"),
        ('"' + "[" * 3000 + '\\""', "[" * 3000 + '"'),
        ("[" + "[]," * 3000 + "1e-400]", [[]] * 3000 + [0.0]),
        ("[" * MOST_DEPTH + "]" * MOST_DEPTH, None),
    ],
)
def test_json_that_only_looks_out_of_bounds(text: str, value: Any) -> None:
    found = json_value(text, "f")
    assert value is None or found == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = 1\na = 2", "f:2: Cannot overwrite a value"),
        ("a = 1\nname =" + "[" * 3000, "f:2: more than 64 brackets within each other"),
        ("a = 1\nb = " + "{b=" * 200, "f:2: more than 64 brackets within each other"),
        ("\n" + "a." * 50_000 + "a = 1", "f:2: a key of more than 64 parts"),
        ("\n" + "'a' . \"b\"\t." * 50 + "a = 1", "f:2: a key of more than 64 parts"),
        ("a = 1\nb = " + "9" * 5000, "f:2: a whole number of thousands of digits"),
        ("a = 1\nb = " + "9" * 400, "f:2: a whole number of more than 64 bits (1329 of them)"),
        ("a = 1\nb = 0x" + "f" * 40, "f:2: a whole number of more than 64 bits (160 of them)"),
        ("a = 1\nb = nan", "f:2: a number that is not finite (nan)"),
        ("a = 1\nb = [1.0, -inf]", "f:2: a number that is not finite (-inf)"),
        ("a = 1\nb = 1e400", "f:2: a number that is not finite (inf)"),
        ('a = "\\u0000"', 'f:1: a NUL in the text "\\u0000"'),
    ],
)
def test_toml_that_is_none_or_out_of_bounds(text: str, said: str) -> None:
    with pytest.raises(BadFileError) as caught:
        toml_tables(text, "f")
    assert str(caught.value) == said


def test_toml_that_only_looks_out_of_bounds() -> None:
    text = (
        f"a = '''{'[' * 99}'''  # {'[' * 99}\nb = '{'{' * 99}'\nc = \"\\\"{'[' * 99}\"\n[d]\n" + "e1.f = 1\n"
    )
    tables = toml_tables(text, "f")
    assert (len(tables["a"]), len(tables["b"]), len(tables["c"]), tables["d"]["e1"]) == (
        99,
        99,
        100,
        {"f": 1},
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe{\0}\0", "1: UTF-16; save it as UTF-8"),
        (b"\xfe\xff\0{\0}", "1: UTF-16; save it as UTF-8"),
        (b'{"a":\n"\xe9"}', "2: not UTF-8 at byte 7 (0xe9)"),
        (b"{}\n{}\n\0\0\0", "3: a NUL at byte 6: no text, or damaged"),
    ],
)
def test_bytes_that_are_no_text(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "f"
    path.write_bytes(content)
    with pytest.raises(BadFileError) as caught:
        read_text(path)
    assert str(caught.value) == f"{path}:{said}"


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"\xef\xbb\xbfa = 1\n")
    assert read_toml(path) == {"a": 1}
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n')
    assert read_json(path) == {"a": 1}


def test_only_a_regular_file_is_read_and_nothing_waits(tmp_path: Path) -> None:
    pipe, place, link = tmp_path / "pipe", tmp_path / "socket", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(place))
        for path, what in ((pipe, "a pipe"), (link, "a pipe"), (place, "a socket"), (tmp_path, "a folder")):
            with pytest.raises(BadFileError, match=f"{path.name}: {what}, no file"):
                read_bytes(path)
            with pytest.raises(BadFileError, match=f"{path.name}: {what}, no file"):
                sha256_of(path)
    with pytest.raises(BadFileError, match="/dev/zero: a device, no file"):
        read_bytes("/dev/zero")
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "nothing")


def test_links_are_followed_where_they_may_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text('{"a": 1}\n{"b": 2}\n')
    link = tmp_path / "link"
    link.symlink_to("file")
    assert list(read_json_lines(link)) == [{"a": 1}, {"b": 2}]
    assert read_first_object(link) == {"a": 1}
    with pytest.raises(BadFileError, match="link: a symbolic link, no file"):
        read_first_object(link, follow=False)


def test_a_file_may_not_be_endless(tmp_path: Path) -> None:
    path = tmp_path / "f"
    with path.open("wb") as file:
        file.truncate(3 << 20)
    with pytest.raises(BadFileError, match="over 1 MiB"):
        read_bytes(path, 1 << 20)
    with pytest.raises(BadFileError, match="f:1: over 1 MiB"):
        read_first_object(path, 1 << 20)


def test_a_line_of_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text('{"a": 1}\n[]\n')
    with pytest.raises(BadFileError, match=r"f.jsonl:2: \[\]; expected an object"):
        list(read_json_lines(path))
    path.write_text("")
    assert list(read_json_lines(path)) == []
    with pytest.raises(BadFileError, match=r"f.jsonl:1: not JSON \(empty\)"):
        read_first_object(path)


def test_the_error_crosses_to_another_process() -> None:
    with pytest.raises(BadFileError) as caught:
        json_object("[", "f", 7)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.line) == (str(caught.value), 7)

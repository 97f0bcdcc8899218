"""A growing file is read by whole lines, whatever happens to it meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from analysis.watch import tail as module
from analysis.watch.tail import Tail

MUCH = 1 << 20


def appended(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text('{"a": 1}\n{"b"')
    tail = Tail(path)
    assert tail.lines(MUCH) == [b'{"a": 1}']
    assert tail.lines(MUCH) == []
    appended(path, ": 2}\n")
    assert tail.lines(MUCH) == [b'{"b": 2}']
    assert tail.begins == 1


def test_a_record_that_gets_its_name_is_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.partial"
    path.write_text("1\n")
    tail = Tail(path)
    assert tail.lines(MUCH) == [b"1"]
    appended(path, "2\n")
    tail.path = path.rename(tmp_path / "a")
    assert tail.lines(MUCH) == [b"2"]


def test_a_file_that_was_cut_or_replaced_is_read_from_its_begin(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("11\n22\n3")
    tail = Tail(path)
    tail.lines(MUCH)
    path.write_text("4\n")
    assert tail.lines(MUCH) == [b"4"]
    other = tmp_path / "b"
    other.write_text("5\n6\n")
    other.replace(path)
    assert tail.lines(MUCH) == [b"5", b"6"]
    assert tail.begins == 3


def test_much_is_read_by_and_by(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("0123456\n" * 100)
    tail = Tail(path)
    turns = []
    while not turns or tail.waits:
        turns.append(len(tail.lines(100)))
    assert sum(turns) == 100
    assert max(turns) == 13


def test_a_line_without_end_and_a_file_without_end_are_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_LINE_BYTES", 50)
    monkeypatch.setattr(module, "MOST_FILE_BYTES", 500)
    path, other = tmp_path / "a", tmp_path / "b"
    path.write_text("1\n" + 60 * "x")
    tail = Tail(path)
    assert tail.lines(MUCH) == [b"1"]
    assert tail.fault.startswith("a line of over")
    other.write_text("22\n" * 200)
    tail = Tail(other)
    assert len(tail.lines(MUCH)) == 200
    assert tail.fault.startswith("over")
    appended(other, "22\n")
    assert tail.lines(MUCH) == []


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/etc/passwd")
    for name in ("pipe", "link"):
        tail = Tail(tmp_path / name)
        assert tail.lines(MUCH) == []
        assert tail.fault
    with pytest.raises(FileNotFoundError):
        Tail(tmp_path / "none").lines(MUCH)

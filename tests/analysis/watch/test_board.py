"""What a page is told of a folder: of records that grow, end, are replaced, and of those that mean harm."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from analysis.watch import board as module
from analysis.watch.board import Board
from tests.support.session_records import write_session


def told(messages: Iterable[dict[str, Any]], what: str) -> list[Any]:
    return [message[what] for message in messages if what in message]


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


@pytest.fixture
def record(tmp_path: Path) -> list[bytes]:
    """The lines of a record of three chunks."""
    (tmp_path / "made").mkdir()
    return lines_of(write_session(tmp_path / "made" / "bba.jsonl", by=("policy", "fallback", "policy")))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def test_a_running_session_is_told_line_by_line(folder: Path, record: list[bytes]) -> None:
    partial = folder / "bba.jsonl.partial"
    partial.write_bytes(b"".join(record[:2]) + record[2][:20])
    board = Board(folder)
    first = board.turn(whole=True)
    (head,) = told(first, "head")
    assert (head["kind"], head["name"], head["policy"], head["chunks"]) == ("video", "bba", "bba", 3)
    assert head["link"][0] == [10.0, 2.0]
    assert [len(rows) for rows in told(first, "rows")] == [1]
    (state,) = told(first, "state")
    assert state["running"] and 1.0 <= state["at_s"] < 60.0

    assert told(board.turn(whole=True), "rows") == []
    with partial.open("ab") as file:
        file.write(record[2][20:] + record[3] + record[4])
    partial.rename(folder / "bba.jsonl")
    last = board.turn(whole=True)
    assert told(last, "head") == []
    ((second, third),) = told(last, "rows")
    assert (second[0], second[9], third[0], third[9]) == (1, "fallback", 2, "policy")
    assert told(last, "end")[0]["outcome"] == "finished"
    assert [state["running"] for state in told(last, "state")][-1] is False

    for page in (board.whole(), [*first, *last]):  # who comes late sees the same
        assert sum(map(len, told(page, "rows"))) == 3
        assert len(told(page, "end")) == 1
    assert board.turn(whole=True) == []


def test_a_session_that_is_streamed_again_begins_anew(folder: Path, record: list[bytes]) -> None:
    path = folder / "bba.jsonl"
    path.write_bytes(b"".join(record))
    board = Board(folder)
    board.turn(whole=True)
    path.unlink()
    (folder / "bba.jsonl.partial").write_bytes(record[0])
    news = board.turn(whole=True)
    assert len(told(news, "gone")) == 1
    assert len(told(news, "head")) == 1
    (about,) = told(board.whole(), "run")
    assert next(message for message in board.whole() if "rows" in message)["rows"] == []
    assert about["more"] == 0


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000,
        b'{"line": "chunk", "chunk": 0}',
        b'{"line": "chunk", "chunk": 0, "level": 1e999}',
        b"\xff\xfe\x00",
        b'{"line": "decision"}',
        b'{"line": "chunk", "chunk": "<script>"}',
        b"9" * 5000,
    ],
)
def test_a_damaged_line_is_counted_and_left_out(folder: Path, record: list[bytes], line: bytes) -> None:
    (folder / "bba.jsonl.partial").write_bytes(record[0] + line + b"\n" + record[1])
    board = Board(folder)
    news = board.turn(whole=True)
    assert [len(rows) for rows in told(news, "rows")] == [1]
    assert told(news, "run")[-1]["damaged"] == 1
    json.dumps(news, allow_nan=False)


@pytest.mark.parametrize(
    "first", [b"", b"\n", b"{}", b'{"line": "manifest", "schema": 99}', b'{"line":"chunk"}']
)
def test_what_is_no_record_has_no_lane(folder: Path, first: bytes) -> None:
    (folder / "a.jsonl").write_bytes(first + b"\n")
    board = Board(folder)
    assert told(board.turn(whole=True), "head") == []
    assert board.empty


def test_a_folder_that_goes_leaves_what_was_seen(folder: Path, record: list[bytes]) -> None:
    (folder / "bba.jsonl").write_bytes(b"".join(record))
    board = Board(folder)
    board.turn(whole=True)
    shutil.rmtree(folder)
    (about,) = told(board.turn(whole=True), "run")
    assert "can't be read" in about["fault"]
    assert len(told(board.whole(), "head")) == 1


def test_no_more_is_read_in_a_turn_than_may_be(
    folder: Path, record: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES_A_TURN", 3 * len(record[0]))
    for number in range(5):
        (folder / f"{number}.jsonl").write_bytes(b"".join(record))
    board, turns = Board(folder), 0
    while turns == 0 or len(told(board.whole(), "end")) < 5:
        board.turn(whole=turns == 0)
        turns += 1
        assert turns < 20
    assert turns > 1


def test_a_sweep_shows_its_progress_and_the_last_sessions(
    folder: Path, record: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_OVER", 2)
    for number in range(4):
        (folder / f"{number}.jsonl").write_bytes(b"".join(record))
    (folder / "9.jsonl.partial").write_bytes(record[0])
    entry = {
        "session": "a",
        "record": "a.jsonl",
        "setting": "4g",
        "policy": "<b>",
        "trace": "t",
        "status": "done",
    }
    state = {
        "schema": 1,
        "name": "mine",
        "settings": [{"label": "4g"}],
        "policies": [{"label": "<b>"}],
        "sessions": [entry, entry | {"status": "missing"}],
        "counts": {"expected": 2, "done": 1, "missing": 1},
    }
    (folder / "sweep.json").write_text(json.dumps(state))
    board = Board(folder)
    news = board.turn(whole=True)
    assert sorted(head["name"] for head in told(news, "head"))[-1] == "9"
    assert len(told(news, "head")) == 3
    about = told(news, "run")[-1]
    assert (about["records"], about["more"]) == (4, 2)
    assert about["sweep"]["policies"] == [["<b>", 1, 0, 0, 1]]
    (folder / "sweep.json").write_text("[")
    assert "fault" in told(board.turn(whole=True), "run")[-1]["sweep"]


def test_a_call_is_told_too(folder: Path) -> None:
    call = {"duration_s": 2.0}
    manifest = {"line": "manifest", "schema": 1, "task": "call", "policy": {"spec": "gcc"}, "call": call}
    lines: list[dict[str, Any]] = [manifest]
    lines += [
        {"line": "decision", "at_s": 0.05 * place, "kbps": 300.0, "by": "guard" if place == 5 else "policy"}
        for place in range(1, 20)
    ]
    shown = {"shown_s": [0.1, 0.2, 0.9], "delay_mean_ms": 40.0, "delay_most_ms": 60.0}
    lines.append({"line": "second", "second": 0, "bytes": 125_000, "missed": 2, **shown})
    (folder / "gcc.jsonl.partial").write_text("".join(json.dumps(line) + "\n" for line in lines))
    news = Board(folder).turn(whole=True)
    (rows,) = told(news, "rows")
    assert rows[-1] == ["s", 1.0, 1.0, 40.0, 60.0, 2.0, [[0.2, 0.9]]]
    decided = [row for row in rows if row[0] == "d"]
    assert len(decided) == 6
    assert "guard" in [row[3] for row in decided]


def test_a_folder_beside_that_leads_elsewhere_is_left_alone(
    folder: Path, tmp_path: Path, record: list[bytes]
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "secret.jsonl").write_bytes(b"".join(record))
    (folder / "beside").symlink_to(tmp_path / "other")
    board = Board(folder)
    assert told(board.turn(whole=True), "head") == []

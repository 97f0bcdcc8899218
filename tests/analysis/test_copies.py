"""A session whose record is there twice counts once, and the copy is named, whatever is asked for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from analysis.__main__ import main
from tests.support.session_records import write_session


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two policies on three traces; the first one's record lies under the second one's name, too."""
    folder = tmp_path / "results"
    folder.mkdir()
    for policy in ("bba", "robustmpc"):
        for trace in range(3):
            name = f"t{trace}_{policy}"
            levels = (0, 1, trace) if policy == "bba" else (0, 2, trace)
            write_session(
                folder / f"{name}.jsonl", policy, f"t{trace}", levels=levels, sweep={"session": name}
            )
    shutil.copyfile(folder / "t1_robustmpc.jsonl", folder / "t0_bba.jsonl")  # which is the first by name
    return folder


COPY = "t0_bba.jsonl: a copy of t1_robustmpc.jsonl"


@pytest.mark.parametrize(
    "words", [("collect",), ("compare",), ("table",), ("report", "--jobs", "1"), ("plot", "--what", "cdf")]
)
def test_a_copy_is_named_and_left_out(
    folder: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    more = ("--out", str(folder.parent / "cdf.png")) if words[0] == "plot" else ()
    assert main([*words, str(folder), *more]) == 1
    said = "".join(capsys.readouterr())
    assert f"left out: {folder / COPY}" in said.replace("\n", "") and "2 unreadable" not in said


def test_the_session_counts_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*words: str) -> dict[str, Any]:
        assert main([*words, str(folder), "--json"]) == 1
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    assert told("collect")["rows"] == 5
    report = told("report", "--jobs", "1")
    assert (report["sessions"], report["records"]) == (5, 6)


def test_a_folder_named_with_its_copy_counts_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "t0_bba.jsonl").unlink()
    again = shutil.copytree(folder, folder.parent / "again")
    assert main(["collect", str(folder), str(again), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["rows"] == 5


def test_records_that_differ_are_all_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(2):  # as long as each other
        write_session(folder / f"again{number}.jsonl", "bba", "t2", seed=number)
    assert main(["collect", str(folder), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["rows"] == 7

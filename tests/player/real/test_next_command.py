"""What a session over a real network ends with is a command that runs on what lies there."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.__main__ import main
from player.real.next_command import next_words
from player.record import INTERRUPTED
from tests.support.session_records import change_manifest, write_session


def real(folder: Path, policy: str, number: int, **more: object) -> Path:
    path = write_session(folder / f"{policy}{number}.jsonl", policy, simulated=False, **more)  # type: ignore[arg-type]
    change_manifest(path, trace=None, link=None, started_at=f"2026-03-01T12:0{number}:00Z")
    return path


def test_it_is_a_comparison_once_each_policy_has_two_that_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = real(tmp_path, "a", 0)
    assert next_words(path)[0] == "plot" and main(list(next_words(path))) == 0
    assert main(["unpaired", str(tmp_path)]) == 2  # which is why it isn't named
    real(tmp_path, "a", 1)
    real(tmp_path, "b", 0)
    real(tmp_path, "b", 1, outcome=INTERRUPTED)
    assert next_words(path)[0] == "plot"
    real(tmp_path, "b", 2)
    assert next_words(path) == ("unpaired", str(tmp_path))
    assert main(list(next_words(path))) == 0
    (tmp_path / "damaged.jsonl").write_text("{")
    assert next_words(path)[0] == "plot"


def test_sessions_over_traces_make_no_comparison_of_it(tmp_path: Path) -> None:
    for number in range(3):
        write_session(tmp_path / f"t{number}.jsonl", "a", trace=f"t{number}")
    assert next_words(real(tmp_path, "b", 0))[0] == "plot"

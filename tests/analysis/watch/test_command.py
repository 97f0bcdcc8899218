"""`python -m analysis watch DIR --out FILE`, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.__main__ import main
from tests.support.session_records import write_session


def test_a_folder_becomes_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_session(tmp_path / "bba.jsonl")
    page = tmp_path / "page.html"
    assert main(["watch", str(tmp_path), "--out", str(page)]) == 0
    assert capsys.readouterr().out == f"page: {page}\n"
    assert '"name":"bba"' in page.read_text()
    assert "connect-src 'none'" in page.read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none"], "no such folder"),
        (["empty", "--out", "a.html"], "holds no records"),
        (["empty", "--out", "a.png"], "ends in .html"),
        (["empty", "--port", "70000"], "is no port"),
        (["empty", "--listen", "not an address", "--port", "0"], "name another one"),
    ],
)
def test_what_can_not_be_watched_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.nice", lambda step: 0)
    try:
        status = main(["watch", *words])
    except SystemExit as left:
        status = left.code
    assert status == 2
    assert said in capsys.readouterr().err

"""Under sudo, what any command writes is the caller's, folders that it makes included."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.__main__ import main as analysis
from testbed.simulate import main as simulate
from testbed.sweep import main as sweep
from tests.support.session_records import write_session
from traces.__main__ import main as traces

CALLER = 12345
SWEEP = """
name = "small"
policies = ["bba", "rate"]

[[setting]]
label = "usual"
traces = "4g/0"
chunks = 3
"""
Main = Callable[[list[str]], int]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="files can be given away by root alone")


@pytest.mark.parametrize(
    ("main", "words"),
    [
        (traces, ["generate", "4g", "--members", "0:2", "--out", "new/sub"]),
        (traces, ["convert", "4g/0", "new.csv", "--to", "csv"]),
        (analysis, ["collect", "records", "--out", "new/x.csv"]),
        (analysis, ["plot", "records", "--what", "bars", "--out", "new/x.png"]),
        (simulate, ["--traces", "4g/0", "--policy", "bba", "--chunks", "3", "--jobs", "1", "--out", "new/x"]),
        (sweep, ["s.toml", "--simulate", "--jobs", "1", "--out", "new/x"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_what_a_command_makes_is_the_callers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, main: Main, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.toml").write_text(SWEEP)
    (tmp_path / "records").mkdir()
    for policy in ("bba", "rate"):
        write_session(tmp_path / "records" / f"{policy}.jsonl", policy)
    before = set(tmp_path.rglob("*"))
    monkeypatch.setenv("SUDO_UID", str(CALLER))
    monkeypatch.setenv("SUDO_GID", str(CALLER))
    assert main(words) == 0
    made = set(tmp_path.rglob("*")) - before
    assert made
    assert {str(path): path.lstat().st_uid for path in made if path.lstat().st_uid != CALLER} == {}

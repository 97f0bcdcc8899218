"""A sweep goes on only with the code that it began with: a policy's modules are part of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from player.record import read_record
from testbed import sweep
from traces.versions import code_version

SWEEP = """
name = "parts"
policies = ["parted.py:Parted", "bba"]
[[setting]]
label = "usual"
traces = "4g[0:1]"
chunks = 3
"""


def test_a_changed_module_of_a_policy_is_named_and_nothing_is_mixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("parts.toml").write_text(SWEEP)
    Path("part_of_parted.py").write_text("LEVEL = 1\n")
    Path("parted.py").write_text(
        "from part_of_parted import LEVEL\n"
        "class Parted:\n"
        "    def reset(self, video, seed, qoe): pass\n"
        "    def select(self, observation): return LEVEL\n"
    )
    words = ["parts.toml", "--simulate", "--jobs", "1", "--out", "out"]
    assert sweep.main(words) == 0
    state = json.loads(Path("out/sweep.json").read_text())
    parted, bba = state["policies"]
    assert list(parted["sources"]) == ["parted.py", "part_of_parted.py"] and "sources" not in bba
    assert state["code"] == vars(code_version()) and state["commands"][0]["directory"] == str(tmp_path)
    (record,) = map(read_record, Path("out").glob("*Parted*.jsonl"))
    assert record.told.policy is not None and record.told.policy.sources == parted["sources"]
    assert sweep.main(words) == 0
    Path("part_of_parted.py").write_text("LEVEL = 2\n")
    capsys.readouterr()
    assert sweep.main(words) == 2
    said = capsys.readouterr().err
    assert "sources.part_of_parted.py was" in said and said.count("\n") == 1

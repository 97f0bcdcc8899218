"""How to repeat it: what the report prints can be typed, and gives the same again."""

from __future__ import annotations

import csv
import html
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.__main__ import main
from analysis.report.parts.typed import TypedCommand, once, typed
from analysis.report.sections.repeat import COMPARED, MADE, REPORTED
from testbed import simulate, sweep
from tests.support.session_records import write_session
from traces.versions import ROOT, typed_in

POLICY = """
class Mine:
    def __init__(self, level: int = 0): self.level = level
    def reset(self, video, seed, qoe): pass
    def select(self, observation): return self.level
"""
SWEEP = """
name = "again"
policies = ["bba", "robustmpc", "my policy.py:Mine:level=2"]
baseline = "bba"

[[setting]]
label = "4g"
traces = ["4g[0:2]"]
chunks = 4
"""


def blocks(page: Path) -> dict[str, str]:
    """What there is to type, by its heading."""
    pattern = r'<figure class="code"><figcaption>(.*?)</figcaption><pre[^>]*>(.*?)</pre>'
    found = re.findall(pattern, page.read_text(encoding="utf-8"), re.S)
    return {html.unescape(title): html.unescape(text) for title, text in found}


def type_in(text: str) -> str:
    """Type lines in Streambed's folder; what is printed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-e"], input=text, cwd=ROOT, env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{text}\n{done.stderr}"
    return done.stdout


def decided(folder: Path) -> dict[str, list[int]]:
    """The levels of each record."""
    records = {path.name: path.read_text().splitlines()[1:-1] for path in folder.glob("*.jsonl")}
    return {name: [json.loads(line)["level"] for line in lines] for name, lines in records.items()}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's own folder, whose name a shell would take for two, with a policy and a sweep."""
    folder = tmp_path / "my work"
    folder.mkdir()
    (folder / "my policy.py").write_text(POLICY)
    (folder / "again.toml").write_text(SWEEP)
    monkeypatch.chdir(folder)
    return folder


def test_the_printed_commands_of_a_sweep_give_the_same_again(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["again.toml", "--simulate", "--out", "results/it's"]
    assert sweep.main([*words, "--jobs", "1"]) == 0
    assert sweep.main([*words, "--jobs", "2", "--json"]) == 0  # it goes on, and has nothing to do
    assert main(["report", "results/it's", "--baseline", "bba"]) == 0
    found = blocks(place / "results" / "it's" / "report" / "index.html")
    lines = found[MADE].splitlines()
    assert lines[0] == f"cd '{place}'" and len(lines) == 2 and lines[1].startswith(f"python3 {ROOT}/testbed/")
    before = decided(place / "results" / "it's")
    shutil.rmtree(place / "results")
    type_in(found[MADE])
    assert decided(place / "results" / "it's") == before and len(before) == 6
    type_in(found[REPORTED])
    assert blocks(place / "results" / "it's" / "report" / "index.html")[MADE] == found[MADE]
    compared = type_in(found[COMPARED])
    assert "robustmpc" in compared and "Mine" in compared


def test_the_same_numbers_as_text_are_the_same(place: Path) -> None:
    """Of the policies that were asked for, with the sessions that were asked for."""
    (place / "made").mkdir()
    for index in range(4):
        write_session(place / "made" / f"a{index}.jsonl", "a", f"t{index}")
        write_session(
            place / "made" / f"b{index}.jsonl",
            "b",
            f"t{index}",
            levels=(0, 2, index % 3),
            outcome="interrupted",
        )
    write_session(place / "made" / "c0.jsonl", "c", "t0")
    words = ["--interrupted", "--policy", "a", "--policy", "b", "--baseline", "a", "--mu", "2.66666667"]
    assert main(["report", "made", *words]) == 0
    text = blocks(place / "made" / "report" / "index.html")[COMPARED]
    found = json.loads(type_in(f"{text} --json"))
    with (place / "made" / "report" / "tables" / "headline.csv").open(encoding="utf-8") as file:
        rows = {row["policy"]: row for row in csv.DictReader(file)}
    (group,) = found["groups"]
    assert found["qoe"]["mu"] == 2.66666667
    assert {one["policy"]: one["qoe"] for one in group["policies"]} == {
        policy: float(row["qoe"]) for policy, row in rows.items()
    }
    (pair,) = group["pairs"]
    assert (pair["policy"], pair["difference"]) == ("b", float(rows["b"]["difference"]))
    assert pair["ci95"] == [float(rows["b"]["difference_low"]), float(rows["b"]["difference_high"])]


def test_the_printed_commands_of_simulations_give_the_same_again(place: Path) -> None:
    policies = ("bba", "my policy.py:Mine")
    for policy in policies:
        words = ["--traces", "4g/1", "--policy", policy, "--chunks", "3", "--jobs", "1", "--out", "made"]
        assert simulate.main(words) == 0
    assert main(["report", "made", "--baseline", "bba"]) == 0
    found = blocks(place / "made" / "report" / "index.html")[MADE]
    assert [line.partition("    # ")[2] for line in found.splitlines()] == ["", "1 session", "1 session"]
    before = decided(place / "made")
    shutil.rmtree(place / "made")
    type_in(found)
    assert decided(place / "made") == before and len(before) == 2


def test_commands_of_other_places_change_to_them_and_back() -> None:
    commands = [
        TypedCommand(("testbed/run.py", "--trace", "my log.csv"), "/a/b c", emulates=True, note="2 sessions"),
        TypedCommand(("testbed/sweep.py", "x.toml", "--simulate"), "/a/b c"),
        TypedCommand(("sweep.py", "testbed/sweeps/quick.toml"), emulates=True),
        TypedCommand(("python", "-m", "player", "http://h/m?a&b", "--policy", "bba"), "docs"),
    ]
    python = str(ROOT / ".venv/bin/python") if (ROOT / ".venv/bin/python").exists() else sys.executable
    assert typed(commands).splitlines() == [
        "cd '/a/b c'",
        f"sudo python3 {ROOT}/testbed/run.py --trace 'my log.csv'    # 2 sessions",
        f"python3 {ROOT}/testbed/sweep.py x.toml --simulate",
        f"cd {ROOT}",
        "sudo python3 testbed/sweep.py testbed/sweeps/quick.toml",
        f"cd {ROOT}/docs",
        f"{python} -m player 'http://h/m?a&b' --policy bba",
    ]


def test_a_command_that_goes_on_stands_there_once() -> None:
    first = TypedCommand(("testbed/sweep.py", "a.toml", "--lanes", "8"), emulates=True)
    on = TypedCommand(("testbed/sweep.py", "a.toml", "--lanes=4", "--json"), emulates=True)
    other = TypedCommand(("testbed/sweep.py", "a.toml", "--only", "slow"), emulates=True)
    elsewhere = TypedCommand(on.words, "/tmp", emulates=True)
    assert once([first, on, other, first, elsewhere]) == [first, other, elsewhere]


def test_where_a_command_is_typed_is_told_from_the_projects_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, told in ((ROOT, "."), (ROOT / "docs", "docs"), (tmp_path, str(tmp_path))):
        monkeypatch.chdir(place)
        assert typed_in() == told


def test_a_computed_session_that_was_reproduced_needs_no_root(tmp_path: Path) -> None:
    words = ["testbed/run.py", "--reproduce", "results/a.jsonl"]
    for simulated, root in ((True, ""), (False, "sudo ")):
        folder = tmp_path / str(simulated)
        folder.mkdir()
        write_session(folder / "a.jsonl", simulated=simulated, command_line=words)
        assert main(["report", str(folder), "--baseline", "bba"]) == 0
        line = f"{root}python3 testbed/run.py --reproduce results/a.jsonl    # 1 session"
        assert blocks(folder / "report" / "index.html")[MADE] == line


def test_the_page_says_from_which_code(tmp_path: Path) -> None:
    code = {"commit": "c0ffee" + "0" * 34, "dirty": True}
    write_session(tmp_path / "a.jsonl", code=code, versions={"numpy": "2.0"})
    write_session(tmp_path / "b.jsonl", policy="robustmpc")  # older: it does not say
    write_session(tmp_path / "c.jsonl", trace="t1", code=code, versions={"numba": "0.6"})  # it loaded another
    write_session(tmp_path / "d.jsonl", trace="t2", code=code, versions={"numpy": "2.1"})
    assert main(["report", str(tmp_path), "--baseline", "bba"]) == 0
    rows = (tmp_path / "report" / "tables" / "machines.csv").read_text().splitlines()
    assert rows[0] == "host,versions,commit,files,sessions"
    assert rows[1:] == [
        f',"numba 0.6, numpy 2.0",{code["commit"]},changed,2',
        ",,,–,1",
        f",numpy 2.1,{code['commit']},changed,1",
    ]

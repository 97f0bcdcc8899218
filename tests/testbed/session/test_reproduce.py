"""`run.py --reproduce RECORD`: a computed session comes out the same; what differs is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from player.record import read_record
from testbed import run, simulate
from tests.support.session_records import change_manifest, write_session

DICE = """
import random

class Dice:
    def reset(self, video, seed, qoe): self.random = random.Random(seed)
    def select(self, observation): return self.random.randrange(3)
"""


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a policy that draws, over a link with noise, from the middle of a trace."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dice.py").write_text(DICE)
    words = ("--traces", "4g/3", "--policy", "dice.py:Dice:delay_ms=30", "--chunks", "6", "--noise")
    assert simulate.main([*words, "--starts", "5", "--seed", "7", "--jobs", "1", "--out", "made"]) == 0
    (found,) = (tmp_path / "made").glob("*.jsonl")
    return found


def test_a_computed_session_comes_out_the_same(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run.main(["--reproduce", str(record), "--out", "again", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["same_settings"], report["same_outcome"]) == (True, True)
    again = read_record(Path("again") / record.name)
    assert (again.chunks, again.end) == (read_record(record).chunks, read_record(record).end)
    assert again.manifest["command_line"][0] == "testbed/run.py"


def test_a_session_over_a_trace_with_delay_and_loss_comes_out_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lossy.csv").write_text("time_s,mbps,rtt_ms,loss_pct\n0,5,20,0\n30,5,20,1\n60,5,300,3\n")
    words = ("--traces", "lossy.csv", "--policy", "bba", "--chunks", "6", "--link", "tcp", "--loss-pct", "1")
    assert simulate.main([*words, "--jobs", "1", "--out", "made"]) == 0
    Path("lossy.csv").unlink()
    (record,) = Path("made").glob("*.jsonl")
    capsys.readouterr()
    assert run.main(["--reproduce", str(record), "--out", "again", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["same_settings"], report["same_outcome"]) == (True, True)


def test_what_differs_is_said_of_settings_and_of_the_outcome(
    record: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("dice.py").write_text(DICE.replace("randrange(3)", "randrange(2) + 3"))
    capsys.readouterr()
    assert run.main(["--reproduce", str(record)]) == 1
    said = capsys.readouterr().out
    assert "settings: policy.source_sha256 was" in said and "5 chunks, first 1" in said
    (folder,) = Path("results").iterdir()
    whole = json.loads((folder / "difference.json").read_text())
    assert [one["what"] for one in whole["settings"]] == ["policy.source_sha256"]
    assert whole["outcome"]["qoe"]["recorded"] != whole["outcome"]["qoe"]["again"]


def test_a_video_that_is_gone_is_made_from_the_record(
    record: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = json.loads(record.read_text().splitlines()[0])
    change_manifest(record, video={**manifest["video"], "name": "gone"})
    capsys.readouterr()
    assert run.main(["--reproduce", str(record), "--out", "again", "--json"]) == 0
    differing = {one["what"]: one["again"] for one in json.loads(capsys.readouterr().out)["settings"]}
    assert differing == {"video.told_chunks": 6}  # the rest of it is nowhere


def test_what_cannot_be_repeated_is_refused_in_a_line(
    record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = json.loads(record.read_text().splitlines()[0])
    over_the_air = write_session(tmp_path / "air.jsonl")
    change_manifest(over_the_air, trace=None, link=None)
    first, *others = over_the_air.read_text().splitlines()
    kept = {key: value for key, value in json.loads(first).items() if key not in ("trace", "link")}
    over_the_air.write_text("\n".join([json.dumps(kept), *others]) + "\n")
    chained = tmp_path / "chained.jsonl"
    chained.write_text(record.read_text())
    change_manifest(chained, policy={**manifest["policy"], "earlier_sessions": 3})
    cut = tmp_path / "cut.jsonl"
    cut.write_text(record.read_text()[:-30])
    for path, words in (
        (over_the_air, "nobody can have that network again"),
        (chained, "carried state from 3 sessions"),
        (cut, "cut off"),
        (tmp_path / "none.jsonl", "No such file"),
    ):
        capsys.readouterr()
        assert run.main(["--reproduce", str(path)]) == 2
        said = capsys.readouterr()
        assert words in said.err and said.err.count("\n") == 1 and said.err.startswith("run.py: ")
    assert not list(tmp_path.glob("results/*"))

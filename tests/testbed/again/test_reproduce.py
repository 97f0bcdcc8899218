"""`run.py --reproduce RECORD`: a computed session comes out the same; what differs is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """What the one line says that the command is refused with."""
    capsys.readouterr()
    assert run.main(list(map(str, words))) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and said.err.startswith("run.py: ")
    return said.err


def test_a_computed_session_comes_out_the_same(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run.main(["--reproduce", str(record), "--trust", "--out", "again", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["same_settings"], report["same_outcome"]) == (True, True)
    again = read_record(Path("again") / record.name)
    assert (again.chunks, again.end) == (read_record(record).chunks, read_record(record).end)
    assert again.manifest["command_line"][0] == "testbed/run.py"
    assert run.main(["--reproduce", str(record), "--trust", "--out", str(Path("absolute").absolute())]) == 0
    told = capsys.readouterr().out.splitlines()[-1]
    assert told == f"record: absolute/{record.name}", "as one types it from here, however it was named"


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
    assert run.main(["--reproduce", str(record), "--trust", "--out", "again", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["same_settings"], report["same_outcome"]) == (True, True)


def test_what_differs_is_said_of_settings_and_of_the_outcome(
    record: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("dice.py").write_text(DICE.replace("randrange(3)", "randrange(2) + 3"))
    capsys.readouterr()
    assert run.main(["--reproduce", str(record), "--trust"]) == 1
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
    assert run.main(["--reproduce", str(record), "--trust", "--out", "again", "--json"]) == 0
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
        (cut, "a damaged one"),
        (tmp_path / "none.jsonl", "No such file"),
    ):
        capsys.readouterr()
        assert words in refused(capsys, "--reproduce", path, "--trust")
    assert not list(tmp_path.glob("results/*"))


def test_a_policy_file_of_a_record_is_not_run_without_a_word(
    record: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("dice.py").write_text(DICE + "open('ran', 'w').close()\n")
    said = refused(capsys, "--reproduce", record)
    assert "names a policy file, dice.py (SHA-256 " in said and ", recorded " in said and "--trust" in said
    assert not Path("ran").exists() and not Path("results").exists()
    assert run.main(["--reproduce", str(record), "--trust", "--out", "again"]) in (0, 1)
    assert capsys.readouterr().out.startswith("policy file dice.py (SHA-256 ") and Path("ran").exists()
    Path("dice.py").unlink()
    assert "dice.py is not there" in refused(capsys, "--reproduce", record, "--trust")


EVIL = ("apc:light=evil.py", "apc:light=evil.py:Dice", "apc:light=apc:evil.py")
"""Installed policies that would load a file by an option of theirs."""


@pytest.mark.parametrize("spec", EVIL)
@pytest.mark.parametrize("place", ["policy", "fallback"])
def test_a_file_within_an_installed_policys_options_is_not_run(
    record: Path, capsys: pytest.CaptureFixture[str], spec: str, place: str
) -> None:
    Path("evil.py").write_text(DICE + f"open({str(record.parent / 'ran')!r}, 'w').close()\n")
    first = json.loads(record.read_text().splitlines()[0])
    if place == "policy":
        change_manifest(record, policy={**first["policy"], "spec": spec})
        assert "it lies in a file; the light policy" in refused(capsys, "--reproduce", record)
    else:
        change_manifest(record, player={**first["player"], "fallback": spec})
        change_manifest(record, policy={**first["policy"], "spec": "bba"})
        assert "it lies in a file; the light policy" in refused(capsys, "--reproduce", record)
    assert not (record.parent / "ran").exists()


def test_the_file_of_a_fallback_is_not_run_without_a_word_either(
    record: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("other.py").write_text(DICE.replace("Dice", "Other") + "open('ran', 'w').close()\n")
    first = json.loads(record.read_text().splitlines()[0])
    player = {**first["player"], "fallback": "other.py:Other", "fallback_sha256": "f" * 64}
    change_manifest(record, player=player, policy={**first["policy"], "spec": "bba"})
    said = refused(capsys, "--reproduce", record)
    assert "names a policy file, other.py (SHA-256 " in said and "recorded ffffffffffff" in said
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    "name", ["/some/folder", "../up", "a/b", "..", "", "a\\b", "new\nline", "\x1b[31m", "x" * 201]
)
def test_a_videos_name_is_one_part_of_a_path(
    name: str, record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.rglob("*"))
    video = json.loads(record.read_text().splitlines()[0])["video"]
    change_manifest(record, video={**video, "name": name})
    assert "is no plain name" in refused(capsys, "--reproduce", record, "--trust")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sizes_bytes": [[1, 2, 2**40]]}, "6; it has 1"),
        ({"sizes_bytes": [[1, 2, 3, 4, 5, 2**40]] * 6}, "over 17179869184 bytes"),
        ({"sizes_bytes": [[1, 2, 3, 4, 5, 0]] * 6}, "must be positive"),
        ({"sizes_bytes": [[1, 2]] * 6}, "2 sizes for 6 levels"),
        ({"sizes_bytes": [["1", 2]] * 6}, "sizes_bytes"),
        ({"chunks": 100_001, "sizes_bytes": [[1, 2, 3, 4, 5, 6]] * 100_001}, "100000 are the limit"),
        ({"chunk_s": 1e6}, "at most 86400 s"),
        ({"chunk_s": -1}, "chunk_s is -1"),
        ({"chunk_s": 10**400}, "more than 64 bits"),
        ({"sizes_bytes": [[1, 2, 3, 4, 5, 2**34]] * 6, "chunk_s": 80_000.0}, "steps of the trace"),
    ],
)
def test_sizes_and_lengths_of_a_video_are_checked_before_anything_is_written(
    change: dict[str, Any], words: str, record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.rglob("*"))
    first = json.loads(record.read_text().splitlines()[0])
    trace = (
        {**first["trace"], "time_s": [0.0, 0.001], "rate_mbps": [1.0, 1.0]}
        if "steps" in words
        else first["trace"]
    )
    change_manifest(record, video={**first["video"], **change}, trace={**trace})
    assert words in refused(capsys, "--reproduce", record, "--trust")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("section", "change", "words"),
    [
        ("link", {"rtt_ms": 1e14}, "link.rtt_ms is 100000000000000.0; no link has that: expected 0 to 10000"),
        ("trace", {"rate_mbps": [1e12] * 3, "time_s": [0, 1, 2]}, "no link has that: expected 0 to 1e+09"),
    ],
)
def test_a_link_that_there_cannot_be_is_not_computed(
    section: str,
    change: dict[str, Any],
    words: str,
    record: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = sorted(tmp_path.rglob("*"))
    first = json.loads(record.read_text().splitlines()[0])
    change_manifest(record, **{section: {**first[section], **change}})
    assert words in refused(capsys, "--reproduce", record, "--trust")
    assert sorted(tmp_path.rglob("*")) == before


def test_it_goes_alone(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (("--trace", "4g"), "the record says what --trace would; leave it away (only --out, --trust, --json"),
        (("--policy", "bba"), "the record says what --policy would"),
        (("--jsno",), "did you mean --json?"),
    ):
        with pytest.raises(SystemExit):
            run.main(["--reproduce", str(record), *words])
        assert said in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run.main(["--repro", str(record), "--trace", "4g"])
    assert "has to be written out" in capsys.readouterr().err


def test_what_the_record_comes_from_is_compared_before_the_session(
    record: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = json.loads(record.read_text().splitlines()[0])
    assert first["policy"]["source_sha256"] and first["versions"]["python"] and "numpy" in first["versions"]
    other = {**first["versions"], "numpy": "1.0", "onnx": "1.2"}
    change_manifest(record, versions=other, code={"commit": "a" * 40, "dirty": True})
    capsys.readouterr()
    assert run.main(["--reproduce", str(record), "--trust", "--out", "again"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("policy file dice.py") and said[1].startswith(
        "settings: code.commit was aaaaaaaaaaaa, is"
    )
    assert any(line.startswith("settings: versions.numpy was 1.0, is ") for line in said)
    assert "settings: versions.onnx was 1.2, is not here" in said
    whole = json.loads(Path("again/difference.json").read_text())
    names = {one["what"] for one in whole["settings"]}
    assert {"code.commit", "versions.numpy", "versions.onnx"} <= names and not whole["same_settings"]


def test_a_record_of_before_there_was_any_of_it(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says nothing of the tree, and little of versions: nothing differs."""
    first = json.loads(record.read_text().splitlines()[0])
    old = {key: value for key, value in first.items() if key not in ("code", "versions")}
    record.write_text("\n".join([json.dumps(old), *record.read_text().splitlines()[1:]]) + "\n")
    capsys.readouterr()
    assert run.main(["--reproduce", str(record), "--trust", "--out", "again", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["same_settings"]


def test_a_fallback_that_is_not_there_is_refused(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = json.loads(record.read_text().splitlines()[0])
    change_manifest(record, player={**first["player"], "fallback": "nosuch"})
    said = refused(capsys, "--reproduce", record, "--trust")
    assert "fallback: policy nosuch: unknown name 'nosuch'" in said


def test_a_session_of_another_client_is_not_played_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_session(tmp_path / "bba.jsonl", simulated=False, player={"client": "dashjs"})
    said = refused(capsys, "--reproduce", path)
    assert 'is of a session that "dashjs" played, which is not played again' in said

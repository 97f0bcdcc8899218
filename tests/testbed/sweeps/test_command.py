"""`testbed/sweep.py --simulate`: whatever kills it, whoever changes its file, every session is there once."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from analysis import __main__ as analysis
from analysis.report.parts.planned import read_sweep as read_planned
from player.qoe import QoE, summarise
from player.record import read_record
from testbed import sweep
from testbed.sweeps import computed
from testbed.sweeps.experiment.plan import plan_sweep
from testbed.sweeps.experiment.schema import read_sweep
from testbed.sweeps.experiment.units import Unit
from testbed.sweeps.folder import JOURNAL, Attempt, SweepFolder
from testbed.sweeps.state import DONE, INVALID, STATE, SweepFacts
from testbed.sweeps.work import SweepWork
from tests.support.damage import DAMAGES
from tests.support.session_records import change_manifest, write_session
from traces.commands import next_step
from traces.safe_reading import read_json

SWEEP = """\
name = "small"
question = "Which?"
policies = ["bba", "rate"]
baseline = "bba"
retries = 1

[[setting]]
label = "usual"
seen = true
traces = "4g[0:3]"
chunks = 5
rtt_ms = 80
"""

SLOW = """
import time

class Slow:
    def reset(self, video, seed, qoe): pass
    def select(self, observation):
        time.sleep(0.003)
        return observation.chunk % 3
"""


DEADLY = """
import os, signal

class Deadly:
    def reset(self, video, seed, qoe): pass
    def select(self, observation): os.kill(os.getpid(), signal.SIGKILL)
"""


def run(*words: str | Path, jobs: int = 1) -> int:
    try:
        return sweep.main([*map(str, words), "--simulate", "--jobs", str(jobs)])
    except SystemExit as stopped:
        assert isinstance(stopped.code, int)
        return stopped.code


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the file in it."""
    (tmp_path / "s.toml").write_text(SWEEP)
    return tmp_path


def refused(place: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert run(place / "s.toml", "--out", place / "out") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith("sweep.py: ")
    return said


def held(out: Path) -> dict[str, tuple[int, bytes]]:
    """All records: when written, and what is in them."""
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in sorted(out.glob("*.jsonl"))}


def state(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / STATE).read_text())
    return found


def test_a_sweep_leaves_records_its_state_and_a_table(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = place / "out"
    assert run(place / "s.toml", "--out", out, "--json") == 0
    said = capsys.readouterr()
    report = json.loads(said.out)
    assert said.out.count("\n") == 1 and "6 sessions" in said.err and "Which?" in said.err
    told = said.err.splitlines()
    assert told[-1] == next_step("-m", "analysis", "report", str(out))
    assert any(line.startswith("bba ") and "[" in line for line in told)  # the table
    assert report["counts"] == {
        "expected": 6,
        "done": 6,
        "invalid": 0,
        "failed": 0,
        "missing": 0,
        "left_out": 0,
    }
    whole = state(out)
    assert (whole["complete"], whole["name"], whole["baseline"]) == (True, "small", "bba")
    assert {row["record"] for row in whole["sessions"]} == set(held(out))
    for row in whole["sessions"]:
        manifest = read_record(out / row["record"]).manifest
        assert manifest["simulated"] is True
        assert (manifest["sweep"]["setting"], manifest["sweep"]["seen"]) == ("usual", True)
        assert manifest["sweep"]["stress"] is False
        assert (manifest["policy"]["spec"], manifest["trace"]["name"]) == (row["policy"], row["trace"])
    assert not list(out.rglob("*.partial"))
    table = pyarrow.parquet.read_table(out / "sessions.parquet").to_pylist()
    assert {row["record"] for row in table} == set(held(out))


@pytest.mark.parametrize("jobs", [1, 2])
def test_who_is_waited_for_is_said(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    monkeypatch.setattr(computed, "PATIENCE_S", 0.05)
    (place / "slow.py").write_text(SLOW.replace("0.003", "0.3"))
    text = SWEEP.replace('"rate"', f'"{place}/slow.py:Slow"').replace("chunks = 5", "chunks = 3")
    (place / "s.toml").write_text(f"decision_deadline_s = 0.05\n{text}".replace("4g[0:3]", "4g/0"))
    assert run(place / "s.toml", "--out", place / "out", jobs=jobs) == 0
    said = capsys.readouterr()
    lines = [line for line in (said.out + said.err).splitlines() if "no session has ended" in line]
    (session,) = [path.stem for path in (place / "out").glob("*.jsonl") if "slow" in path.stem]
    assert any("slow.py:Slow" in line and session in line for line in lines)


def test_the_same_command_again_runs_nothing_again(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = place / "out"
    assert run(place / "s.toml", "--out", out) == 0
    before = held(out)
    gone = sorted(before)[0]
    (out / gone).unlink()
    assert run(place / "s.toml", "--out", out) == 0
    after = held(out)
    assert set(after) == set(before)
    assert {name: after[name] for name in after if name != gone} == {
        name: before[name] for name in before if name != gone
    }
    assert len(state(out)["commands"]) == 2
    assert "s, earlier runs included\n" in capsys.readouterr().out
    assert run(place / "s.toml", "--out", out) == 0
    assert "6 sessions: 6 done, in 0 s of earlier runs; nothing was left to do\n" in re.sub(
        r"in [\d.]+ s", "in 0 s", capsys.readouterr().out
    )


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_record_is_named_and_its_session_played_again(
    place: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None]
) -> None:
    out = place / "out"
    assert run(place / "s.toml", "--out", out) == 0
    before = held(out)
    path = out / sorted(before)[2]
    damage(path)
    capsys.readouterr()
    assert run(place / "s.toml", "--out", out, "--json") == 0
    said = capsys.readouterr()
    assert f"damaged, so its session is played again: {path}" in said.err
    report = json.loads(said.out)
    assert report["counts"]["done"] == 6
    assert read_record(path).told.sweep.attempt == 2  # type: ignore[union-attr]
    assert pyarrow.parquet.read_table(report["table"]).num_rows == 6
    after = held(out)
    assert {name: after[name] for name in after if name != path.name} == {
        name: before[name] for name in before if name != path.name
    }


@pytest.mark.parametrize("journal", [True, False])
def test_a_record_under_anothers_name_is_named_and_its_session_played_again(
    place: Path, capsys: pytest.CaptureFixture[str], journal: bool
) -> None:
    out = place / "out"
    assert run(place / "s.toml", "--out", out) == 0
    stranger, lost, *_ = sorted(out.glob("*.jsonl"))
    shutil.copyfile(stranger, lost)
    if not journal:
        (out / JOURNAL).unlink()
    capsys.readouterr()
    assert run(place / "s.toml", "--out", out, "--json") == 0
    said = capsys.readouterr()
    assert f"played again: {lost}:1: the record of another session, {stranger.stem}" in said.err
    assert json.loads(said.out)["counts"]["done"] == 6
    assert {read_record(path).told.sweep.session for path in out.glob("*.jsonl")} == {  # type: ignore[union-attr]
        path.stem for path in out.glob("*.jsonl")
    }
    assert list((out / "attempts").rglob(f"{lost.name}*"))


@pytest.mark.parametrize("old", [False, True], ids=["as now", "from before records held their identity"])
@pytest.mark.parametrize(
    ("mine", "others", "differs"),
    [
        ("chunks = 5", "chunks = 6", "chunks 6, not 5"),
        ("rtt_ms = 80", "rtt_ms = 20", "rtt_ms 20, not 80"),
        ("retries = 1", 'retries = 1\nfallback = "bba"', "fallback bba, not robustmpc"),
        ("rtt_ms = 80", "rtt_ms = 80\nresume_s = 8", "resume_s 8, not 0"),
    ],
)
def test_a_record_of_the_same_name_by_another_sweep_is_not_done(
    place: Path, capsys: pytest.CaptureFixture[str], mine: str, others: str, differs: str, old: bool
) -> None:
    out = place / "out"
    assert run(place / "s.toml", "--out", out) == 0
    (place / "other.toml").write_text(SWEEP.replace(mine, others))
    assert run(place / "other.toml", "--out", place / "other") == 0
    path = min(out.glob("*.jsonl"))
    shutil.copyfile(place / "other" / path.name, path)
    if old:
        for record in out.glob("*.jsonl"):
            forget_identity(record)
        (out / JOURNAL).unlink()
    before = held(out)
    capsys.readouterr()
    assert run(place / "s.toml", "--out", out, "--json") == 0
    said = capsys.readouterr()
    assert f"{path}:1: the record of another sweep's session of this name: " in said.err
    assert differs in said.err
    after = held(out)
    assert json.loads(said.out)["counts"]["done"] == 6 and len(after) == 6
    assert {name for name in after if after[name] != before[name]} == {path.name}


def forget_identity(record: Path) -> None:
    told = json.loads(record.read_text().partition("\n")[0])["sweep"]
    change_manifest(record, sweep={key: value for key, value in told.items() if key != "identity"})


def test_a_whole_sweep_in_a_damaged_journal_and_a_copied_folder_stays_whole(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(place / "s.toml", "--out", place / "out") == 0
    copied = place / "copied"
    shutil.copytree(place / "out", copied, copy_function=shutil.copyfile)
    (copied / JOURNAL).write_text('{"unit": 7}\n{}\n[]\n{"unit": "x", "attempt": "y"}\n\n{"unit')
    before = held(copied)
    assert run(place / "s.toml", "--out", copied) == 0
    assert held(copied) == before and "6 done" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (STATE, "[" * 100_000, "more than 64 brackets"),
        (STATE, "{}", "schema None"),
        (STATE, '{"schema": 1}', "no settings, policies or sessions"),
        (
            STATE,
            '{"schema": 1, "settings": [{}], "policies": [], "sessions": []}',
            "a setting without a label",
        ),
        (
            STATE,
            '{"schema": 1, "settings": [], "policies": [], "sessions": [{"session": "x"}]}',
            "x has no name",
        ),
        (STATE, None, "a pipe, no file"),
        (JOURNAL, None, "a pipe, no file"),
        (JOURNAL, "\0", "a NUL at byte 0"),
    ],
)
def test_a_damaged_folder_is_refused_in_a_line(
    place: Path, capsys: pytest.CaptureFixture[str], name: str, content: str | None, said: str
) -> None:
    assert run(place / "s.toml", "--out", place / "out") == 0
    path = place / "out" / name
    if content is None:
        path.unlink()
        os.mkfifo(path)
    else:
        path.write_text(content)
    line = refused(place, capsys)
    assert str(path) in line and said in line and "name another --out" in line


def test_a_table_is_made_anew_unless_it_is_of_these_records(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not by which file is newer: a clock may have gone back."""
    out = place / "out"
    assert run(place / "s.toml", "--out", out) == 0
    table = out / "sessions.parquet"
    made = table.stat()
    assert run(place / "s.toml", "--out", out) == 0
    assert table.stat().st_ino == made.st_ino, "it is of these records"
    content = table.read_bytes()
    table.write_bytes(content[: len(content) // 2])
    os.utime(table, (2e9, 2e9))  # newer than any record
    assert run(place / "s.toml", "--out", out) == 0
    assert pyarrow.parquet.read_table(table).num_rows == 6
    record = sorted(out.glob("*.jsonl"))[0]
    record.write_text(record.read_text().replace('"startup_s":', '"startup_s":1'))
    os.utime(record, (1e9, 1e9))  # older than the table
    assert run(place / "s.toml", "--out", out) == 0
    assert max(pyarrow.parquet.read_table(table)["startup_s"].to_pylist()) > 9


def test_stress_is_in_the_records_the_state_and_the_table(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = place / "out"
    assert run(place / "s.toml", "--out", out) == 0
    (place / "s.toml").write_text(SWEEP.replace("seen = true", "seen = true\nstress = true"))
    assert "setting 'usual': stress was null, is true" in refused(place, capsys)
    assert run(place / "s.toml", "--out", place / "new") == 0
    assert all(read_record(place / "new" / name).manifest["sweep"]["stress"] is True for name in held(out))
    assert [setting.get("stress") for setting in state(place / "new")["settings"]] == [True]
    assert "stress" not in state(out)["settings"][0]
    (place / "s.toml").write_text(SWEEP)
    capsys.readouterr()
    assert run(place / "s.toml", "--out", place / "new") == 2
    assert "setting 'usual': stress was true, is null" in capsys.readouterr().err
    table = pyarrow.parquet.read_table(place / "new" / "sessions.parquet").to_pylist()
    assert {row["stress"] for row in table} == {True}


def test_the_shipped_stress_sweep_has_a_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(Path(sweep.__file__).parent / "sweeps" / "stress.toml", "--plan", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["settings"] == {"dark 5 s in 30": 15, "RTT, rtt_ms 20": 40, "RTT, rtt_ms 400": 40}
    assert set(report["policies"]) == {"netllm", "apc", "genet", "robustmpc", "bba"}
    assert any("loss 5 %" in note for note in report["notes"])


def test_one_of_a_kind_is_said_as_one(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = 'name = "one"\npolicies = ["bba"]\n[[setting]]\nlabel = "u"\ntraces = "4g/0"\nchunks = 4\n'
    (place / "s.toml").write_text(one)
    assert run(place / "s.toml", "--out", place / "out") == 0
    said = capsys.readouterr().out
    assert "RTT 80 ms: 1 session\n1 session; " in said and "\n1 session: 1 done" in said


def test_some_settings_now_and_the_others_another_time(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = '[[setting]]\nlabel = "far"\ntraces = "3g[0:2]"\nchunks = 5\nrtt_ms = 200\n'
    (place / "s.toml").write_text(SWEEP + other)
    out = place / "out"
    assert run(place / "s.toml", "--out", out, "--only", "far") == 0
    before = held(out)
    assert len(before) == 4 and state(out)["counts"]["missing"] == 6
    said = capsys.readouterr().out
    assert "10 sessions, 6 of them another time (--only); " in said and "4 of 4 sessions" in said
    assert run(place / "s.toml", "--out", out) == 0
    assert "10 sessions, 4 of them over already; " in capsys.readouterr().out
    assert len(held(out)) == 10 and held(out).items() >= before.items() and state(out)["complete"]
    capsys.readouterr()
    assert run(place / "s.toml", "--only", "near") == 2
    assert "--only near: no such setting in small; it has usual, far" in capsys.readouterr().err


def test_what_the_file_no_longer_asks_for_is_named_and_nothing_is_mixed(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, file = place / "out", place / "s.toml"
    assert run(file, "--out", out) == 0
    before = held(out), (out / STATE).read_text()
    for old, new, words in (
        ("rtt_ms = 80", "rtt_ms = 60", ["6 of the 6", "setting 'usual': link.rtt_ms was 80.0, is 60.0"]),
        ('"bba", "rate"', '"bba"', ["3 of the 6", "policy 'rate' is gone"]),
        ("4g[0:3]", "4g[1:3]", ["2 of the 6", "trace '4g/0' is gone"]),
        ("retries = 1", "[qoe]\nmu = 5", ["qoe.mu was 4.3, is 5.0"]),
        ("chunks = 5", "chunks = 5\nseeds = 3", ["6 of the 6", "seeds"]),
    ):
        file.write_text(SWEEP.replace(old, new))
        said = refused(place, capsys)
        assert all(word in said for word in words), said
        assert (held(out), (out / STATE).read_text()) == before
    file.write_text(SWEEP.replace("4g[0:3]", "4g[0:4]").replace("retries = 1", "retries = 5"))
    assert run(file, "--out", out) == 0  # more sessions are welcome
    after = held(out)
    assert len(after) == 8 and {name: after[name] for name in before[0]} == before[0]


def test_two_sweeps_into_one_folder_and_other_peoples_records_are_refused(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = plan_sweep(read_sweep(place / "s.toml"), simulated=True)
    with SweepFolder(plan, place / "out"):
        assert f"process {os.getpid()} works on a sweep there" in refused(place, capsys)
    (place / "other").mkdir()
    (place / "other" / "some.jsonl").write_text("{}\n")
    assert run(place / "s.toml", "--out", place / "other") == 2
    assert "holds records, and none of a sweep" in capsys.readouterr().err
    assert run(place / "s.toml", "--out", place / "out") == 0
    (place / "out" / "some.jsonl").write_text("{}\n")
    assert "some.jsonl is a record that the sweep there does not know" in refused(place, capsys)


def test_a_session_that_cannot_be_had_is_listed_and_the_others_are_there(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "bad.py").write_text(
        "class Bad:\n"
        "    def reset(self, video, seed, qoe): pass\n"
        "    def select(self, observation): raise RuntimeError('no idea')\n"
    )
    (place / "s.toml").write_text(SWEEP.replace('"rate"', f'"{place / "bad.py"}:Bad"'))
    assert run(place / "s.toml", "--out", place / "out") == 1
    assert "decided all 5 chunks, first because" in capsys.readouterr().out
    rows = state(place / "out")["sessions"]
    assert Counter(row["status"] for row in rows) == {"done": 3, "failed": 3}
    assert state(place / "out")["complete"] is True
    before = held(place / "out")
    assert run(place / "s.toml", "--out", place / "out") == 1  # known in vain, not tried again
    assert held(place / "out") == before


def test_a_sweep_from_before_fallbacks_had_names_says_how_to_go_on(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "s.toml").write_text(f'fallback = "bba"\n{SWEEP}')
    assert run(place / "s.toml", "--out", place / "out") == 0
    held_state = state(place / "out")
    assert all("fallback" not in policy for policy in held_state["policies"])  # as folders from then have it
    before = held(place / "out")
    (place / "s.toml").write_text(SWEEP)
    said = refused(place, capsys)
    assert 'fallback was "bba", is "robustmpc"' in said
    assert 'write fallback = "bba" at the top of the file to go on with it' in said
    (place / "s.toml").write_text(f'fallback = "bba"\n{SWEEP}')
    assert run(place / "s.toml", "--out", place / "out") == 0
    assert held(place / "out") == before


def test_a_sweeps_fallback_and_strictness(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "bad.py").write_text(
        "import sys\n"
        "class Bad:\n"
        "    def reset(self, video, seed, qoe): pass\n"
        "    def select(self, observation): sys.exit(3) if observation.chunk > 1 else None\n"
        "class Half(Bad):\n"
        "    def select(self, observation): return 1 if observation.chunk < 2 else sys.exit(3)\n"
    )
    text = SWEEP.replace('"rate"', f'"{place / "bad.py"}:Half"')
    (place / "s.toml").write_text(f'fallback = "fixed:0"\n{text}')
    assert run(place / "s.toml", "--out", place / "out") == 0
    assert (
        "the fallback, fixed:0, decided 3 of 5 chunks, first because the policy raised SystemExit: 3"
        in capsys.readouterr().out
    )
    mine = [read_record(path) for path in (place / "out").glob("*Half*.jsonl")]
    assert {record.manifest["player"]["fallback"] for record in mine} == {"fixed:0"}
    assert {tuple(row.level for row in record.chunks) for record in mine} == {(1, 1, 0, 0, 0)}
    assert run(place / "s.toml", "--out", place / "strict", "--strict") == 2
    said = capsys.readouterr().err
    assert "Half on 4g/" in said and "; stopped, as --strict says" in said and "SystemExit: 3" in said
    (place / "s.toml").write_text(f'fallback = "oracle"\n{SWEEP}')
    assert "s.toml:1: fallback oracle: it is told the future" in refused(place, capsys)


def test_a_session_that_kills_its_process_is_found_and_the_others_are_there(place: Path) -> None:
    (place / "deadly.py").write_text(DEADLY)
    text = SWEEP.replace('"rate"', f'"rate", "{place / "deadly.py"}:Deadly"').replace("4g[0:3]", "4g[0:1]")
    (place / "s.toml").write_text(text.replace("retries = 1", "retries = 0"))
    assert run(place / "s.toml", "--out", place / "out", jobs=2) == 1
    rows = state(place / "out")["sessions"]
    assert [row["status"] for row in rows if "Deadly" in row["policy"]] == ["failed"]
    assert [row["status"] for row in rows if "Deadly" not in row["policy"]] == ["done", "done"]


def test_the_plan_alone_makes_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(place / "s.toml", "--plan", "--json", "--out", place / "out") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["sessions"] == 6 and report["disk_bytes"] > 0 and report["settings"] == {"usual": 6}
    assert not (place / "out").exists()


@dataclass
class Told:
    """What a display was told."""

    lines: list[str] = field(default_factory=list)

    def plan(self, units: Sequence[Unit], ended: Sequence[Unit]) -> None: ...

    def say(self, text: str) -> None:
        self.lines.append(text)

    def ended(self, unit: Unit, attempt: Attempt, again: bool) -> None:
        self.lines.append(f"{attempt.status} {again}")


def test_a_session_over_an_untrue_link_is_made_anew_up_to_a_bound_and_then_kept(place: Path) -> None:
    """By hand, what an engine does: the link is never true, whatever happens in between."""
    out, told = place / "out", Told()

    def working(retries: int) -> tuple[SweepFolder, SweepWork]:
        (place / "s.toml").write_text(SWEEP.replace("retries = 1", f"retries = {retries}"))
        folder = SweepFolder(plan_sweep(read_sweep(place / "s.toml"), simulated=True), out).__enter__()
        facts = SweepFacts("lanes", "", [], {})
        return folder, SweepWork(folder, facts, told)  # type: ignore[arg-type]

    def attempt(work: SweepWork, status: str, lost: bool = False) -> tuple[str, int]:
        taken = work.take()
        assert taken is not None
        unit, number = taken
        identity = work.folder.plan.identity(unit)
        told_of = {"attempt": number, "session": unit.sessions[0], "identity": identity}
        write_session(out / unit.records[0], valid=status == DONE, sweep=told_of)
        if not lost:
            work.end(unit, Attempt(status, () if status == DONE else ("link: late",)))
        return unit.name, number

    folder, work = working(retries=1)
    first, *_ = [attempt(work, INVALID if index == 0 else DONE)[0] for index in range(6)]
    assert attempt(work, INVALID, lost=True) == (first, 2)  # killed before the journal knew
    work.write()
    folder.close()
    assert (out / "attempts" / "1" / f"{first}.jsonl").exists()
    assert told.lines == ["invalid True"] + ["done False"] * 5

    folder, work = working(retries=1)
    assert work.finished
    whole = work.write().to_json()
    assert whole["complete"] and whole["counts"]["invalid"] == 1 and whole["counts"]["done"] == 5
    (row,) = (row for row in whole["sessions"] if row["status"] == INVALID)
    assert (row["session"], row["attempts"], row["reasons"]) == (first, 2, ["link: not what was asked"])
    assert (out / row["record"]).exists()  # the last one is kept, and says itself that it is invalid
    folder.close()

    folder, work = working(retries=2)
    assert attempt(work, DONE) == (first, 3) and work.finished
    assert work.write().to_json()["counts"]["done"] == 6
    folder.close()
    assert (out / "attempts" / "2" / f"{first}.jsonl").exists()


def test_a_change_of_lanes_is_said_and_stands_in_the_state_beside_earlier_ones(place: Path) -> None:
    told = Told()
    (place / "s.toml").write_text(SWEEP)
    plan = plan_sweep(read_sweep(place / "s.toml"), simulated=True)
    with SweepFolder(plan, place / "paced") as folder:
        work = SweepWork(folder, SweepFacts("lanes", "", [], {}, lanes={"asked": 8, "used": 8}), told)  # type: ignore[arg-type]
        work.paced(6, "3 invalid links in a row")
        work.paced(1, "4 of the last 8 links invalid")
    lanes = json.loads((place / "paced" / STATE).read_text())["lanes"]
    assert (lanes["used"], lanes["now"]) == (8, 1)
    assert [(one["lanes"], one["why"]) for one in lanes["changes"]] == [
        (6, "3 invalid links in a row"),
        (1, "4 of the last 8 links invalid"),
    ]
    assert told.lines == [
        "6 lanes at once from now on: 3 invalid links in a row",
        "1 lane at once from now on: 4 of the last 8 links invalid",
    ]
    shown = read_planned(place / "paced")
    assert shown is not None and "8 at once, asked for: 8; then 6 from 20" in shown.lanes
    assert shown.lanes.endswith("on (4 of the last 8 links invalid)")


def forked(*words: str | Path, jobs: int) -> int:
    """The command in a process of its own, without its start-up time; its id."""
    pid = os.fork()
    if pid == 0:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        status = 99
        try:
            os.setsid()
            status = run(*words, jobs=jobs)
        finally:
            os._exit(status)
    return pid


def killed_again_and_again(place: Path, kills: int, seed: int, jobs: int = 1, longest_s: float = 0.25) -> int:
    """Run a sweep, killing it at random moments; how many kills hit it. Asserts that nothing is lost."""
    draw = random.Random(seed)
    (place / "slow.py").write_text(SLOW)
    (place / "s.toml").write_text(
        SWEEP.replace('"rate"', f'"{place / "slow.py"}:Slow"').replace("4g[0:3]", "4g[0:12]")
    )
    out, hits = place / "out", 0
    for _ in range(kills):
        before = held(out)
        pid = forked(place / "s.toml", "--out", out, jobs=jobs)
        until = time.monotonic() + draw.uniform(0.0, longest_s)
        status: int | None = None
        while time.monotonic() < until or not (out / STATE).exists():
            ended, how = os.waitpid(pid, os.WNOHANG)
            if ended:
                status = how
                break
            time.sleep(0.001)
        if status is None:
            os.kill(pid, draw.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM)))
            hits += 1
            os.waitpid(pid, 0)
        else:
            assert os.waitstatus_to_exitcode(status) == 0
        after = held(out)
        assert {name: after[name] for name in before} == before  # none is lost, none is made again
        for name in after:
            read_record(out / name)  # each is whole
    assert run(place / "s.toml", "--out", out) == 0
    assert state(out)["counts"]["done"] == 24 == len(held(out))
    assert not list(out.rglob("*.partial"))
    lines = [json.loads(line) for line in (out / JOURNAL).read_text().split("\n") if '"unit"' in line]
    assert max(Counter(line["unit"] for line in lines).values()) == 1  # counted once
    assert not (out / "attempts").exists()
    return hits


def test_killed_at_random_moments_every_session_is_there_once(place: Path) -> None:
    assert killed_again_and_again(place, kills=6, seed=random.randrange(2**32)) >= 1


@pytest.mark.stress
def test_killed_a_hundred_times_every_session_is_there_once(tmp_path: Path) -> None:
    for number in range(10):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert killed_again_and_again(folder, kills=10, seed=number) >= 1
    (tmp_path / "two").mkdir()
    assert killed_again_and_again(tmp_path / "two", kills=10, seed=1, jobs=2, longest_s=4.0) >= 1


def test_collect_makes_a_row_of_every_record_and_names_those_it_cannot_read(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = place / "out"
    assert run(place / "s.toml", "--out", out) == 0
    first, *others = sorted(held(out))
    (out / first).write_text((out / first).read_text()[:-20])
    capsys.readouterr()
    assert analysis.main(["collect", str(out), "--out", str(place / "t.parquet"), "--json"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["sessions"] == len(others) and first in said.err
    rows = {row["record"]: row for row in pyarrow.parquet.read_table(place / "t.parquet").to_pylist()}
    assert sorted(rows) == others
    for name, row in rows.items():
        record = read_record(out / name)
        by_hand = summarise(
            record.chunks, record.end, record.ladder_kbps, sweep_qoe(place, record.ladder_kbps)
        )
        assert (row["qoe"], row["stall_s"], row["switches"]) == (
            by_hand.qoe,
            by_hand.stall_s,
            by_hand.switches,
        )
        assert row["qoe"] == pytest.approx(
            row["bitrate_mbps"] - row["mu"] * row["stall_s_per_chunk"] - row["smoothness_mbps"]
        )
        assert (row["setting"], row["seen"], row["sweep"], row["rtt_ms"]) == ("usual", True, "small", 80.0)
        assert row["share_policy"] == 1.0 and row["share_llm"] == 0.0


def sweep_qoe(place: Path, ladder_kbps: Sequence[int]) -> QoE:
    return read_sweep(place / "s.toml").scoring.on(ladder_kbps)


def test_a_trace_whose_name_is_no_utf_8_can_be_gone_on_with(place: Path) -> None:
    """`sweep.json` holds the name so that its own reader takes it."""
    (place / "ts").mkdir()
    with open(os.fsencode(place / "ts") + b"/\xffraw.txt", "w") as file:  # noqa: PTH123 - bytes
        file.write("".join(f"{at} {1 + at % 3}\n" for at in range(100)))
    (place / "s.toml").write_text(SWEEP.replace('"4g[0:3]"', f'"{place / "ts"}"'))
    assert run(place / "s.toml", "--out", place / "out") == 0
    state = read_json(place / "out" / STATE)
    assert state["counts"]["done"] == 2
    assert state["traces"][0]["name"] == r"\udcffraw.txt"
    assert run(place / "s.toml", "--out", place / "out") == 0

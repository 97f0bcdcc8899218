"""`testbed/simulate.py`: records like the emulator's, whatever the processes, kept or refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.__main__ import main as analysis
from player.qoe import QoE
from player.record import Record, read_record
from player.registry import load_policy
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.built_in import load_video
from policies.reference import mean_over
from testbed import simulate as command
from testbed.simulated import jobs as simulation_jobs
from tests.support.damage import DAMAGES
from traces.families.catalogue import resolve, resolve_many

ROOT = Path(__file__).resolve().parents[3]
SHORT = ("--chunks", "8", "--jobs", "1")


def run(*words: str | Path) -> int:
    try:
        return command.main([str(word) for word in words])
    except SystemExit as stopped:
        assert isinstance(stopped.code, int)
        return stopped.code


def report_of(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, Any]:
    """The object of `--json`, which is all that is on stdout."""
    capsys.readouterr()
    assert run(*words, "--json") == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    capsys.readouterr()
    assert run(*words) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and "Traceback" not in said.err
    return said.err


def facts(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """All lines of all records, without what a manifest says of its run."""
    found = {}
    for path in sorted(folder.glob("*.jsonl")):
        first, *others = map(json.loads, path.read_text().splitlines())
        of_session = {
            key: value
            for key, value in first.items()
            if key not in ("run_id", "started_at", "command_line", "directory", "versions")
        }
        for line in others:
            line.pop("decision_ms", None)  # of a busy machine
        found[path.name] = [of_session, *others]
    return found


def records(folder: Path) -> list[Record]:
    return [read_record(path) for path in sorted(folder.glob("*.jsonl"))]


def test_two_processes_write_what_one_writes(tmp_path: Path) -> None:
    """By the script itself, with a policy that prints and one that carries state."""
    (tmp_path / "dice.py").write_text(
        "import random\n"
        "class Dice:\n"
        "    def reset(self, video, seed, qoe): self.random = random.Random(seed)\n"
        "    def select(self, observation):\n"
        "        print('thinking')\n"
        "        return self.random.randrange(6)\n"
    )
    words = ["--traces", "4g[0:3]", "3g/1", "--chunks", "6", "--noise", "--starts", "5"]
    policies = f"bba,mpc-published,{tmp_path / 'dice.py'}:Dice"
    reports = []
    for jobs in (1, 2):
        out = tmp_path / f"jobs{jobs}"
        script = [sys.executable, str(ROOT / "testbed" / "simulate.py"), *words, "--policy", policies]
        done = subprocess.run(
            [*script, "--out", str(out), "--jobs", str(jobs), "--json"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert report.pop("out") == str(out)
        assert "thinking" in done.stderr and "\n12 of 12 sessions\n" in done.stderr
        reports.append(report)
    assert reports[0] == reports[1]
    one, two = facts(tmp_path / "jobs1"), facts(tmp_path / "jobs2")
    assert len(one) == 12 and one == two


def test_the_report_has_the_agreed_fields(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = report_of(capsys, "--traces", "4g[0:4]", "--policy", "bba,rate", *SHORT, "--out", tmp_path)
    assert report["qoe"] == {"kind": "linear", "mu": 4.3, "smooth": 1.0} and report["out"] == str(tmp_path)
    agreed = {"policy", "sessions", "qoe", "qoe_ci95", "bitrate_mbps", "stall_s_per_chunk", "stall_ratio"}
    for one in report["policies"]:
        assert agreed | {"smoothness_mbps", "startup_s", "invalid"} <= set(one)
        assert one["sessions"] == 4 and one["invalid"] == 0
        low, high = one["qoe_ci95"]
        assert low < one["qoe"] < high
        expected = one["bitrate_mbps"] - 4.3 * one["stall_s_per_chunk"] - one["smoothness_mbps"]
        assert one["qoe"] == pytest.approx(expected)


def test_a_record_is_the_simulated_players_and_says_so(tmp_path: Path) -> None:
    assert run("--traces", "3g/2", "--policy", "robustmpc", *SHORT, "--out", tmp_path) == 0
    (record,) = records(tmp_path)
    trace, video = resolve("3g/2"), load_video("envivio")
    rows, end = simulate(
        video,
        trace,
        load_policy("robustmpc").policy,
        seed=record.manifest["seed"],
        qoe=QoE(),
        link=PublishedLink(),
        chunks=8,
    )
    assert record.chunks == rows and record.end == end
    manifest = record.manifest
    assert manifest["simulated"] is True
    assert manifest["link"] == {"model": "published", "rtt_ms": 80.0, "noise": False}
    assert manifest["trace"]["sha256"] == trace.sha256
    assert tuple(manifest["trace"]["rate_mbps"]) == trace.rate_mbps
    assert manifest["video"]["sha256"] == video.first(8).sha256
    assert manifest["video"]["told_chunks"] == video.chunks
    assert manifest["policy"]["spec"] == "robustmpc" and manifest["told_qoe"]["mu"] == 4.3
    assert manifest["command_line"][0] == "testbed/simulate.py"


def test_figures_are_those_of_the_reference_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also for the policy that carries its errors from trace to trace."""
    report = report_of(
        capsys, "--traces", "3g[0:5]", "--policy", "bba,mpc-published", "--chunks", "12", "--jobs", "1",
        "--out", tmp_path,
    )  # fmt: skip
    traces, video = resolve_many("3g[0:5]"), load_video("envivio")
    for one in report["policies"]:
        assert one["qoe"] == pytest.approx(mean_over(traces, video, one["policy"], QoE(), 12).qoe, abs=1e-12)


def test_starts_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    starts = tmp_path / "starts"
    starts.write_text("# name index\n4g/1 7\n\n4g/0 3\n4g/1 2\n4g/77 1\n")
    out = tmp_path / "out"
    words = ("--traces", "4g[0:2]", "--policy", "bba", *SHORT, "--starts", starts, "--out", out)
    assert run(*words) == 0
    assert "1 of its traces are not among --traces (4g/77)" in capsys.readouterr().err
    begun = {
        (one.manifest["trace"]["name"], one.manifest["trace"]["start_index"]): one.manifest["trace"]
        for one in records(out)
    }
    assert set(begun) == {("4g/0", 3), ("4g/1", 2), ("4g/1", 7)}
    for (name, index), trace in begun.items():
        assert trace["start_s"] == resolve(name).time_s[index - 1] > 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("4g/0\n", "starts:1: '4g/0'; expected: trace-name start_index"),
        ("4g/0 1\n4g/1 x\n", "starts:2: '4g/1 x'"),
        ("4g/0 0\n", "starts:1: start index 0; 4g/0 has 1 to"),
        ("4g/0 9999999\n", "starts:1: start index 9999999"),
        ("4g/0 1\n", "no line for 4g/1"),
        ("4g/0 1\n4g/1 1\n4g/0 1\n", "starts:3: 4g/0 from 1 stands there already"),
        ("\xff", "not UTF-8"),
    ],
)
def test_bad_starts_are_named_by_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    starts = tmp_path / "starts"
    starts.write_bytes(text.encode("latin-1"))
    assert said in refused(
        capsys, "--traces", "4g[0:2]", "--starts", starts, *SHORT, "--out", tmp_path / "out"
    )
    assert not (tmp_path / "out").exists()


def test_a_seed_draws_starts_for_each_trace_by_itself(tmp_path: Path) -> None:
    for name, traces in (("few", "4g[2:4]"), ("many", "4g[0:5]")):
        assert (
            run("--traces", traces, "--policy", "bba", *SHORT, "--starts", "3", "--out", tmp_path / name) == 0
        )
    begun = {
        name: {
            one.manifest["trace"]["name"]: one.manifest["trace"]["start_index"]
            for one in records(tmp_path / name)
        }
        for name in ("few", "many")
    }
    assert begun["few"].items() <= begun["many"].items()
    assert len(set(begun["many"].values())) > 1


def test_noise_is_the_same_for_all_policies_and_another_for_each_trace_and_seed(tmp_path: Path) -> None:
    words = ("--traces", "4g[0:2]", "--policy", "bba,rate", *SHORT, "--noise", "--seed", "0,1")
    assert run(*words, "--out", tmp_path) == 0
    seeds: dict[tuple[str, int], set[int]] = {}
    first: dict[tuple[str, int], set[float]] = {}
    for one in records(tmp_path):
        key = one.manifest["trace"]["name"], one.manifest["run_seed"]
        seeds.setdefault(key, set()).add(one.manifest["seed"])
        first.setdefault(key, set()).add(one.chunks[0].download_s)
    assert len(seeds) == 4 and all(len(values) == 1 for values in seeds.values())
    assert len(set.union(*seeds.values())) == 4
    assert all(len(values) == 1 for values in first.values())  # the same level, hence the same time


def test_complete_records_are_kept_and_the_rest_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--traces", "4g[0:4]", "--policy", "bba,mpc-published", *SHORT, "--out", tmp_path)
    first = report_of(capsys, *words)
    before, whole = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}, facts(tmp_path)
    gone = [tmp_path / "4g-1_s1_bba.jsonl", tmp_path / "4g-2_s1_mpc-published.jsonl"]
    for path in gone:
        path.unlink()
    assert report_of(capsys, *words) == first
    assert facts(tmp_path) == whole
    after = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert {path for path in before if before[path] != after[path]} == set(gone)


def test_a_folder_of_a_version_that_said_null_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--traces", "4g/1", "--policy", "bba", *SHORT, "--out", tmp_path)
    assert run(*words) == 0
    (record,) = records(tmp_path)
    path = Path(record.path)
    first, *rest = path.read_text().splitlines(keepends=True)
    manifest = json.loads(first)
    assert "weights_sha256" not in manifest["policy"]
    manifest["policy"]["weights_sha256"] = None
    path.write_text("".join((json.dumps(manifest) + "\n", *rest)))
    assert run(*words) == 0


def test_a_folder_goes_on_whose_records_know_what_a_policy_tells_once_it_has_begun(tmp_path: Path) -> None:
    policy = tmp_path / "told.py"
    policy.write_text(
        "class Told:\n    def reset(self, video, seed, qoe):\n        self.arithmetic = 'int8'\n"
        "    def select(self, observation):\n        return 1\n"
    )
    words = ("--traces", "4g[0:2]", "--policy", f"{policy}:Told", *SHORT, "--out", tmp_path / "out")
    for _ in range(2):
        assert run(*words) == 0
        assert [one.manifest["policy"]["arithmetic"] for one in records(tmp_path / "out")] == ["int8"] * 2
        next((tmp_path / "out").glob("*.jsonl")).unlink()


def test_other_policies_join_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for policy in ("bba", "rate"):
        assert run("--traces", "4g[0:2]", "--policy", policy, *SHORT, "--out", tmp_path) == 0
    assert len(records(tmp_path)) == 4


@pytest.mark.parametrize(
    ("policies", "then"),
    [("bba,rate", "compare"), ("bba", "report"), ("bba,BROKEN", "report"), ("BROKEN", "collect")],
)
def test_what_comes_next_is_a_command_that_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], policies: str, then: str
) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text(
        "class P:\n    def reset(self, *words): pass\n    def select(self, seen): raise ValueError('no')\n"
    )
    out = tmp_path / "out"
    policies = policies.replace("BROKEN", f"{broken}:P")
    assert run("--trace", "4g/0", "--policy", policies, *SHORT, "--out", out) == (
        1 if "broken" in policies else 0
    )
    last = capsys.readouterr().out.splitlines()[-1]
    assert f" analysis {then} " in last
    assert analysis(last.split(" analysis ")[1].split()) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--chunks", "9"), "video.chunks is 8, asked for 9"),
        (("--mu", "7"), "told_qoe.mu is 4.3, asked for 7.0"),
        (("--noise",), "link.noise is false, asked for true"),
        (("--seed", "3"), "seed is"),
        (("--first-level", "policy"), "player.first_level is 0, asked for null"),
    ],
)
def test_records_of_another_run_are_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    base = ("--traces", "4g[0:2]", "--policy", "bba", *SHORT, "--out", tmp_path)
    assert run(*base) == 0
    whole = facts(tmp_path)
    line = refused(capsys, *base, *words)
    assert "4g-0_s1_bba.jsonl is of another session" in line and said in line and "another --out" in line
    assert facts(tmp_path) == whole


@pytest.mark.parametrize("unit", ["kbps", None])
def test_a_trace_that_is_read_otherwise_is_another_session(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], unit: str | None
) -> None:
    file, out = tmp_path / "x.csv", tmp_path / "out"
    file.write_text("time,rate\n" + "".join(f"{i},{1 + i % 3}\n" for i in range(60)))
    words = ("--trace", file, "--policy", "bba", *SHORT, "--out", out, "--format")
    assert run(*words, "csv:unit=Mbps") == 0
    whole = facts(out)
    line = refused(capsys, *words, f"csv:unit={unit}") if unit else None
    if line is None:  # the same values, asked for otherwise
        assert run(*words, "csv:unit=Mbit/s") == 0
    else:
        assert "trace x.csv has other values now, by another file or other options of reading" in line
    assert facts(out) == whole


def test_a_chain_knows_what_came_before_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--policy", "mpc-published", *SHORT, "--out", tmp_path)
    assert run("--traces", "4g[0:2]", *words) == 0
    assert "carries state from session to session" in capsys.readouterr().err
    assert [one.manifest["policy"]["earlier_sessions"] for one in records(tmp_path)] == [0, 1]
    assert run("--traces", "4g[0:3]", *words) == 0  # the chain goes on
    assert "policy.earlier_sessions is 1, asked for 0" in refused(capsys, "--traces", "4g[1:3]", *words)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_record_is_named_and_its_session_played_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None]
) -> None:
    words = ("--traces", "4g[0:2]", "--policy", "bba", *SHORT, "--out", tmp_path)
    assert run(*words) == 0
    whole, other = sorted(tmp_path.iterdir())
    before, kept = whole.read_bytes(), other.stat()
    damage(whole)
    capsys.readouterr()
    assert run(*words) == 0
    said = capsys.readouterr().err
    assert f"its record is damaged: {whole}" in said and f"it is {whole.name}.damaged now" in said
    assert os.path.lexists(tmp_path / f"{whole.name}.damaged")
    assert read_record(whole).chunks and len(whole.read_bytes()) == pytest.approx(len(before), abs=200)
    assert (other.stat().st_ino, other.stat().st_mtime_ns) == (kept.st_ino, kept.st_mtime_ns)


def test_a_record_under_anothers_name_is_named_and_its_session_played_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--traces", "4g[0:2]", "--policy", "bba", "--seed", "1,2", *SHORT, "--out", tmp_path)
    assert run(*words) == 0
    paths = sorted(tmp_path.iterdir())
    mine = read_record(paths[-1]).chunks
    for stranger in (paths[0], paths[-2]):  # of another trace, and of another seed alone
        shutil.copyfile(stranger, paths[-1])
        capsys.readouterr()
        assert run(*words) == 0
        said = capsys.readouterr().err
        assert f"{paths[-1]}:1: the record of another session, {stranger.name}" in said
        assert [row.level for row in read_record(paths[-1]).chunks] == [row.level for row in mine]


def test_a_record_of_another_version_is_not_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--traces", "4g/0", "--policy", "bba", *SHORT, "--out", tmp_path)
    assert run(*words) == 0
    (path,) = tmp_path.iterdir()
    path.write_text(path.read_text().replace('"schema":1', '"schema":7', 1))
    said = refused(capsys, *words)
    assert f"{path}:1: schema 7" in said and "name another --out" in said


def test_who_cannot_decide_is_replaced_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.py").write_text(
        "class Bad:\n"
        "    def reset(self, video, seed, qoe): pass\n"
        "    def select(self, observation): return 99\n"
    )
    bad = f"{tmp_path / 'bad.py'}:Bad"
    words = ("--traces", "4g/0", "--policy", f"{bad},bba", *SHORT, "--out", tmp_path / "out")
    assert run(*words, "--json") == 1
    said = capsys.readouterr()
    mine, bba = json.loads(said.out)["policies"]
    assert mine["fallback_chunks"] == 7  # the first level is fixed
    assert (mine["sessions"], mine["qoe"], mine["bitrate_mbps"], mine["by_fallback_alone"]) == (
        0,
        None,
        None,
        1,
    )
    assert bba["qoe"] is not None and bba["by_fallback_alone"] == 0
    assert (
        "the fallback, robustmpc, decided all 7 chunks that a policy decides, first because the policy"
        in said.err
    )
    assert "answered level 99 at chunk 2; the ladder has 0 to 5; the policy has no QoE" in said.err
    assert {row.by for row in records(tmp_path / "out")[0].chunks} == {"player", "fallback"}
    assert run(*words) == 1  # a resumed one says the same
    _, header, row, *_ = capsys.readouterr().out.splitlines()
    assert header.split()[-2:] == ["decided", "by"]
    assert row.split()[1:] == ["0", *"-" * 7, "fallback", "7"]


BROKEN = """
import os, sys, time
class Resets:
    def reset(self, video, seed, qoe): raise RuntimeError('no weights')
    def select(self, observation): return 0
class Raises:
    def reset(self, video, seed, qoe): pass
    def select(self, observation):
        return 1 if observation.chunk < 3 else 1 / 0
class Exits(Raises):
    def select(self, observation): sys.exit(3)
class Dies(Raises):
    def select(self, observation): os._exit(3)
class Odd(Raises):
    def select(self, observation): raise BaseException('odd')
class Sleepy(Raises):
    def select(self, observation):
        if observation.chunk == 2: time.sleep(0.15)
        return 1
class Six(Raises):
    def reset(self, video, seed, qoe):
        if video.levels != 5: raise ValueError('made for 5 levels')
    def select(self, observation): return 1
class Names(Raises):
    fallback = 'fixed:2'
"""


@pytest.fixture
def broken(tmp_path: Path) -> str:
    path = tmp_path / "broken.py"
    path.write_text(BROKEN)
    return str(path)


@pytest.mark.parametrize(
    ("name", "why", "alone"),
    [
        ("Resets", "the policy raised RuntimeError: no weights at reset (broken.py:4)", True),
        ("Raises", "the policy raised ZeroDivisionError: division by zero at chunk 4 (broken.py:9)", False),
        ("Exits", "the policy raised SystemExit: 3 at chunk 2 (broken.py:11)", True),
        ("Odd", "the policy raised BaseException: odd at chunk 2 (broken.py:15)", True),
    ],
)
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_whatever_a_policy_raises_costs_only_its_own_chunks(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    broken: str,
    name: str,
    why: str,
    alone: bool,
    jobs: str,
) -> None:
    words = ("--traces", "4g[0:2]", "--policy", f"{broken}:{name},bba", "--chunks", "5", "--jobs", jobs)
    assert run(*words, "--out", tmp_path / "out") == (1 if alone else 0)
    said = capfd.readouterr().err
    assert f"first because {why}" in said and "Traceback" not in said
    assert len(records(tmp_path / "out")) == 4


def test_the_table_counts_a_half_broken_policys_own_decisions_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], broken: str
) -> None:
    words = ("--traces", "4g/0", "--policy", f"{broken}:Raises", "--chunks", "6", "--jobs", "1")
    assert run(*words, "--out", tmp_path / "out") == 0
    said = capsys.readouterr()
    assert "policy 2, fallback 3" in said.out
    assert "decided 3 of 5 chunks that a policy decides, first because the policy raised" in said.err


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_policy_that_kills_its_process_costs_only_its_sessions(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], broken: str, jobs: str
) -> None:
    words = ("--traces", "4g[0:2]", "--policy", f"{broken}:Dies,bba", "--chunks", "5", "--jobs", jobs)
    assert run(*words, "--out", tmp_path / "out", "--json") == 1
    said = capfd.readouterr()
    dead, bba = json.loads(said.out)["policies"]
    assert (dead["sessions"], dead["qoe"], dead["died"]) == (0, None, 2)
    assert (bba["sessions"], bba["died"]) == (2, 0)
    assert "broken.py:Dies on 4g/0 from 0 s, and 1 more: its process died with it" in said.err
    assert len(records(tmp_path / "out")) == 2


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize(
    ("name", "why"),
    [("Raises", "ZeroDivisionError: division by zero at chunk 4"), ("Exits", "SystemExit: 3")],
)
def test_strict_stops_at_the_first_fault_with_its_traceback(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], broken: str, jobs: str, name: str, why: str
) -> None:
    words = ("--traces", "4g[0:2]", "--policy", f"{broken}:{name}", "--chunks", "5", "--jobs", jobs)
    assert run(*words, "--out", tmp_path / "out", "--strict") == 2
    begun, first, *shown = capfd.readouterr().err.splitlines()
    assert begun.startswith("simulating 2 sessions")
    assert f"{name} on 4g/" in first and why in first and first.endswith("; stopped, as --strict says")
    assert shown[0].startswith("Traceback") and f'File "{broken}"' in "".join(shown)


def test_a_slow_decision_is_recorded(tmp_path: Path, broken: str) -> None:
    words = ("--traces", "4g/0", "--policy", f"{broken}:Sleepy", "--chunks", "4", "--jobs", "1")
    assert run(*words, "--out", tmp_path / "out") == 0
    (record,) = records(tmp_path / "out")
    slow = [row.chunk for row in record.chunks if (row.decision_ms or 0.0) >= 150.0]
    assert 2 in slow and {row.decision_s for row in record.chunks} == {0.0}


def test_what_the_object_says_of_decisions_that_were_not_noted_is_null(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--traces", "4g/0", "--policy", "fixed:1", "--chunks", "4", "--jobs", "1", "--json")
    assert run(*words, "--out", tmp_path / "out") == 0
    (line,) = json.loads(capsys.readouterr().out)["policies"]
    assert line["longest_decision_ms"] is None


def test_a_decision_over_the_deadline_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testbed.simulating.simulated_summary.DEADLINE_S", 0.1)
    words = ("--traces", "4g/0", "--policy", f"{broken}:Sleepy", "--chunks", "4", "--jobs", "1")
    assert run(*words, "--out", tmp_path / "out") == 0
    assert "in 1 of 1 sessions a decision took over 0.1 s" in capsys.readouterr().err


def test_of_a_policy_that_no_real_player_offers_no_deadline_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testbed.simulating.simulated_summary.DEADLINE_S", 0.0)
    monkeypatch.setattr("player.simulated.session.SLOW_MS", 0.0)
    words = ("--traces", "4g/0", "--policy", "bba,oracle", "--chunks", "4", "--jobs", "1")
    assert run(*words, "--out", tmp_path / "out") == 0
    said = capsys.readouterr().err
    assert "bba: in 1 of 1 sessions a decision took over 0 s" in said and "oracle: in" not in said


def test_a_video_that_a_policy_cannot_play_is_refused_before_the_first_session(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], broken: str
) -> None:
    out = ("--out", tmp_path / "out", *SHORT)
    said = refused(capsys, "--traces", "4g[0:2]", "--policy", f"bba,{broken}:Six", *out)
    assert said == f"simulate.py: policy {broken}:Six can't play envivio: made for 5 levels (broken.py:22)\n"
    video = tmp_path / "w"
    video.mkdir()
    for level, size in enumerate((100_000, 200_000, 400_000)):
        (video / f"video_size_{level}").write_text(f"{size}\n" * 8)
    (video / "ladder_kbps").write_text("200\n400\n800\n")
    said = refused(capsys, "--traces", "4g[0:2]", "--policy", "bba,genet", "--video", video, *out)
    assert said.startswith(f"simulate.py: policy genet can't play {video}: w has 3 levels")
    said = refused(
        capsys, "--traces", "4g/0", "--policy", "bba", "--fallback", "genet", "--video", video, *out
    )
    assert said.startswith(f"simulate.py: fallback genet can't play {video}: w has 3 levels")
    assert not (tmp_path / "out").exists()


def test_the_oracle_is_refused_over_a_link_that_it_cannot_plan_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--traces", "4g/0", "--policy", "bba,oracle", "--link", "tcp", *SHORT, "--out", tmp_path / "out")
    said = refused(capsys, *words)
    assert "policy oracle can't play 4g/0: the oracle plans for the published link only" in said


def test_who_stands_in_is_the_persons_choice_else_the_policys_else_robustmpc(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], broken: str
) -> None:
    words = (
        "--traces",
        "4g/0",
        "--chunks",
        "6",
        "--jobs",
        "1",
        "--policy",
        f"{broken}:Names,{broken}:Raises",
    )
    assert run(*words, "--out", tmp_path / "own") == 0
    names, raises = records(tmp_path / "own")
    assert names.manifest["player"]["fallback"] == "fixed:2"
    assert raises.manifest["player"]["fallback"] == "robustmpc"
    assert [row.level for row in names.chunks if row.replaced] == [2, 2, 2]
    assert run(*words, "--fallback", "fixed:0", "--out", tmp_path / "asked") == 0
    for record in records(tmp_path / "asked"):
        assert record.manifest["player"]["fallback"] == "fixed:0"
        assert [row.level for row in record.chunks if row.replaced] == [0, 0, 0]
    said = refused(capsys, *words, "--out", tmp_path / "asked")
    assert "player.fallback is" in said and "add --fallback fixed:0 to go on with it" in said
    for spec, why in (
        ("nobody", "unknown name"),
        ("netllm", "it asks a server"),
        ("oracle", "told the future"),
    ):
        assert why in refused(capsys, *words, "--fallback", spec, "--out", tmp_path / "none")


def test_what_draws_from_the_libraries_generators_comes_out_the_same_again(tmp_path: Path) -> None:
    (tmp_path / "draws.py").write_text(
        "import random\n"
        "import numpy as np\n"
        "class Draws:\n"
        "    def __init__(self): self.first = np.random.randint(6)\n"
        "    def reset(self, video, seed, qoe): self.second = random.randrange(6)\n"
        "    def select(self, observation):\n"
        "        return (self.first + self.second + np.random.randint(6) + random.randrange(6)) % 6\n"
    )
    words = ("--traces", "4g[0:3]", "--policy", f"{tmp_path / 'draws.py'}:Draws", "--chunks", "8")
    for out, jobs in (("one", "1"), ("again", "1"), ("two", "2")):
        assert run(*words, "--jobs", jobs, "--out", tmp_path / out) == 0
    assert facts(tmp_path / "one") == facts(tmp_path / "again") == facts(tmp_path / "two")
    assert len({tuple(row.level for row in one.chunks) for one in records(tmp_path / "one")}) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--traces", "6g"), "no family and no file is named '6g'"),
        (("--traces", "4g/0", "4g[0:2]"), "two traces are named 4g/0"),
        (("--traces", "4g/0", "--policy", "bbaa"), "did you mean bba?"),
        (("--traces", "4g/0", "--policy", "bba,bba"), "policy bba is given twice"),
        (("--traces", "4g/0", "--video", "envivo"), "no video 'envivo'"),
        (("--traces", "4g/0", "--chunks", "1"), "--chunks 1: must be 2 or more"),
        (("--traces", "4g/0", "--chunks", "4000"), "asked for 4000 chunks"),
        (("--traces", "4g/0", "--buffer-cap-s", "3"), "--buffer-cap-s 3: a chunk of 4 s doesn't fit"),
        (("--traces", "4g/0", "--rtt-ms", "20000"), "--rtt-ms 20000: expected 0 to 10000"),
        (
            ("--traces", "4g/0", "--link", "tcp", "--loss-pct", "200"),
            "--loss-pct 200: expected 0 to under 100",
        ),
        (("--reproduce", "x.jsonl"), "testbed/run.py --reproduce RECORD"),
        (("--traces", "4g/0", "--jobs", "0"), "--jobs 0: must be 1 or more"),
        (("--traces", "4g/0", "--seed", "x"), "--seed x"),
        (("--traces", "4g/0", "--seed", "1,1"), "that differ"),
        (("--traces", "4g/0", "--mu", "-1"), "QoE mu -1.0"),
        (("--traces", "4g/0", "--rtt-ms", "nan"), "--rtt-ms nan"),
        (("--traces", "4g/0", "--first-level", "6"), "--first-level 6: envivio has 0 to 5"),
        (("--traces", "5g/0", "--qoe", "hd"), "QoE hd has no value for"),
        (("--traces", "4g/0", "--starts", "nowhere"), "--starts nowhere: No such file"),
        (("--traces", "4g/0", "--link", "wire"), "invalid choice: 'wire'"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert said in refused(capsys, *words, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    said = refused(capsys, "--traces", "4g/0", "--policy", "bba", *SHORT, "--out", tmp_path / "file" / "x")
    assert "name a folder that can be written" in said


def test_each_family_streams_the_video_that_fits_it(tmp_path: Path) -> None:
    assert run("--traces", "4g/0", "5g/0", "--policy", "rate", *SHORT, "--out", tmp_path) == 0
    assert [one.manifest["video"]["name"] for one in records(tmp_path)] == ["envivio", "uhd"]


def test_the_first_level_may_be_the_policys(tmp_path: Path) -> None:
    words = ("--traces", "4g/0", "--policy", "fixed:3", *SHORT)
    assert run(*words, "--first-level", "policy", "--out", tmp_path) == 0
    assert records(tmp_path)[0].chunks[0].level == 3


@pytest.fixture
def lossy(tmp_path: Path) -> Path:
    """A trace file with delays and losses."""
    file = tmp_path / "lossy.csv"
    rows = "".join(f"{end},5,{20 + end},0\n" for end in range(0, 121, 10))
    rows += "125,5,145,2\n"
    file.write_text("time_s,throughput_mbps,delay_ms,loss_pct\n" + rows)
    return file


def test_a_traces_delay_and_loss_are_said_recorded_and_played(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lossy: Path
) -> None:
    words = ("--traces", lossy, "--policy", "bba", *SHORT, "--link", "tcp", "--loss-pct", "1")
    assert run(*words, "--out", tmp_path / "one") == 0
    said = capsys.readouterr().err
    assert "note: trace lossy.csv brings delays of 30 to 145 ms; the round trip is these plus 80 ms" in said
    assert "brings losses of 0 to 2 % of the frames towards the player" in said
    (record,) = records(tmp_path / "one")
    trace = resolve(str(lossy))
    assert record.manifest["trace"]["delay_ms"] == list(trace.delay_ms or ())
    assert record.manifest["trace"]["loss_pct"] == list(trace.loss_pct or ())
    assert record.manifest["link"]["loss_pct"] == 1.0
    assert record.chunks[0].rtt_ms == 110.0
    assert run(*words, "--out", tmp_path / "two") == 0
    assert facts(tmp_path / "one") == facts(tmp_path / "two")


def test_records_of_traces_of_rates_alone_say_no_more_than_before(tmp_path: Path) -> None:
    assert run("--traces", "4g/1", "--policy", "bba", *SHORT, "--link", "tcp", "--out", tmp_path) == 0
    (record,) = records(tmp_path)
    assert not {"delay_ms", "loss_pct"} & {*record.manifest["trace"], *record.manifest["link"]}


def test_the_published_link_refuses_loss(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lossy: Path
) -> None:
    said = refused(capsys, "--traces", lossy, "--out", tmp_path / "out")
    assert "lossy.csv: loses up to 2 % of its frames" in said and "take the tcp link" in said
    said = refused(capsys, "--traces", "4g", "--loss-pct", "1", "--out", tmp_path / "out")
    assert "--loss-pct: the published link has no TCP and no queue; add --link tcp" in said


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_who_is_waited_for_is_said(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    broken: str,
    monkeypatch: pytest.MonkeyPatch,
    jobs: str,
) -> None:
    monkeypatch.setattr(simulation_jobs, "PATIENCE_S", 0.05)
    words = ("--traces", "4g/0", "--policy", f"{broken}:Sleepy", "--chunks", "5", "--jobs", jobs)
    assert run(*words, "--out", tmp_path / "out") == 0
    said = capfd.readouterr().err
    assert "note: no session has ended for 0.05 s: waiting for policy" in said
    assert "broken.py:Sleepy on 4g/0 from 0 s" in said


def test_what_a_policy_prints_steers_no_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], broken: str
) -> None:
    with Path(broken).open("a") as file:
        file.write("class Prints(Resets):\n    def reset(self, *told): print('\\x1b[2Jhello')\n")
        file.write("    def select(self, observation): return 0\n")
    words = ("--traces", "4g/0", "--policy", f"{broken}:Prints,bba", "--chunks", "5", "--jobs", "2")
    assert run(*words, "--out", tmp_path / "out") == 0
    said = capfd.readouterr()
    assert "\\x1b[2Jhello" in said.err and "\x1b" not in said.err + said.out

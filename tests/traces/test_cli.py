"""`python -m traces`: what it prints, with and without --json, and how it fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from traces import __main__ as cli
from traces import formats
from traces.commands import next_step
from traces.families import catalogue, fit
from traces.trace import TraceError
from traces.versions import ROOT


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A directory of six short logs: members of 3g."""
    directory = tmp_path / "logs"
    assert cli.main(["generate", "3g", "--members", "0:6", "--out", str(directory)]) == 0
    return directory


@pytest.fixture
def quick_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less simulation: these tests are not about how good a fit is."""
    monkeypatch.setattr(fit, "_SIMULATED_STEPS", 4000)
    monkeypatch.setattr(fit, "_LAST_SIMULATED_STEPS", 4000)


def run_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """What a command prints with --json: one object, and nothing else."""
    capsys.readouterr()
    status = cli.main([*arguments, "--json"])
    captured = capsys.readouterr()
    assert status in (0, 1) and captured.err == ""
    assert len(captured.out.splitlines()) == 1
    return json.loads(captured.out)


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    body = run_json(capsys, "list", "--members", "0:2")
    assert [family["name"] for family in body["families"]] == list(catalogue.families())
    assert body["families"][1]["default_video"] == "envivio"
    body = run_json(capsys, "list", "4g", "--members", "3:5")
    assert [part["name"] for part in body["members"]] == ["4g/3", "4g/4"]
    assert cli.main(["list", "--members", "0:2"]) == 0
    assert "mmWave" in capsys.readouterr().out


def test_list_fit_shows_measured_and_generated(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "4g", "--fit", "--members", "0:5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[2].strip() for line in lines[2:]] == ["fitted", "held out", "generated"]
    body = run_json(capsys, "list", "4g", "--fit", "--members", "0:5")
    assert body["families"][0]["held_out"]["mean_mbps"] > 0


def test_show(capsys: pytest.CaptureFixture[str], logs: Path) -> None:
    body = run_json(capsys, "show", "4g[0:3]")
    assert [trace["name"] for trace in body["traces"]] == ["4g/0", "4g/1", "4g/2"]
    assert body["statistics"]["traces"] == 3
    assert cli.main(["show", str(logs), "--width", "30"]) == 0
    out = capsys.readouterr().out
    assert "3g_0  0 to 600 s" in out and "95th percentile" in out
    assert max(len(line) for line in out.splitlines() if "▁" in line) <= 32


def test_sparkline_without_blocks_is_ascii() -> None:
    from traces.inspection.report import sparkline

    assert sparkline([0.0, 5.0, 10.0], "ascii") == " +@"
    assert sparkline([0.0, 5.0, 10.0]) == " ▄█"
    assert sparkline([0.0]) == " "


def test_lint_exit_and_lines(capsys: pytest.CaptureFixture[str], logs: Path) -> None:
    assert cli.main(["lint", str(logs)]) == 0
    bad = logs / "bad"
    bad.write_text("0 1\n1 2\n1 -3\n")
    capsys.readouterr()
    assert cli.main(["lint", str(logs)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{bad}:2: warning: too short (1 s)")
    assert lines[1].startswith(f"{bad}:3: error: rate is negative (-3)")
    body = run_json(capsys, "lint", str(bad))
    assert (body["files"], body["errors"], body["warnings"]) == (1, 1, 1)
    assert body["faults"][1]["line"] == 3


@pytest.mark.parametrize("target", formats.WRITABLE)
def test_convert(capsys: pytest.CaptureFixture[str], logs: Path, tmp_path: Path, target: str) -> None:
    out = tmp_path / "out"
    body = run_json(capsys, "convert", str(logs / "3g_0"), str(out), "--to", target, "--format", "text")
    assert body["format"] == target
    assert formats.load(out, target).mean_mbps == pytest.approx(catalogue.resolve("3g").mean_mbps, rel=0.01)


def test_lint_goes_on_after_a_file_that_is_not_there(
    capsys: pytest.CaptureFixture[str], logs: Path, tmp_path: Path
) -> None:
    bad = logs / "bad"
    bad.write_text("0 1\n1 -3\n")
    none = str(tmp_path / "none")
    capsys.readouterr()
    assert cli.main(["lint", none, str(bad)]) == 2
    told = capsys.readouterr()
    assert f"{bad}:2: error: rate is negative" in told.out
    assert told.err.splitlines()[0].endswith(f"{none}: no such file or directory")
    assert cli.main(["lint", none, str(bad), "--json"]) == 2
    body = json.loads(capsys.readouterr().out)
    assert (body["files"], body["missing"], body["errors"]) == (1, [none], 1)


def test_lint_refuses_what_holds_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    empty, link = tmp_path / "empty", tmp_path / "link"
    empty.mkdir()
    link.symlink_to("nowhere")
    assert cli.main(["lint", str(empty), str(link)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == [
        f"{cli.PROGRAM}: {empty}: no files in this directory; name one that holds traces",
        f"{cli.PROGRAM}: {link}: a link to nowhere, which is not there",
    ]


def test_columns_of_one_name_are_told_apart_by_number(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("time_s,mbps,mbps\n0,1,2\n1,1,2\n")
    assert formats.load(tmp_path / "a.csv", ":column=3").rate_mbps == (2, 2)
    with pytest.raises(TraceError, match=r"columns alike \(2 mbps, 3 mbps\); say which"):
        formats.load(tmp_path / "a.csv", ":column=mbps")


def test_convert_writes_over_nothing_unless_told(
    capsys: pytest.CaptureFixture[str], logs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.write_text("a letter")
    words = ["convert", str(logs / "3g_0"), str(out), "--to", "cooked"]
    assert cli.main(words) == 2
    assert f"{out} is there already; name another file, or say --force" in capsys.readouterr().err
    assert out.read_text() == "a letter"
    assert cli.main([*words, "--force"]) == 0
    assert formats.load(out, "cooked").mean_mbps == pytest.approx(catalogue.resolve("3g").mean_mbps, rel=0.01)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs", "out"]


def test_convert_to_standard_output(logs: Path) -> None:
    words = [sys.executable, "-m", "traces", "convert", str(logs / "3g_0"), "/dev/stdout", "--to", "text"]
    done = subprocess.run(
        words, capture_output=True, text=True, check=True, cwd=Path(cli.__file__).parent.parent
    )
    assert done.stdout.startswith((logs / "3g_0").read_text())


def test_generate_names_and_hashes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    body = run_json(capsys, "generate", "fcc", "--members", "8:11", "--out", str(tmp_path / "a" / "b"))
    assert [Path(file["file"]).name for file in body["written"]] == ["fcc_08", "fcc_09", "fcc_10"]
    back = formats.load(body["written"][0]["file"])
    assert back.sha256 == body["written"][0]["sha256"] == catalogue.resolve("fcc/8").sha256


@pytest.mark.usefixtures("quick_fit")
def test_fit_holds_out_judges_and_writes(
    capsys: pytest.CaptureFixture[str], logs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "mine.json"
    arguments = [
        "fit",
        str(logs),
        "--classes",
        "1",
        "--hold-out-every",
        "2",
        "--members",
        "5",
        "--length-s",
        "200",
    ]
    body = run_json(capsys, *arguments, "--out", str(out))
    assert (body["fitted_logs"], body["held_out_logs"]) == (3, 3)
    assert body["generated"]["mean_mbps"] > 0
    body = run_json(capsys, *arguments, "--line", "_([0-4])|5")
    assert (body["fitted_logs"], body["held_out_logs"]) == (3, 3)
    assert catalogue.resolve(f"{out}/3").duration_s == 200
    body = run_json(
        capsys, "generate", str(out), "--members", "0:1", "--out", str(tmp_path / "g"), "--to", "csv"
    )
    assert formats.load(body["written"][0]["file"]).duration_s == 200


@pytest.mark.usefixtures("quick_fit")
def test_fit_judges_on_another_directory(capsys: pytest.CaptureFixture[str], logs: Path) -> None:
    arguments = [
        "fit",
        str(logs),
        "--include",
        "*_[01]",
        "--exclude",
        "*_1",
        "--classes",
        "1",
        "--members",
        "2",
    ]
    assert cli.main([*arguments, "--length-s", "100", "--judge", str(logs / "3g_0")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[2].strip() for line in lines[-3:]] == ["fitted", "held out", "generated"]
    assert lines[-3].split("|")[3].strip() == "1"


BAD = [
    (["show", "5gg"], "did you mean '5g'"),
    (["show", "/no/such/file"], "no file is named"),
    (["list", "9g"], "9g"),
    (["list", "--members", "x"], "write it as 0:10"),
    (["list", "--members", "5:5"], "ask for 1 to"),
    (["show", "4g", "--width", "0"], "--width"),
    (["show", "4g", "--format", "xml"], "--format"),
    (["lint", "/no/such/file"], "no such file"),
    (["convert", "4g", "/no/such/dir/x", "--to", "text"], "/no/such/dir/x: No such file"),
    (["convert", "5g", "x", "--to", "mahimahi"], "Mahimahi files end at"),
    (["generate", "4g", "--out", "/dev/null/x"], "/dev/null"),
    (["generate", "4g", "--members", "0:999999", "--out", "x"], "ask for 1 to 10000"),
    (["fit", "/no/such/dir"], "no such file"),
    (["fit", "/dev/null", "--include", "x"], "no logs are left"),
    (["fit", "/dev/null", "--step-s", "-1"], "--step-s"),
    (["fit", "/dev/null", "--line", "("], "'(' is no regular expression"),
    (["fit", "/dev/null", "--min-dark-share", "2"], "must be 0 to 1"),
    (["fit", "/dev/null", "--step-s", "9", "--length-s", "5"], "shorter than --step-s"),
    ([], "COMMAND"),
    (["dance"], "dance"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
@pytest.mark.parametrize("as_json", [False, True])
def test_bad_input_is_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str, as_json: bool
) -> None:
    extra = ["--json"] if as_json and arguments and arguments[0] != "dance" else []
    try:
        status = cli.main([*arguments, *extra])
    except SystemExit as left:
        status = int(left.code or 0)
    captured = capsys.readouterr()
    assert status == 2
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert captured.err.startswith("python -m traces") and message in captured.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--hold-out-every", "1"],
        ["--block-s", "30"],
        ["--hold-out-every", "50"],
        ["--hold-out-every", "2", "--line", "3g"],
        ["--hold-out-every", "2", "--line", "_.", "--block-s", "30"],
        ["--line", "_."],
        ["--min-dark-share", "0.99"],
        ["--min-swing-share", "0.99"],
    ],
)
def test_splits_that_leave_nothing_are_refused(
    capsys: pytest.CaptureFixture[str], logs: Path, arguments: list[str]
) -> None:
    capsys.readouterr()
    assert cli.main(["fit", str(logs), *arguments]) == 2
    assert capsys.readouterr().err.startswith("python -m traces: ")


def test_help_groups_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["fit", "--help"])
    out = capsys.readouterr().out
    assert all(f"\n{group}:" in out for group in ("logs", "judging", "model", "output"))


def test_the_module_runs_and_survives_a_closed_pipe() -> None:
    command = f"{sys.executable} -m traces list 4g --members 0:200 | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("name") and done.stderr == ""


def test_the_readme_shows_the_fit_that_is_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(cli.__file__).parents[1] / "docs" / "traces.md").read_text(encoding="utf-8")
    shown = text.split("<!-- fit table: begin -->\n")[1].split("<!-- fit table: end -->")[0].splitlines()
    assert cli.main(["list", "--fit", "--members", "0:1"]) == 0
    printed = capsys.readouterr().out.splitlines()
    measured = [number for number, line in enumerate(printed) if "| generated |" not in line]
    assert len(shown) == len(printed) == 2 + 3 * len(catalogue.families())
    assert [shown[number] for number in measured] == [printed[number] for number in measured]
    assert cli.main(["list", "4g", "--fit"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] in shown


@pytest.fixture
def delayed(tmp_path: Path) -> Path:
    file = tmp_path / "delayed.json"
    file.write_text(
        '[{"duration_ms": 1000, "bandwidth_kbps": 1000, "latency_ms": 20},'
        ' {"duration_ms": 3000, "bandwidth_kbps": 1000, "latency_ms": 900}]'
    )
    return file


def test_show_says_delays(capsys: pytest.CaptureFixture[str], delayed: Path) -> None:
    [shown] = run_json(capsys, "show", str(delayed))["traces"]
    assert shown["delay_ms"] == {"least": 20.0, "mean": 680.0, "most": 900.0} and "loss_pct" not in shown
    assert cli.main(["show", str(delayed)]) == 0
    assert "  delays of 20 to 900 ms, mean 680," in capsys.readouterr().out


def test_lint_counts_notes_apart(capsys: pytest.CaptureFixture[str], delayed: Path) -> None:
    body = run_json(capsys, "lint", str(delayed))
    assert (body["errors"], body["warnings"], body["notes"]) == (0, 1, 1)


def test_convert_drops_delays_only_where_told_to_and_says_so(
    capsys: pytest.CaptureFixture[str], delayed: Path, tmp_path: Path
) -> None:
    target = str(tmp_path / "t.txt")
    assert cli.main(["convert", str(delayed), target, "--to", "text"]) == 2
    assert "delayed.json: has delay, which text can't hold" in capsys.readouterr().err
    assert cli.main(["convert", str(delayed), target, "--to", "text", "--drop-delay-loss"]) == 0
    assert "dropped: delays of 20 to 900 ms" in capsys.readouterr().out
    assert formats.load(target).delay_ms is None
    kept = str(tmp_path / "t.csv")
    assert run_json(capsys, "convert", str(delayed), kept, "--to", "csv")["dropped"] == []
    assert formats.load(kept).delay_ms == (20.0, 20.0, 900.0)
    assert run_json(capsys, "convert", kept, target, "--to", "text", "--force", "--drop-delay-loss")[
        "dropped"
    ] == ["delay_ms"]


def test_series_are_traces_and_no_family(tmp_path: Path) -> None:
    file = tmp_path / "path.json"
    file.write_text('{"timestamps": [0, 1, 2], "bandwidths": [1, 2, 2], "delays": [40], "loss": 0}')
    assert catalogue.resolve(str(file)).delay_ms == (80.0, 80.0, 80.0)


def test_control_characters_reach_no_terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    name = "a\x1b[31m\n\u202eb.csv"
    bad, good = tmp_path / name, tmp_path / f"g{name}"
    bad.write_text("time_s,\x1b[2Jmbps,b_mbps\n0,1,\x1b]0;x\x07\n")
    good.write_text("time_s,mbps\n0,1\n100,2\n")
    for arguments in (
        ["lint", str(tmp_path)],
        ["show", str(bad)],
        ["show", str(good)],
        ["show", f"{bad}x"],
        ["lint", f"{bad}x"],
        ["show", "4g", "--column", "\x1b[31m"],
        ["convert", str(good), str(tmp_path / f"o{name}"), "--to", "text"],
        ["generate", "4g", "--members", "0:1", "--out", str(tmp_path / f"d{name}")],
    ):
        cli.main(arguments)
        told = capsys.readouterr()
        for line in (told.out + told.err).splitlines():
            assert all(character.isprintable() for character in line), line
        assert "\\x1b" in told.out + told.err or arguments[1] == "4g"
    with pytest.raises(SystemExit):
        cli.main(["show", "4g", "--idle", "\x1b[31m"])
    assert "\x1b" not in capsys.readouterr().err


def test_names_that_are_not_utf_8_can_be_shown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = Path(f"{tmp_path}/a\udcff")
    file.write_text("0 1\n100 2\n")
    assert cli.main(["show", str(file)]) == 0
    assert "a\\udcff  0 to 100 s" in capsys.readouterr().out


def test_lint_reads_on_and_counts_in_words(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "a").write_text("no trace\n")
    assert cli.main(["lint", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "1 file: 1 error, 0 warnings\n"
    (tmp_path / "b").write_text("time_s,ul_mbps\n0,1\n100,2\n200,1\n")
    assert cli.main(["lint", str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert told.err == "2 files: 1 error, 2 warnings\n" and "b:1: warning: column 'ul_mbps'" in told.out
    assert cli.main(["lint", str(tmp_path / "c")]) == 2
    assert "no such file or directory" in capsys.readouterr().err


def test_options_of_reading_and_what_was_assumed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("time_s,a_mbps,b_mbps\n0,1,5\n1,1,-\n100,1,7\n")
    assert cli.main(["show", str(file)]) == 2
    assert "(a_mbps, b_mbps); say which: --column NAME" in capsys.readouterr().err
    body = run_json(capsys, "show", str(file), "--column", "b_mbps", "--idle", "hold")
    assert body["traces"][0]["mean_mbps"] == pytest.approx(6.98)
    assert "1 row without a measurement" in body["traces"][0]["assumed"][0]
    out = str(tmp_path / "o")
    body = run_json(
        capsys, "convert", str(file), out, "--to", "text", "--format", "csv:column=b_mbps,idle=drop"
    )
    assert body["assumed"] and formats.load(out).rate_mbps[1:] == (7.0,)


def test_what_was_written_can_be_streamed_over_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    folder, file = str(tmp_path / "made"), str(tmp_path / "one.csv")
    for words, written in (
        (["generate", "3g", "--members", "0:2", "--out", folder], folder),
        (["convert", "3g/0", file, "--to", "csv"], file),
    ):
        assert cli.main(words) == 0
        last = next_step("testbed/simulate.py", "--traces", written, "--policy", "bba,robustmpc")
        assert capsys.readouterr().out.splitlines()[-1] == last
    model = str(tmp_path / "mine.json")
    assert cli.main(["fit", folder, "--members", "2", "--out", model]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == next_step(
        "-m", "traces", "generate", model, "--out", "mine"
    )


def test_the_documents_show_the_fast_layers_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "traces.md").read_text(encoding="utf-8")
    shown = text.split("<!-- fast table: begin -->\n")[1].split("<!-- fast table: end -->")[0].splitlines()
    assert cli.main(["list", "--fit-fast"]) == 0
    assert shown == capsys.readouterr().out.splitlines()


def test_a_fast_family_is_listed_and_generated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "3g-fast", "--members", "0:2", "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in body["members"]] == ["3g-fast/0", "3g-fast/1"]
    assert cli.main(["generate", "3g-fast", "--members", "1:2", "--out", str(tmp_path / "out")]) == 0
    written = tmp_path / "out" / "3g-fast_1"
    assert catalogue.resolve(str(written)).rate_mbps == catalogue.resolve("3g-fast/1").rate_mbps
    capsys.readouterr()
    assert cli.main(["lint", str(written)]) == 0
    assert cli.main(["generate", "3g-fast", "--members", "0:2000", "--out", str(tmp_path / "more")]) == 2


def test_a_fast_layer_is_fitted_from_logs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("traces.families.fast_fit.FITTED_SECONDS", 20)
    log = tmp_path / "a.down"
    log.write_text("".join(f"{ms}\n" for ms in range(0, 12_000, 7) if ms % 400 < 280))
    out = tmp_path / "mine.json"
    assert cli.main(["fit-fast", str(log), "--judge", str(log), "--out", str(out), "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert [row["fitted"] for row in body["layers"]["mine"]] == [True, False]
    assert body["layers"]["mine"][0]["measured"]["in_gaps"] == pytest.approx(0.3, abs=0.02)
    assert json.loads(out.read_text())["kinds"][0]["log"] == "a.down"

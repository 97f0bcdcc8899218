"""`python -m policies.reference` and `python -m policies.bench`: output, errors, and what is carried."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from policies import bench, reference

BITRATES_KBPS = (300, 750, 1200, 1850, 2850, 4300)


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    folder = tmp_path / "traces"
    folder.mkdir()
    (folder / "b").write_text("0.0 2.0\n300.0 2.0\n")
    (folder / "a").write_text("0.0 1.0\n20.0 3.0\n30.0 0.5\n60.0 4.0\n")
    (folder / ".hidden").write_text("no trace")
    return folder


@pytest.fixture
def video(tmp_path: Path) -> Path:
    folder = tmp_path / "cbr"
    folder.mkdir()
    for level, kbps in enumerate(BITRATES_KBPS):
        (folder / f"video_size_{level}").write_text(f"{kbps * 500}\n" * 12)
    return folder


def run_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert reference.main([*arguments, "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def test_the_mean_by_hand(capsys: pytest.CaptureFixture[str], traces: Path, video: Path) -> None:
    (traces / "a").unlink()
    place = ("--traces", str(traces), "--video", str(video), "--chunks", "10", "--policy", "fixed:5")
    answer = run_json(capsys, *place)
    # a chunk of 17.2 Mbit at 1.9 Mbit/s takes 9.1326 s: 5.1326 s of stall nine times, and one step up
    expected = 4.3 - 4.3 * (17.2 / 1.9 + 0.08 - 4.0) - 4.0 / 9
    assert answer["policies"] == [{"policy": "fixed:5", "sessions": 1, "qoe": pytest.approx(expected)}]
    assert answer["qoe"] == {"kind": "linear", "mu": 4.3, "smooth": 1.0}
    assert run_json(capsys, *place, "--mu", "0")["policies"][0]["qoe"] == pytest.approx(4.3 - 4.0 / 9)


def test_files_come_in_name_order_and_one_object_plays_them_all(
    capsys: pytest.CaptureFixture[str], traces: Path, video: Path
) -> None:
    place = ("--traces", str(traces), "--video", str(video), "--chunks", "12")
    both = {each["policy"]: each["qoe"] for each in run_json(capsys, *place)["policies"]}
    assert list(both) == ["bba", "mpc-published", "robustmpc"]
    alone: dict[str, list[float]] = {name: [] for name in both}
    for keep, drop in (("a", "b"), ("b", "a")):
        text = (traces / drop).read_text()
        (traces / drop).unlink()
        for each in run_json(capsys, *place)["policies"]:
            alone[each["policy"]].append(each["qoe"])
        (traces / drop).write_text(text)
        assert (traces / keep).exists()
    assert both["bba"] == pytest.approx(sum(alone["bba"]) / 2)
    assert both["robustmpc"] == pytest.approx(sum(alone["robustmpc"]) / 2)
    assert both["mpc-published"] != pytest.approx(sum(alone["mpc-published"]) / 2)


def test_the_table_names_weights_and_sessions(
    capsys: pytest.CaptureFixture[str], traces: Path, video: Path
) -> None:
    status = reference.main(["--traces", str(traces), "--video", str(video), "--chunks", "5", "--mu", "43"])
    lines = capsys.readouterr().out.splitlines()
    assert status == 0
    assert lines[0].startswith("QoE linear, mu 43, smooth 1; cbr, 5 chunks")
    assert [line.split()[:2] for line in lines[2:]] == [
        ["bba", "2"],
        ["mpc-published", "2"],
        ["robustmpc", "2"],
    ]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (["--traces", "nowhere"], "no family and no file is named 'nowhere'"),
        (["--video", "nowhere"], "no video 'nowhere'"),
        (["--policy", "bbba"], "unknown name 'bbba'"),
        (["--policy", "fixed:6"], "level 6; cbr has levels 0 to 5"),
        (["--chunks", "13"], "asked for 13 chunks; it has 12"),
        (["--mu", "-1"], "QoE mu -1.0"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], traces: Path, video: Path, change: list[str], fault: str
) -> None:
    status = reference.main(["--traces", str(traces), "--video", str(video), "--chunks", "4", *change])
    out, err = capsys.readouterr()
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert fault in err


def test_a_bad_line_is_named(capsys: pytest.CaptureFixture[str], traces: Path, video: Path) -> None:
    (traces / "c").write_text("0 1\n1 2 3\n")
    assert reference.main(["--traces", str(traces), "--video", str(video)]) == 2
    assert f"{traces / 'c'}:2:" in capsys.readouterr().err


def test_the_bench_times_every_decision(capsys: pytest.CaptureFixture[str], video: Path) -> None:
    options = ["--policy", "bba,robustmpc", "--video", str(video), "--sessions", "2"]
    assert bench.main([*options, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [each["policy"] for each in answer["policies"]] == ["bba", "robustmpc"]
    for each in answer["policies"]:
        assert each["decisions"] == 2 * 11  # the first chunk's level is fixed
        assert 0 < each["median_ms"] <= each["p99_ms"] <= each["max_ms"]
    assert bench.main(options) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert bench.main(["--policy", "bbba", "--video", str(video)]) == 2
    assert "unknown name 'bbba'" in capsys.readouterr().err

"""A sweep whose file gives no mu tells each video's policies the top of its ladder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis.__main__ import main as analysis
from player.record import read_record
from testbed import sweep
from testbed.sweeps.state import STATE
from traces.safe_reading import read_json

SWEEP = """\
name = "two ladders"
policies = ["bba", "rate"]
baseline = "bba"

[[setting]]
label = "small"
seen = true
traces = "4g[0:3]"
chunks = 6

[[setting]]
label = "large"
seen = false
traces = "lte[0:3]"
chunks = 6
"""
SEVERAL = "linear, mu the top of each ladder (4.3 envivio; 40 uhd), smooth 1"


def run(place: Path, text: str) -> int:
    (place / "s.toml").write_text(text)
    words = (str(place / "s.toml"), "--simulate", "--jobs", "1", "--out", str(place / "out"))
    return sweep.main([*words])


def told(place: Path) -> dict[str, set[float]]:
    found: dict[str, set[float]] = {}
    for path in (place / "out").glob("*.jsonl"):
        manifest = read_record(path).manifest
        found.setdefault(manifest["video"]["name"], set()).add(manifest["told_qoe"]["mu"])
    return found


def reported(place: Path, *words: str) -> tuple[dict[str, Any], str]:
    """The report's facts and its page."""
    assert analysis(["report", str(place / "out"), *words]) == 0
    folder = place / "out" / "report"
    return json.loads((folder / "report.json").read_text()), (folder / "index.html").read_text()


def test_each_ladder_has_its_own_in_records_state_table_and_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, SWEEP) == 0
    assert f"QoE per chunk: {SEVERAL}; first chunk not counted" in capsys.readouterr().out
    assert told(tmp_path) == {"envivio": {4.3}, "uhd": {40.0}}
    qoe = read_json(tmp_path / "out" / STATE)["qoe"]
    assert qoe["mu"] is None and {name: one["mu"] for name, one in qoe["by_video"].items()} == {
        "envivio": 4.3,
        "uhd": 40.0,
    }
    facts, page = reported(tmp_path)
    assert facts["qoe"] == qoe
    for words in (
        SEVERAL,
        "q(R) − mu × stall in seconds",
        "the q of each ladder&#39;s top level",
        "Videos of several ladders are in it, each scored by its own weights",
    ):
        assert words in page, words
    assert "--qoe linear --smooth 1" in page, "what repeats it forces no mu"
    assert "told another QoE" not in page
    facts, page = reported(tmp_path, "--mu", "4.3")
    assert facts["qoe"] == {"kind": "linear", "mu": 4.3, "smooth": 1.0}
    assert "told another QoE (linear, mu 40, smooth 1)" in page and "several ladders" not in page


def test_a_number_in_the_file_holds_for_all(tmp_path: Path) -> None:
    text = SWEEP.replace('baseline = "bba"', 'baseline = "bba"\n[qoe]\nmu = 7\n')
    assert run(tmp_path, text) == 0
    assert told(tmp_path) == {"envivio": {7.0}, "uhd": {7.0}}
    qoe = {"kind": "linear", "mu": 7.0, "smooth": 1.0}
    assert read_json(tmp_path / "out" / STATE)["qoe"] == qoe and reported(tmp_path)[0]["qoe"] == qoe


def test_a_sweep_from_before_says_how_to_go_on_and_is_scored_by_what_its_file_asks_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Then 4.3 was told of all ladders where a file gave no mu."""
    forced = SWEEP.replace('baseline = "bba"', 'baseline = "bba"\n[qoe]\nmu = 4.3\n')
    assert run(tmp_path, forced) == 0
    capsys.readouterr()
    assert run(tmp_path, SWEEP) == 2
    said = capsys.readouterr().err
    assert "6 of the 12 sessions recorded there no longer match" in said
    assert "qoe.mu was 4.3, is 40.0 (uhd)" in said and "(envivio)" not in said
    assert "write mu = 4.3 under [qoe] to go on with it, or name another --out" in said
    state = json.loads((tmp_path / "out" / STATE).read_text())
    state["file"]["text"] = SWEEP
    (tmp_path / "out" / STATE).write_text(json.dumps(state))
    facts, page = reported(tmp_path)
    assert facts["qoe"]["by_video"]["uhd"]["mu"] == 40.0
    assert "some sessions were told another QoE (linear, mu 4.3, smooth 1)" in page


def test_one_ladder_goes_on_from_before(tmp_path: Path) -> None:
    """Its own mu is what all were told then."""
    text = SWEEP[: SWEEP.rindex("[[setting]]")]
    assert run(tmp_path, text.replace('baseline = "bba"', 'baseline = "bba"\n[qoe]\nmu = 4.3\n')) == 0
    assert run(tmp_path, text) == 0
    assert read_json(tmp_path / "out" / STATE)["qoe"] == {"kind": "linear", "mu": 4.3, "smooth": 1.0}


def test_a_ladder_that_a_kind_has_no_weight_for_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, SWEEP.replace('baseline = "bba"', 'baseline = "bba"\n[qoe]\nkind = "hd"\n')) == 2
    assert "QoE hd has no value for 1000 kbit/s" in capsys.readouterr().err

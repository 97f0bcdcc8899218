"""Without a mu, each ladder is scored by its own top: told, recorded and shown so by every command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis.__main__ import main as analysis
from player.qoe import QoE
from player.record import read_record
from policies.reference import main as reference
from testbed import simulate as command

SEVERAL = "linear, mu the top of each ladder (4.3 envivio; 40 uhd), smooth 1"
BY_VIDEO = {
    "envivio": {"kind": "linear", "mu": 4.3, "smooth": 1.0},
    "uhd": {"kind": "linear", "mu": 40.0, "smooth": 1.0},
}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sessions of both built-in ladders: `lte` has `uhd`."""
    out = tmp_path_factory.mktemp("mixed")
    words = ("--traces", "4g[0:3]", "lte[0:3]", "--policy", "bba,robustmpc", "--chunks", "8", "--jobs", "1")
    assert command.main([*words, "--out", str(out)]) == 0
    return out


def test_a_policy_is_told_the_top_of_its_ladder_and_the_record_says_so(mixed: Path) -> None:
    told = {}
    for path in mixed.glob("*.jsonl"):
        record = read_record(path)
        told.setdefault(record.manifest["video"]["name"], set()).add(record.manifest["told_qoe"]["mu"])
    assert told == {"envivio": {4.3}, "uhd": {40.0}}


@pytest.mark.parametrize(
    ("words", "mu", "shown"),
    [
        (("4g/0",), 4.3, "QoE: linear, mu 4.3 (the ladder's top), smooth 1; first"),
        (("lte/0",), 40.0, "QoE: linear, mu 40 (the ladder's top), smooth 1; first"),
        (("lte/0", "--mu", "4.3"), 4.3, "QoE: linear, mu 4.3, smooth 1; first"),
        (("lte/0", "--qoe", "log"), 3.69, "QoE: log, mu 3.69 (the ladder's top), smooth 1; first"),
        (("4g/0", "--qoe", "log"), 2.66, "QoE: log, mu 2.66 (the ladder's top), smooth 1; first"),
        (("4g/0", "--qoe", "hd"), 8.0, "QoE: hd, mu 8, smooth 1; first"),
        (("4g/0", "lte/0"), None, f"QoE: {SEVERAL}; first"),
        (("4g/0", "lte/0", "--mu", "4.3"), 4.3, "QoE: linear, mu 4.3, smooth 1; first"),
    ],
)
def test_simulate_scores_by_the_ladder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], mu: float | None, shown: str
) -> None:
    base = ("--traces", *words, "--policy", "bba", "--chunks", "8", "--jobs", "1")
    assert command.main([*base, "--out", str(tmp_path / "a")]) == 0
    said = capsys.readouterr()
    assert shown in said.out
    assert ("mean is over videos of several ladders" in said.err) == (mu is None)
    assert command.main([*base, "--out", str(tmp_path / "b"), "--json"]) == 0
    qoe = json.loads(capsys.readouterr().out)["qoe"]
    assert qoe["mu"] == mu and qoe.get("by_video") == (BY_VIDEO if mu is None else None)


def test_records_from_before_say_how_to_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--traces", "lte/0", "--policy", "bba", "--chunks", "8", "--jobs", "1", "--out", str(tmp_path)]
    assert command.main([*words, "--mu", "4.3"]) == 0  # as told when 4.3 was every ladder's
    capsys.readouterr()
    assert command.main(words) == 2
    line = capsys.readouterr().err
    assert "told_qoe.mu is 4.3, asked for 40.0; add --mu 4.3 to go on with it, or name another --out" in line
    assert command.main([*words, "--mu", "4.3"]) == 0


def analysed(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    capsys.readouterr()
    assert analysis([str(word) for word in words]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "head"),
    [
        (("table",), f"QoE per chunk: {SEVERAL}; first"),
        (("compare", "--by", "video"), f"QoE per chunk: {SEVERAL}; first"),
        (("power",), f"QoE per chunk: {SEVERAL}. Independent"),
        (("table", "--mu", "4.3"), "QoE per chunk: linear, mu 4.3, smooth 1; first"),
    ],
)
def test_a_table_of_several_ladders_scores_each_by_its_own(
    mixed: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], head: str
) -> None:
    assert head in analysed(capsys, words[0], mixed, *words[1:])


@pytest.mark.parametrize("words", [("table",), ("compare",), ("power",)])
def test_json_has_the_weights_of_each_video(
    mixed: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    qoe = json.loads(analysed(capsys, words[0], mixed, *words[1:], "--json"))["qoe"]
    assert qoe == {"kind": "linear", "mu": None, "smooth": 1.0, "by_video": BY_VIDEO}


def test_figures_say_it_too(mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("plot", mixed, "--what", "bars", "--by", "video", "--out", tmp_path / "a.pdf")
    assert json.loads(analysed(capsys, *words, "--json"))["qoe"]["by_video"] == BY_VIDEO
    lines = ("plot", *mixed.glob("lte-0_*bba.jsonl"), "--what", "timeline", "--out", tmp_path / "b.pdf")
    (session,) = json.loads(analysed(capsys, *lines, "--json"))["sessions"]
    assert session["qoe_weights"]["mu"] == 40.0


@pytest.mark.parametrize(
    ("words", "pooled"),
    [
        (("compare",), True),
        (("power",), True),
        (("compare", "--by", "video"), False),
        (("compare", "--mu", "4.3"), False),
        (("table", "--by", "rtt"), True),
        (("table", "--by", "family"), False),
    ],
)
def test_what_is_pooled_over_several_weights_is_said(
    mixed: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], pooled: bool
) -> None:
    said = analysed(capsys, words[0], mixed, *words[1:])
    assert ("note: means and differences are over videos of several ladders" in said) == pooled


def test_the_scores_are_those_of_the_weights(mixed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report: dict[str, Any] = json.loads(analysed(capsys, "table", mixed, "--by", "video", "--json"))
    for group in report["groups"]:
        mu = BY_VIDEO[group["group"]]["mu"]
        for one in group["policies"]:
            records = [
                record
                for path in mixed.glob(f"*_{one['policy']}.jsonl")
                if (record := read_record(path)).manifest["video"]["name"] == group["group"]
            ]
            values = [
                QoE("linear", mu).per_chunk(
                    [row.level for row in record.chunks],
                    [row.stall_s for row in record.chunks],
                    record.ladder_kbps,
                )
                for record in records
            ]
            assert one["qoe"] == pytest.approx(sum(map(sum, values)) / sum(map(len, values)))


def test_the_published_test_by_the_ladder(capsys: pytest.CaptureFixture[str]) -> None:
    for video, words in (("envivio", "mu 4.3 (the ladder's top)"), ("uhd", "mu 40 (the ladder's top)")):
        base = ["--traces", "lte[0:2]", "--video", video, "--chunks", "6", "--policy", "bba"]
        assert reference(base) == 0
        assert f"QoE linear, {words}, smooth 1; {video}" in capsys.readouterr().out
        assert reference([*base, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["qoe"] == BY_VIDEO[video]

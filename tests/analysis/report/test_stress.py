"""A report's section on stress: there where a sweep asks for it, with the numbers of its records."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from analysis.__main__ import main
from tests.support.report_sweeps import small_sweep, sweep_section
from tests.support.session_records import change_manifest, write_session

LOSS, DARK, CALM = "loss 5 %", "dark", "calm"
STALLS_S = {"genet": 1.0, "apc": 1.2, "bba": 3.0}
"""Of each session over loss, in its second chunk; `apc` stalls longer over one trace."""


def session(folder: Path, setting: str, policy: str, trace: str, **facts: Any) -> Path:
    """A record of three chunks under a setting that is stress unless it is the calm one."""
    name = f"{setting.split()[0]}-{policy}-{trace}-{facts.get('seed', 0)}.jsonl"
    section = sweep_section(setting, False, policy) | {"stress": setting != CALM}
    if setting == CALM:
        del section["stress"]  # as records were before the word
    return write_session(folder / name, policy, trace, simulated=False, sweep=section, **facts)


@pytest.fixture(scope="module")
def stressed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Over loss four traces, over a dark link one, which breaks `apc`; and one that is no stress."""
    folder = tmp_path_factory.mktemp("stress")
    for policy, stall_s in STALLS_S.items():
        by = ("policy", "llm", "light") if policy == "apc" else ("player", "policy", "policy")
        for index in range(4):
            late = 0.4 if (policy, index) == ("apc", 3) else 0.0  # 1.6 s: more than 1.0 and 3 x 0.1
            session(
                folder,
                LOSS,
                policy,
                f"t{index}",
                by=by,
                stalls_s=(0.0, stall_s + late, 0.0),
                decisions_s=(0.001, 0.09 + late, 0.002),
            )
        session(folder, CALM, policy, "c0")
    session(folder, LOSS, "bba", "t4", valid=False, link_check={"reasons": ["late"]})
    session(folder, LOSS, "bba", "t5", levels=(0,), outcome="no route", last_stall_s=60.0)
    session(folder, DARK, "genet", "d0", stalls_s=(0.0, 5.0, 0.0))
    session(folder, DARK, "apc", "d0", levels=(0, 0), outcome="no route", last_stall_s=2.0)
    return folder


def reported(folder: Path, *words: str) -> tuple[str, dict[tuple[str, str], dict[str, str]]]:
    """The page, and the lines of the table by setting and policy."""
    out = folder / "report"
    assert main(["report", str(folder), "--jobs", "1", "--baseline", "genet", *words]) == 0
    with (out / "tables" / "stress.csv").open(newline="") as file:
        lines = {(line["setting"].partition(" (")[0], line["policy"]): line for line in csv.DictReader(file)}
    assert (out / "tables" / "stress.tex").read_text().count(r"\\") > len(lines)
    return (out / "index.html").read_text(), lines


@pytest.fixture(scope="module")
def made(stressed: Path) -> tuple[str, dict[tuple[str, str], dict[str, str]]]:
    return reported(stressed)


def test_the_section_is_about_stress_alone(stressed: Path, made: tuple[str, dict[Any, Any]]) -> None:
    page, lines = made
    assert "Under stress" in page and 'id="table-stress"' in page
    assert set(lines) == {(LOSS, "genet"), (LOSS, "apc"), (LOSS, "bba"), (DARK, "genet"), (DARK, "apc")}
    told = json.loads((stressed / "report" / "report.json").read_text())["settings"]
    assert {one["setting"]: one["stress"] for one in told} == {LOSS: True, DARK: True, CALM: False}


def test_how_sessions_ended_and_stalled(made: tuple[str, dict[tuple[str, str], dict[str, str]]]) -> None:
    _, lines = made

    def ends(setting: str, policy: str) -> list[int]:
        return [
            int(lines[setting, policy][name]) for name in ("sessions", "finished", "cut_short", "invalid")
        ]

    assert ends(LOSS, "bba") == [6, 4, 1, 1] and ends(LOSS, "apc") == [4, 4, 0, 0]
    assert ends(DARK, "apc") == [1, 0, 1, 0]
    apc = lines[LOSS, "apc"]
    assert float(apc["stall_s"]) == pytest.approx((3 * 1.2 + 1.6) / 4) and apc["cases"] == "4"
    assert float(apc["stall_difference_s"]) == pytest.approx(0.3) and apc["pairs"] == "4"
    low, high = (float(apc[f"stall_difference_s_{end}"]) for end in ("low", "high"))
    assert 0.2 - 1e-9 <= low < 0.3 < high <= 0.6 + 1e-9
    assert float(lines[LOSS, "bba"]["stall_difference_s"]) == pytest.approx(2.0)
    assert lines[LOSS, "genet"]["stall_difference_s"] == ""
    dark = lines[DARK, "apc"]
    assert float(dark["stall_difference_s"]) == pytest.approx(-3.0) and dark["stall_difference_s_low"] == ""


def test_who_decided_and_how_late(made: tuple[str, dict[tuple[str, str], dict[str, str]]]) -> None:
    _, lines = made
    apc, genet = lines[LOSS, "apc"], lines[LOSS, "genet"]
    assert [float(apc[f"share_{by}"]) for by in ("llm", "light", "policy", "fallback")] == pytest.approx(
        [1 / 3, 1 / 3, 1 / 3, 0]
    )
    assert float(genet["share_policy"]) == 1.0 and "share_player" not in genet  # a fixed level is no decision
    assert float(apc["decision_max_ms"]) == pytest.approx(490.0)
    assert float(genet["decision_max_ms"]) == pytest.approx(90.0)
    assert lines[DARK, "genet"]["decision_max_ms"] == ""  # no clock ran


def test_the_budget_held_or_not(made: tuple[str, dict[Any, Any]], stressed: Path) -> None:
    page, _ = made
    assert (
        "apc finished with at most genet&#39;s stall and one budget (100 ms) a decision in 3 of 5 paired"
        f" sessions (not in all: {DARK}: 0 of 1; {LOSS}: 3 of 4)."
    ) in page
    other, _ = reported(stressed, "--policy", "genet", "--policy", "bba")
    assert "one budget" not in other and "Under stress" in other


def test_the_budget_is_the_one_asked_for(tmp_path: Path) -> None:
    policy = {"spec": "apc:budget_ms=300", "name": "apc", "parameters": {"budget_ms": 300.0}}
    for index in range(2):
        session(tmp_path, LOSS, "genet", f"t{index}", stalls_s=(0.0, 1.0, 0.0))
        record = session(tmp_path, LOSS, "apc", f"t{index}", stalls_s=(0.0, 1.9 + index, 0.0))
        change_manifest(record, policy=policy)
    page, _ = reported(tmp_path)
    assert "one budget (300 ms) a decision in 1 of 2 paired sessions" in page


def test_without_the_word_there_is_no_section(tmp_path: Path) -> None:
    folder = small_sweep(tmp_path / "results")
    assert main(["report", str(folder), "--jobs", "1"]) == 1  # one of its records is cut off
    assert "Under stress" not in (folder / "report" / "index.html").read_text()
    assert not (folder / "report" / "tables" / "stress.csv").exists()

"""The load generator and the scale ablation, on a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from policies.apc.load.command import served
from policies.apc.load.players import Observed, Workload
from policies.apc.load.report import full_load, qoe_gap, row_of
from policies.llm import __main__ as command
from policies.llm.model.tiny import tiny_adapter
from policies.llm.tasks.ladder.task import TASK
from tests.support.llm_server_fakes import TRACES, VIDEO


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    made = tmp_path_factory.mktemp("tiny")
    return [tiny_adapter(TASK, made / str(layers), layers=layers) for layers in (1, 2)]


def test_players_arrive_and_are_decided_for_in_three_ways(
    adapters: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "load",
        "--adapter",
        str(adapters[1]),
        "--sessions",
        "2,6",
        "--duration-s",
        "2.5",
        "--ramp-s",
        "0.5",
    ]
    words += [
        "--traces",
        "4g[400:403]",
        "--threads",
        "1",
        "--budget-ms",
        "400",
        "--out",
        str(tmp_path),
        "--json",
    ]
    assert command.main(words) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((tmp_path / "load.json").read_text())
    assert (tmp_path / "load.png").stat().st_size > 10_000
    rows = {(row["way"], row["sessions"]): row for row in report["rows"]}
    assert set(rows) == {(way, sessions) for way in ("llm", "apc", "light") for sessions in (2, 6)}
    for (way, _), row in rows.items():
        assert row["decisions"] == sum(row["by"].values()) > 0
        assert row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"] <= row["max_ms"]
        assert (row["llm_share"] == 0.0) == (way == "light") or way == "apc"
    assert rows["llm", 6]["llm_share"] > 0.9 and rows["light", 6]["asked"] == 0
    assert rows["light", 6]["decisions"] > rows["light", 2]["decisions"]


def test_loads_are_counts_or_a_range() -> None:
    parsed = command.parser(TASK, ["load"]).parse_args
    assert parsed(["load", "--sessions", "2,6"]).sessions == [2, 6]
    assert parsed(["load", "--sessions", "1..100"]).sessions == [1, 4, 16, 64, 100]
    assert parsed(["load"]).sessions == parsed(["load", "--sessions", "1..1024"]).sessions


def test_full_load_and_misses_are_counted() -> None:
    workload = Workload(3, TRACES, VIDEO, 12, 1.0, 0.5, 10.5, 0)
    observed = Observed(
        [10.0, 50.0, 101.0, 400.0], {"llm": 3, "light": 1}, [0.1] * 3 + [80.0], 4, {}, [[1.0], [], [3.0, 1.0]]
    )
    row = row_of(observed, workload, "llm", 8, False, 100.0)
    assert (row["missed"], row["missed_share"], row["llm_share"], row["qoe"]) == (2, 0.5, 0.75, 1.5)
    assert row["generator_late"] and row["per_s"] == 0.4
    assert row_of(observed, workload, "llm", 8, True, 100.0)["qoe"] is None
    rows = [
        {"way": "llm", "layers": 8, "sessions": n, "mean_ms": ms} for n, ms in ((4, 20), (16, 344), (64, 900))
    ]
    assert full_load(rows, 8) == 64 and full_load(rows[:2], 8) is None


def test_the_same_sessions_are_compared_by_the_chunks_of_both() -> None:
    names = ["a", "a", "b", "c"]
    mine = Observed(chunk_qoe=[[2.0, 4.0], [1.0], [5.0, 9.0], []], traces=names)
    other = Observed(chunk_qoe=[[1.0], [1.0, 9.0], [4.0, 4.0], [7.0]], traces=names)
    gap = qoe_gap(mine, other)
    assert gap is not None and (gap["pairs"], gap["traces"]) == (3, 2)
    assert gap["mean"] == pytest.approx((1.0 + 0.0 + 3.0) / 3)
    assert 0.5 <= gap["low"] < gap["mean"] < gap["high"] <= 3.0
    assert qoe_gap(mine, Observed(chunk_qoe=[[]] * 4, traces=names)) is None


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("--sessions", "0"), "1 or more"),
        (("--sessions", "64..4"), "FEWEST..MOST"),
        (("--ways", "magic"), "llm, apc, light"),
        (("--ramp-s", "5", "--duration-s", "4"), "ramp < duration"),
        (("--scheduler", "best"), "rule, learned"),
    ],
)
def test_bad_input_is_one_line(
    words: tuple[str, ...], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = command.main(["load", *words])
    except SystemExit as ended:
        status = ended.code  # type: ignore[assignment]
    err = capsys.readouterr().err
    assert status == 2 and err.count("\n") == 1 and fault in err


def test_scale_sets_sizes_side_by_side(
    adapters: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["scale", "--adapters", *map(str, adapters), "--seen", "fcc[0:2]", "--unseen", "4g[400:402]"]
    assert command.main([*words, "--threads", "1", "--plot", str(tmp_path / "s.png"), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["layers"] for row in rows] == [1, 2] and rows[0]["parameters"] < rows[1]["parameters"]
    assert all(row["seen"]["gain_ci95"][0] <= row["seen"]["gain"] for row in rows)
    assert (tmp_path / "s.png").stat().st_size > 5_000


def test_a_server_that_is_never_ready_is_not_waited_for(adapters: list[Path], tmp_path: Path) -> None:
    asked = served(tmp_path / "s.sock", adapters[0], 1, 1, "cpu", None, within_s=0.01)
    with pytest.raises(ValueError, match=r"not ready within 0\.01 s"), asked:
        pass

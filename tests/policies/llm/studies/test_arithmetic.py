"""Two number formats of one model, in turns through two servers and over the same simulated sessions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from policies.llm.__main__ import parser
from policies.llm.engine.engine import Engine
from policies.llm.model.tiny import tiny_adapter
from policies.llm.studies import arithmetic
from policies.llm.studies.through_server import BenchError
from policies.llm.tasks.ladder.sets import SessionSet
from policies.llm.tasks.ladder.task import TASK


def measured(adapter: str, words: str) -> dict[str, Any]:
    typed = ["arithmetic", "--adapter", adapter, *words.split()]
    return arithmetic.run(parser(TASK, ["arithmetic"]).parse_args(typed))


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_adapter(TASK, tmp_path_factory.mktemp("tiny")))


def test_one_format_beside_itself_differs_in_nothing(
    adapter: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "--dtype float32 --beside float32 --rounds 0 --traces 4g[0:3] 3g[0:2]"
    report = measured(adapter, words)
    assert report["times"] == [] and [row["sessions"] for row in report["quality"]] == [3, 2]
    for row in report["quality"]:
        assert row["decisions"] == 47 * row["sessions"]
        assert row["otherwise"] == row["difference"] == row["sessions_changed"] == 0
    assert "0.00% of 141 decisions otherwise" in capsys.readouterr().out


def test_another_format_decides_nearly_the_same(adapter: str) -> None:
    words = "--dtype bfloat16 --beside float32 --rounds 0 --traces 4g[0:8]"
    (row,) = measured(adapter, words)["quality"]
    assert 0 <= row["otherwise"] < 0.2 and row["decisions"] == 47 * 8
    assert row["difference"] == pytest.approx(row["first_qoe"] - row["second_qoe"], abs=1e-9)


def test_decisions_of_another_model_are_seen(adapter: str, tmp_path: Path) -> None:
    first, second = (
        Engine(TASK, folder, device="cpu", slots=6, max_steps=48, dtype="float32")
        for folder in (Path(adapter), tiny_adapter(TASK, tmp_path, seed=1))
    )
    otherwise, decisions = arithmetic.decided_otherwise(first, second, SessionSet.on("4g[0:3]", "envivio"))
    assert 0 < otherwise < decisions == 47 * 3
    assert first.book.free == second.book.free == 6


def test_both_servers_are_asked_and_beside_each_other(
    adapter: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "--dtype bfloat16 --beside float32 --rounds 2 --sessions 1,3 --avx2 --traces"
    report = measured(adapter, words)
    assert [row["sessions"] for row in report["times"]] == [1, 3] and report["quality"] == []
    for row in report["times"]:
        assert 0 < row["first_ms"] <= row["first_p99_ms"] and 0 < row["second_ms"] <= row["second_p99_ms"]
        assert 0 < row["ratio"] <= row["worst_ratio"]
    assert "bfloat16 and float32 in turns" in capsys.readouterr().out


def test_a_format_that_can_not_be_is_said_by_the_server(adapter: str) -> None:
    with pytest.raises(BenchError, match="dtype int8: it takes a CPU with"):
        measured(adapter, "--rounds 1 --sessions 1")

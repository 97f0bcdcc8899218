"""What is measured of an adapter is measured of either task's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from policies.llm.__main__ import main
from policies.llm.model.adapter import AdapterError
from policies.llm.model.tiny import tiny_adapter, tiny_base
from policies.llm.studies.bitrates import bitrate_task
from policies.llm.task import Task, register, task_named
from policies.llm.tasks.abr.task import TASK as ABR
from policies.llm.tasks.ladder.task import TASK as LADDER


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {task.name: tiny_adapter(task, tmp_path_factory.mktemp(task.name)) for task in (ABR, LADDER)}


class Toss(Task):
    """No choice of bitrates. It is refused before it sees anything, so both must never be called."""

    name, modalities, head = "toss", ABR.modalities, ABR.head

    def features(self, *of_a_step: object) -> None:  # type: ignore[override]
        pytest.fail("a task that is refused is asked nothing")

    def load_step(self, *given: object) -> None:
        pytest.fail("a task that is refused is asked nothing")


def test_an_adapter_says_its_task(adapters: dict[str, Path]) -> None:
    assert bitrate_task("abr") is ABR and bitrate_task("ladder") is LADDER
    assert bitrate_task("abr", adapters["ladder"]) is LADDER and bitrate_task("abr", adapters["abr"]) is ABR
    register(Toss())
    assert task_named("toss").name == "toss"
    with pytest.raises(AdapterError, match="toss: made for toss, which is no choice of bitrates"):
        bitrate_task("toss")


def test_adapters_of_both_tasks_are_scaled_in_one_table(
    adapters: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [str(each) for each in adapters.values()]
    for task in adapters:
        words = ["scale", "--task", task, "--adapters", *folders, "--threads", "1", "--json"]
        assert main([*words, "--seen", "4g[0:2]", "--unseen", "3g/0"]) == 0
        rows = json.loads(capsys.readouterr().out)["rows"]
        assert {row["adapter"] for row in rows} == set(folders)
        assert all(row[name]["gain"] == row[name]["gain"] for row in rows for name in ("seen", "unseen"))


@pytest.mark.parametrize("task", ["abr", "ladder"])
def test_a_step_of_adaptation_costs(task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["cost", "--task", task, "--base", str(tiny_base(tmp_path / "base")), "--layers", "2"]
    assert main([*words, "--rank", "2", "--steps", "1", "--batch", "2", "--train", "lora", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["train"] == "lora" and 0 < said["share"] < 1 and said["step_s"] > 0


def test_two_formats_of_a_ladders_adapter(
    adapters: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["arithmetic", "--task", "ladder", "--adapter", str(adapters["ladder"]), "--dtype", "bfloat16"]
    assert main([*words, "--rounds", "1", "--sessions", "2", "--traces", "4g[0:4]", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["times"][0]["sessions"] == 2 and said["quality"][0]["decisions"] == 4 * 47


def test_bench_measures_a_ladders_adapter(
    adapters: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "--adapter", str(adapters["ladder"]), "--dtype", "float32", "--threads", "1"]
    assert main([*words, "--sessions", "1,3", "--runs", "1", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["served"]["task"] == "ladder" and [row["sessions"] for row in said["server"]] == [1, 3]

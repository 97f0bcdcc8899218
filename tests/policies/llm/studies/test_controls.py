"""`controls` of either task: which there are, and that an engine is scored as it plays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from player.qoe import QoE
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from policies.llm.engine.engine import Engine
from policies.llm.model.tiny import tiny_adapter
from policies.llm.studies.bitrates import engine_qoe
from policies.llm.studies.control_list import CONTROLS, controls_of
from policies.llm.studies.evaluate import EvaluatedSetting
from policies.llm.task import Task, task_named
from policies.llm.tasks.abr.policy import NetLLM
from tests.support.llm_server_fakes import TRACES, VIDEO


@pytest.mark.parametrize("name", ["abr", "ladder"])
def test_controls_of_a_task_have_its_prompt_and_its_objectives(name: str) -> None:
    task = task_named(name)
    found = {control.name: control for control in controls_of(task)}
    assert ("return" in found) == (name == "abr") and len(found) >= len(CONTROLS) - 1
    assert found["task-prompt"].shaped(task) == {"prompt": task.prompt}
    assert found["six-tokens"].shaped(task) == {"tokens": 6}


@pytest.mark.parametrize("name", ["abr", "ladder"])
def test_an_engine_of_either_task_is_scored_as_it_plays(name: str, tmp_path: Path) -> None:
    task: Task = task_named(name)
    adapter = tiny_adapter(task, tmp_path)
    engine = Engine(task, adapter, device="cpu", slots=len(TRACES), max_steps=48, threads=1, dtype="float32")
    setting = EvaluatedSetting.of("three", TRACES, VIDEO, 1)
    scored = engine_qoe(engine, setting)
    for trace, value in zip(TRACES, scored, strict=True):
        policy = NetLLM(server="none", adapter=str(adapter), dtype="float32")
        rows, _ = simulate(VIDEO, trace, policy, seed=0, qoe=QoE(), link=PublishedLink(), chunks=48)
        levels, stalls_s = [row.level for row in rows], [row.stall_s for row in rows]
        assert value == pytest.approx(np.mean(QoE().per_chunk(levels, stalls_s, VIDEO.ladder_kbps)))

"""`controls`: which there are, and that an engine is scored as it plays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from player.qoe import QoE
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from policies.llm.engine.engine import Engine
from policies.llm.model.tiny import tiny_adapter
from policies.llm.studies.control_list import CONTROLS, controls_of
from policies.llm.tasks.ladder.policy import NetLLM
from policies.llm.tasks.ladder.sets import SessionSet, engine_qoe
from policies.llm.tasks.ladder.task import TASK
from tests.support.llm_server_fakes import TRACES, VIDEO


def test_controls_have_the_tasks_prompt_and_a_token_for_each_modality() -> None:
    found = {control.name: control for control in controls_of(TASK)}
    assert len(found) == len(CONTROLS)
    assert found["task-prompt"].shaped(TASK) == {"prompt": TASK.prompt}
    assert found["modality-tokens"].shaped(TASK) == {"tokens": 5}


def test_an_engine_is_scored_as_it_plays(tmp_path: Path) -> None:
    adapter = tiny_adapter(TASK, tmp_path)
    engine = Engine(TASK, adapter, device="cpu", slots=len(TRACES), max_steps=48, threads=1, dtype="float32")
    setting = SessionSet.of("three", TRACES, VIDEO)
    scored = engine_qoe(engine, setting)
    for trace, value in zip(TRACES, scored, strict=True):
        policy = NetLLM(server="none", adapter=str(adapter), dtype="float32")
        rows, _ = simulate(VIDEO, trace, policy, seed=0, qoe=QoE(), link=PublishedLink(), chunks=48)
        levels, stalls_s = [row.level for row in rows], [row.stall_s for row in rows]
        assert value == pytest.approx(np.mean(QoE().per_chunk(levels, stalls_s, VIDEO.ladder_kbps)))

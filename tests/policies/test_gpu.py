"""`gpu`: all but the CUDA calls, on the CPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from policies.gpu import command
from policies.gpu.decisions import answered, compared
from policies.gpu.shapes import HALF_BILLION, shapes
from policies.gpu.table import markdown
from policies.llm.__main__ import main
from policies.llm.engine.engine import Engine
from policies.llm.engine.graphs import GraphedStep
from policies.llm.engine.packed import PackedModel
from policies.llm.head import ABSENT
from policies.llm.model.tiny import tiny_adapter
from policies.llm.tasks.ladder.task import TASK


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_adapter(TASK, tmp_path_factory.mktemp("tiny"), layers=2)


def engine_of(adapter: Path, dtype: str = "float32", slots: int = 5) -> Engine:
    return Engine(TASK, adapter, device="cpu", slots=slots, threads=1, max_steps=16, dtype=dtype)


def test_without_cuda_it_says_what_is_missing_and_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for version, missing in ((None, "built without CUDA"), ("12.8", "sees no GPU")):
        monkeypatch.setattr(torch.version, "cuda", version)
        assert main(["gpu", "--out", str(tmp_path / "out")]) == 1
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and missing in err and "--device cpu" in err
    assert not (tmp_path / "out").exists()


def test_a_graphed_step_is_the_engines_step(adapter: Path) -> None:
    """Whatever each slot holds, and in whichever slots they are; and again and again."""
    model = engine_of(adapter).runner
    assert isinstance(model, PackedModel)
    random = torch.Generator().manual_seed(0)
    other = engine_of(adapter).runner
    assert isinstance(other, PackedModel)
    begun = [torch.randn(length, model.width, generator=random) for length in (3, 1, 7)]
    slots, held = [4, 0, 2], [3, 1, 7]
    with torch.inference_mode():
        for each in (model, other):
            each.forward(slots, [0, 0, 0], begun)
        graph = GraphedStep(other, 3)
        # what a recording tries out stands in slots 0 to 2 at their first places: begun anew
        other.forward(slots, [0, 0, 0], begun)
        for step in range(4):
            tokens = torch.randn(3, model.width, generator=random)
            now = [each + step for each in held]
            expected = model.forward(slots, now, tokens.split(1))
            assert torch.allclose(graph.forward(slots, now, tokens), expected, atol=1e-5)


def test_decisions_that_differ_are_counted_and_the_close_ones_told_apart(adapter: Path) -> None:
    random = np.random.default_rng(0)
    sessions = [random.standard_normal((6, TASK.width)).astype(np.float32) for _ in range(5)]
    engine = engine_of(adapter)
    here = answered(engine, sessions)
    assert here.shape == (5, 6, engine.info.outputs)
    assert compared(TASK, sessions, here, answered(engine, sessions), engine).differ == 0
    there = here.copy()
    best = TASK.answer(here[2, 3], sessions[2][3])
    allowed = [level for level in np.flatnonzero(here[2, 3] > ABSENT / 2) if level != best.value]
    there[2, 3, allowed] += 100.0
    found = compared(TASK, sessions, here, there, engine)
    assert (found.decisions, found.furthest) == (30, pytest.approx(100.0, rel=1e-5))
    assert found.differ <= 1 and found.close <= found.differ
    if best.margin is not None:
        assert found.differ == 1 and found.widest == pytest.approx(best.margin)


def test_the_large_shape_is_half_a_billion() -> None:
    width, inner = HALF_BILLION["hidden_size"], HALF_BILLION["intermediate_size"]
    assert isinstance(width, int) and isinstance(inner, int)
    kept = 2 * width * width + 2 * width * 2 * 64 + 3 * width * inner
    words = 151_936 * width  # of its vocabulary, which is never asked for
    assert 0.48e9 < 24 * kept + words < 0.52e9


def test_a_small_run_on_the_cpu_writes_the_table(
    adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def other(words: list[str]) -> dict[str, Any]:
        asked.append(words)
        kind = {"layers": 2, "learned": 1e6, "step_s": 0.5, "peak_mib": 300.0}
        load = {"way": "llm", "sessions": 2, "mean_ms": 1.0, "p99_ms": 2.0, "llm_share": 1.0}
        return {
            "rows": [load | {"missed_share": 0.0, "qoe": None}],
            "kinds": [kind | {"train": "lora"}, kind | {"train": "full"}],
        }

    monkeypatch.setattr(command, "asked_of", other)
    large = tmp_path / "config.json"
    tiny = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 2}
    large.write_text(json.dumps(HALF_BILLION | tiny))
    base = str(adapter.parent / "base")
    words = ["gpu", "--device", "cpu", "--adapter", str(adapter), "--base", base, "--shapes", "1,0.5b"]
    words += ["--large", str(large), "--sessions", "1,3", "--repeats", "2", "--decision-sessions", "2"]
    assert main([*words, "--out", str(tmp_path / "out"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [row["sessions"] for row in report["steps"]] == [1, 3, 1, 3]
    assert all(row["engine_ms"] > 0 and row["graph_ms"] is None for row in report["steps"])
    assert [row["decisions"] for row in report["decisions"]] == [96, 96] and not report["decisions"][0][
        "differ"
    ]
    table = (tmp_path / "out" / "gpu.md").read_text()
    assert "| 0.5b (2 layers, float32) | 3 |" in table and "| lora, 2 layers |" in table
    assert json.loads((tmp_path / "out" / "gpu.json").read_text()) == report
    assert [each[0] for each in asked] == ["load", "cost"] and str(adapter) in asked[0]


def test_the_table_says_where_graphs_pay() -> None:
    row = {"shape": "8", "layers": 8, "dtype": "bfloat16", "engine_ms": 3.0, "decisions_per_s": 1.0}
    rows = [row | {"sessions": count, "model_ms": 2.0, "graph_ms": ms} for count, ms in ((1, 0.5), (64, 3.0))]
    machine = {"device": "a GPU", "torch": "2", "cuda": "12"}
    assert "pays for 8 up to 1 sessions" in markdown({"machine": machine, "steps": rows})
    assert "pays nowhere" in markdown({"machine": machine, "steps": rows[1:]})


def test_a_shape_of_any_ladder_is_made(tmp_path: Path) -> None:
    config = HALF_BILLION | {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2,
                             "num_attention_heads": 2}  # fmt: skip
    (made,) = shapes(TASK, ["0.5b"], tmp_path, config=config)
    engine = Engine(TASK, made.adapter, device="cpu", slots=2, max_steps=4, dtype="float32")
    slot = engine.open()
    assert engine.forward([(slot, np.zeros((2, TASK.width), np.float32))]).shape == (1, 12)

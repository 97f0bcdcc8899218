"""An engine in 8-bit integers decides as one in float32 but for rounding, and every session as if alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from policies.llm.engine import block_model, block_product
from policies.llm.engine.block_model import BlockModel, _cuts
from policies.llm.engine.engine import Engine
from policies.llm.engine.weight_blocks import BLOCK, packed, unpacked
from policies.llm.model import tiny
from policies.llm.model.tiny import save, tiny_adapter, tiny_base, tiny_model
from policies.llm.tasks.ladder.task import TASK

needs_avx2 = pytest.mark.skipif(not block_product.can(), reason="this processor has no AVX2")

SIZES = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 2}
"""That blocks fit, the keys shared by two heads."""
ROUNDING, ONE_OTHER = 1e-5, 0.05
"""Of an output; and where a number that lies between two integers was rounded to the other one."""
LITTLE = 0.03
"""Of the greatest output."""


@pytest.fixture(autouse=True)
def sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("llama", "qwen2"):
        monkeypatch.setitem(tiny.CONFIGS, kind, tiny.CONFIGS[kind] | SIZES)


def steps(sessions: int, count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((sessions, count, TASK.width)).astype(np.float32)


def engine(folder: Path, dtype: str = "int8", **more: Any) -> Engine:
    return Engine(TASK, folder, device="cpu", dtype=dtype, **{"slots": 20, "threads": 1} | more)


def played(made: Engine, vectors: np.ndarray) -> np.ndarray:
    """(sessions, steps, outputs), a batch a step."""
    slots = [made.open() for _ in vectors]
    return np.stack(
        [
            made.forward([(slot, vectors[at, step : step + 1]) for at, slot in enumerate(slots)])
            for step in range(vectors.shape[1])
        ],
        axis=1,
    )


@needs_avx2
@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("llama", {}),
        ("llama", {"tokens": 5}),
        ("llama", {"targets": "all"}),
        ("llama", {"prompt": "next level"}),
        ("qwen2", {"train": "full"}),  # with biases
    ],
    ids=str,
)
def test_it_decides_as_the_rounded_weights_and_rows_in_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, shape: dict[str, Any]
) -> None:
    folder, vectors = tiny_adapter(TASK, tmp_path, kind, **shape), steps(5, 12)
    made = engine(folder)
    assert isinstance(made._runner, BlockModel) and made.info.dtype == "int8"
    monkeypatch.setattr("policies.llm.engine.packed.linear", rounded_linear)
    reference = engine(folder, "float32", alike=True)
    assert made.info.parameters == reference.info.parameters
    beside = np.abs(played(made, vectors) - played(reference, vectors)).max(-1)
    assert np.quantile(beside, 0.7) < ROUNDING and beside.max() < ONE_OTHER


def rounded_linear(
    rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> torch.Tensor:
    """As blocks have it, by torch."""
    block = rows.unflatten(-1, (-1, BLOCK))
    scale = (block.abs().amax(-1, keepdim=True) / 127).clamp_min(1e-30)
    return functional.linear(((block / scale).round() * scale).flatten(-2), unpacked(packed(weight)), bias)


@needs_avx2
def test_rounding_changes_little(tmp_path: Path) -> None:
    folder, vectors = tiny_adapter(TASK, tmp_path, train="frozen"), steps(5, 12)
    wanted, found = played(engine(folder, "float32"), vectors), played(engine(folder), vectors)
    assert 0 < np.abs(found - wanted).max() < LITTLE * np.abs(wanted).max()


@needs_avx2
@pytest.mark.parametrize("threads", [1, 2])
def test_a_session_is_the_same_to_the_last_bit_in_any_company_and_anew(tmp_path: Path, threads: int) -> None:
    folder, vectors = tiny_adapter(TASK, tmp_path), steps(19, 9)
    made = engine(folder, slots=42, max_steps=6, alike=True)
    assert isinstance(made._runner, BlockModel)
    made._runner.share_among(threads)
    together = [made.open() for _ in vectors]
    alone = [made.open() for _ in vectors]
    fed = [0] * len(vectors)
    for turn in range(6):
        here = [at for at in range(len(vectors)) if (turn + at) % 4 and fed[at] < 7]
        new = [vectors[at, fed[at] : fed[at] + 1 + (at + turn) % 2] for at in here]
        found = made.forward([(together[at], rows) for at, rows in zip(here, new, strict=True)])
        for place, (at, rows) in enumerate(zip(here, new, strict=True)):
            assert np.array_equal(made.forward([(alone[at], rows)])[0], found[place])
            fed[at] += len(rows)


@needs_avx2
def test_a_context_begun_anew_and_one_computed_anew_are_the_same(tmp_path: Path) -> None:
    made, vectors = engine(tiny_adapter(TASK, tmp_path), max_steps=10), steps(1, 15)[0]
    one = made.open()
    for count in range(1, 15):
        got = made.forward([(one, vectors[count - 1 : count])])[0]
        whole = made.open()
        assert np.allclose(made.forward([(whole, vectors[:count])])[0], got, atol=1e-5)
        made.close(whole)
    assert np.allclose(
        made.recompute([(one, vectors[14:15])])[0], played(made, vectors[None])[0, 14], atol=1e-5
    )


@needs_avx2
def test_a_simulation_may_decide_its_sessions_together() -> None:
    made = Engine(TASK, device="cpu", slots=20, threads=1, dtype="int8", alike=True)
    assert made.same_together == 16


@needs_avx2
def test_weights_that_adapters_leave_as_they_are_lie_in_memory_once(tmp_path: Path) -> None:
    base, found = tiny_base(tmp_path / "base"), []
    for seed in (1, 2):
        save(TASK, tiny_model(TASK, base, seed), tmp_path / str(seed))
        runner = engine(tmp_path / str(seed), slots=1)._runner
        assert isinstance(runner, BlockModel)
        found.append(runner)
    pairs = zip(*(runner._layers[0] for runner in found), strict=True)
    shared = [one.codes.data_ptr() == other.codes.data_ptr() for one, other in pairs]
    assert shared == [False, True, False, True, True, True, True]  # LoRA is on queries and values


@needs_avx2
def test_auto_takes_it_where_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_adapter(TASK, tmp_path)
    assert engine(folder, "auto").info.dtype == "int8"
    monkeypatch.setattr(block_product, "can", lambda: False)
    assert engine(folder, "auto").info.dtype in ("float32", "bfloat16")
    with pytest.raises(ValueError, match="dtype int8: it takes a CPU with avx2, fma, f16c, and a model"):
        engine(folder)


@pytest.mark.parametrize("kind", ["gpt2", "llama-biased"])
def test_what_has_no_such_forward_is_computed_as_before(tmp_path: Path, kind: str) -> None:
    folder = tiny_adapter(TASK, tmp_path, kind)
    assert engine(folder, "auto").info.dtype in ("float32", "bfloat16")
    with pytest.raises(ValueError, match="dtype int8"):
        engine(folder)


def test_sizes_that_blocks_do_not_fit_are_left_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(tiny.CONFIGS, "llama", tiny.CONFIGS["llama"] | {"intermediate_size": 48})
    assert engine(tiny_adapter(TASK, tmp_path), "auto").info.dtype in ("float32", "bfloat16")


@pytest.mark.parametrize(
    ("counts", "threads", "cuts"),
    [
        ([1] * 16, 2, [8]),
        ([1] * 15, 2, []),
        ([40], 4, []),
        ([1, 39], 2, [1]),
        ([39, 1], 2, [39]),
        ([4] * 16, 3, [20, 44]),
        ([1] * 64, 1, []),
    ],
)
def test_a_batch_is_cut_between_sessions(counts: list[int], threads: int, cuts: list[int]) -> None:
    assert _cuts(np.cumsum(counts), threads) == cuts
    assert block_model.LEAST_SHARE == 8

"""Products in 8-bit integers are exact but for the rows' own rounding, and a row's is the same in company."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from policies.llm.engine import block_product
from policies.llm.engine.block_forward import power
from policies.llm.engine.weight_blocks import BLOCK, Blocks, packed, unpacked

pytestmark = pytest.mark.skipif(not block_product.can(), reason="this processor has no AVX2")

OUTPUTS, INPUTS = 24, 96


def blocks_of(planes: int, seed: int = 0) -> Blocks:
    drawn = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, 256, (OUTPUTS // 8, INPUTS // BLOCK, planes, 4, 8, 4), generator=drawn)
    scales = torch.rand(OUTPUTS // 8, INPUTS // BLOCK, 2, 8, generator=drawn) - 0.3
    return Blocks(codes.to(torch.uint8), scales.half(), 0.25)


def product(blocks: Blocks, rows: np.ndarray, first: int = 0, wide: int = OUTPUTS) -> np.ndarray:
    numbers, scales = block_product.in_integers(rows)
    out = np.full((len(rows), wide), np.nan, np.float32)
    place = (blocks.codes.data_ptr(), blocks.scales.data_ptr(), blocks.planes, blocks.outputs, first)
    block_product.product(np.array(place), np.float32(blocks.gain), numbers, scales, out)
    return out


def as_integers(rows: np.ndarray) -> np.ndarray:
    """The rows as `in_integers` sees them, by numpy."""
    block = rows.reshape(len(rows), -1, BLOCK).astype(np.float64)
    scale = np.abs(block).max(-1, keepdims=True) / 127
    return (np.rint(block / np.where(scale > 0, scale, 1)) * scale).reshape(rows.shape)


@pytest.mark.parametrize("planes", [1, 2])
@pytest.mark.parametrize("count", [1, 3, 4, 7, 8, 21])
def test_a_product_is_that_of_the_rounded_rows(planes: int, count: int) -> None:
    blocks = blocks_of(planes)
    rows = np.random.default_rng(count).standard_normal((count, INPUTS)).astype(np.float32)
    wanted = as_integers(rows) @ unpacked(blocks).double().numpy().T
    assert np.allclose(product(blocks, rows), wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("planes", [1, 2])
def test_a_row_comes_out_the_same_to_the_last_bit_in_any_company(planes: int) -> None:
    blocks = blocks_of(planes)
    rows = np.random.default_rng(5).standard_normal((19, INPUTS)).astype(np.float32)
    together = product(blocks, rows)
    for begin, end in ((0, 1), (3, 7), (6, 14), (18, 19), (5, 18)):
        assert np.array_equal(product(blocks, rows[begin:end].copy()), together[begin:end])


@pytest.mark.parametrize("planes", [1, 2])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_greatest_codes_times_the_greatest_numbers_do_not_overflow(planes: int, sign: float) -> None:
    blocks = blocks_of(planes)
    full = Blocks(torch.full_like(blocks.codes, 255), blocks.scales, blocks.gain)
    rows = np.full((9, INPUTS), np.float32(sign))
    wanted = rows.astype(np.float64) @ unpacked(full).double().numpy().T
    assert np.allclose(product(full, rows), wanted, rtol=1e-5)


def test_a_row_of_zeros_is_zero_and_numbers_do_not_reach_beyond_127() -> None:
    rows = np.zeros((2, INPUTS), np.float32)
    rows[1] = np.float32(1e-30)
    numbers, scales = block_product.in_integers(rows)
    assert not numbers[0].any() and not scales[0].any() and (numbers[1] == 127).all()
    assert not product(blocks_of(1), rows)[0].any()


def test_columns_of_others_are_left_alone() -> None:
    rows = np.ones((2, INPUTS), np.float32)
    out = product(blocks_of(1), rows, first=8, wide=40)
    assert np.isnan(out[:, :8]).all() and np.isnan(out[:, 32:]).all() and not np.isnan(out[:, 8:32]).any()


def test_a_matrix_and_its_blocks_multiply_alike() -> None:
    weight = torch.randn(OUTPUTS, INPUTS, generator=torch.Generator().manual_seed(2))
    rows = np.random.default_rng(2).standard_normal((6, INPUTS)).astype(np.float32)
    wanted = rows @ weight.numpy().T
    found = product(packed(weight), rows)
    assert np.abs(found - wanted).max() < 0.02 * np.abs(wanted).max()


def test_powers_are_those_of_numpy_within_rounding() -> None:
    values = np.linspace(-87, 88, 100_001).astype(np.float32)
    found = np.array([power(value) for value in values[::100]])
    assert np.allclose(found, np.exp(values[::100].astype(np.float64)), rtol=5e-7)
    assert power(np.float32(-1e9)) < 1e-37 and np.isfinite(power(np.float32(1e9)))


@pytest.mark.parametrize("name", ["generic", "nehalem"])
def test_where_numba_compiles_for_less_it_is_not_tried(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("numba.config.CPU_NAME", name)
    assert not block_product.can()


@pytest.mark.parametrize("lacking", block_product.NEEDS)
def test_a_processor_that_lacks_an_instruction_set_can_not(
    monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    has = dict.fromkeys(block_product.NEEDS, True) | {lacking: False}
    monkeypatch.setattr(block_product.binding, "get_host_cpu_features", lambda: has)
    assert not block_product.can()

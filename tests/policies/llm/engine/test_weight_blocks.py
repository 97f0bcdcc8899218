"""Weights in blocks stand for what they were made from."""

from __future__ import annotations

import pytest
import torch

from policies.llm.engine.weight_blocks import BLOCK, Blocks, packed, unpacked

HALF_ULP_BFLOAT16 = 2.0**-9
HALF_ULP_HALF = 2.0**-12


def on_sixteen_levels(outputs: int, inputs: int) -> torch.Tensor:
    """As GGUF's Q4_1 gives a matrix away: each block's least and greatest value among its levels."""
    drawn = torch.Generator().manual_seed(0)
    codes = torch.randint(0, 16, (outputs, inputs // BLOCK, BLOCK), generator=drawn)
    codes[..., 0], codes[..., 1] = 0, 15
    step = 0.01 + 0.02 * torch.rand(outputs, inputs // BLOCK, 1, generator=drawn)
    least = -8.0 * step + 0.02 * torch.randn(step.shape, generator=drawn)
    return (step.half().float() * codes + least.half().float()).view(outputs, inputs)


def by_block(weight: torch.Tensor) -> torch.Tensor:
    return weight.view(len(weight), -1, BLOCK)


def worst(blocks: Blocks, weight: torch.Tensor) -> float:
    """The greatest error, in steps of an eighth bit of its block."""
    least, greatest = by_block(weight).aminmax(dim=-1, keepdim=True)
    beside = by_block(unpacked(blocks) - weight).abs()
    return float((beside / (greatest - least).clamp_min(1e-30) * 255).max())


def test_a_matrix_that_was_given_away_in_4_bits_stays_in_4_bits_and_loses_nothing() -> None:
    weight = on_sixteen_levels(24, 96)
    blocks = packed(weight.bfloat16())
    assert blocks.planes == 1 and (blocks.outputs, blocks.inputs) == (24, 96)
    greatest = by_block(weight).abs().amax(-1, keepdim=True)
    beside = by_block(unpacked(blocks) - weight).abs()
    rounding = by_block(weight.bfloat16().float() - weight).abs()
    assert (beside <= 2 * HALF_ULP_BFLOAT16 * greatest).all()
    assert beside.mean() < rounding.mean(), "nearer to what was given away than its copy in bfloat16"


def test_one_weight_beside_the_levels_makes_it_8_bits() -> None:
    weight = on_sixteen_levels(16, 64)
    assert packed(weight).planes == 1
    weight[13, 40] += 0.005
    blocks = packed(weight)
    assert blocks.planes == 2
    assert worst(blocks, weight) < 0.75


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e4])
def test_any_other_matrix_has_256_levels_a_block_whatever_its_size(size: float) -> None:
    weight = size * torch.randn(16, 128, generator=torch.Generator().manual_seed(1))
    blocks = packed(weight)
    assert blocks.planes == 2
    assert worst(blocks, weight) < 0.5 + 255 * 2 * HALF_ULP_HALF + 0.1


def test_blocks_of_one_value_and_of_zeros_are_kept() -> None:
    weight = torch.zeros(8, 64)
    weight[:, 32:] = torch.arange(8.0)[:, None] / 8
    assert torch.equal(unpacked(packed(weight)), weight)
    assert torch.equal(unpacked(packed(torch.zeros(8, 32))), torch.zeros(8, 32))


def test_a_matrix_of_half_a_tile_or_block_is_refused() -> None:
    for size in ((12, 32), (8, 48)):
        with pytest.raises(
            ValueError, match=f"a matrix of {size[0]} x {size[1]}: blocks need multiples of 8"
        ):
            packed(torch.zeros(size))

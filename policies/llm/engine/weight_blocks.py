"""Weights in blocks of 32 inputs, each weight 4 or 8 bits: `least + step x code`, both of its block.

That is the format of GGUF's Q4_1, in which many base models are given away, this project's own among them. A
matrix whose blocks lie on 16 evenly spaced levels is known by its values and kept in 4 bits, as exactly as it
was stored; what an adapter has changed, and any other matrix, gets 256 levels for each block.

Eight outputs make a tile, which `block_product.py` computes at once: for every block, groups of four
neighbouring inputs of each output stand side by side, two groups in a byte's halves, so that eight outputs'
groups are one vector of 32 bytes. Steps and least values are half-precision numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

BLOCK = 32
TILE = 8
"""Outputs."""
GROUP = 4
"""Inputs that one step of a product takes."""
FINE, COARSE = 255, 15
"""Highest code of 8 and of 4 bits."""
ROUNDED = 2.0**-7
"""Of a block's greatest value: how far its values, kept in bfloat16, may be from the levels found."""
GREATEST_SCALE = 2.0**14
"""Under half precision's largest; steps and least values are brought as near as a power of two can."""


@dataclass(frozen=True)
class Blocks:
    """A matrix of (outputs, inputs)."""

    codes: torch.Tensor
    """uint8: (tiles, blocks, planes, 4, 8 outputs, 4 inputs); of 8 bits the low halves' plane is first."""
    scales: torch.Tensor
    """float16: (tiles, blocks, 2, 8 outputs), steps and least values, times 1 / gain."""
    gain: float
    """A power of two."""

    @property
    def planes(self) -> int:
        """1 of 4 bits, 2 of 8."""
        return int(self.codes.shape[2])

    @property
    def outputs(self) -> int:
        """Rows of the matrix."""
        return TILE * len(self.codes)

    @property
    def inputs(self) -> int:
        """Columns of the matrix."""
        return BLOCK * int(self.codes.shape[1])


def fits(outputs: int, inputs: int) -> bool:
    """Whether a matrix can be cut into whole tiles and blocks."""
    return outputs % TILE == 0 and inputs % BLOCK == 0


def packed(weight: torch.Tensor) -> Blocks:
    """A matrix in blocks: in 4 bits where that loses nothing, else in 8.

    Args:
        weight: (outputs, inputs), finite.

    Raises:
        ValueError: it can't be cut into whole tiles and blocks.
    """
    outputs, inputs = weight.shape
    if not fits(outputs, inputs):
        raise ValueError(
            f"a matrix of {outputs} x {inputs}: blocks need multiples of {TILE} outputs and {BLOCK} inputs"
        )
    values = weight.detach().float().cpu().view(outputs, -1, BLOCK)
    coded = _sixteen_levels(values) if _sixteen_levels(values[:TILE]) else None
    codes, step, least = coded or _between(values, FINE)
    planes = [codes] if coded else [codes & COARSE, codes >> 4]
    gain = _gain(step, least)
    scales = torch.stack((step, least), -1) / gain
    return Blocks(
        torch.stack([_tiled_codes(plane) for plane in planes], 2).contiguous(),
        scales.half().view(-1, TILE, inputs // BLOCK, 2).permute(0, 2, 3, 1).contiguous(),
        gain,
    )


def unpacked(blocks: Blocks) -> torch.Tensor:
    """The (outputs, inputs) float32 matrix that blocks stand for."""
    low, high = blocks.codes & COARSE, blocks.codes >> 4
    plane = torch.stack((low, high), 4)  # (tiles, blocks, planes, 4, 2, 8, 4)
    plane = plane.permute(0, 5, 1, 2, 3, 4, 6).reshape(blocks.outputs, -1, blocks.planes, BLOCK)
    codes = sum(plane[:, :, number].float() * 16**number for number in range(blocks.planes))
    scales = blocks.scales.float().permute(2, 0, 3, 1).reshape(2, blocks.outputs, -1, 1) * blocks.gain
    return (scales[0] * codes + scales[1]).reshape(blocks.outputs, blocks.inputs)


Coded = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Codes (outputs, blocks, 32), and each block's step and least value (outputs, blocks)."""


def _between(values: torch.Tensor, highest: int) -> Coded:
    """Levels from each block's least to its greatest value."""
    least, greatest = values.aminmax(dim=-1)
    step = (greatest - least) / highest
    per_step = torch.where(step > 0, 1.0 / step, 0.0)
    codes = ((values - least[..., None]) * per_step[..., None]).round_().clamp_(0, highest)
    return codes.to(torch.uint8), step, least


def _sixteen_levels(values: torch.Tensor) -> Coded | None:
    """As the values were before they were rounded to bfloat16; None where they lie on no 16 levels.

    Step and least value are the straight line of least squares through a block's (code, value), which takes
    most of the rounding out.
    """
    codes, step, _ = _between(values, COARSE)
    spread = codes.float()
    mean, middle = spread.mean(-1, keepdim=True), values.mean(-1, keepdim=True)
    spread -= mean
    square = (spread * spread).sum(-1)
    step = torch.where(square > 0, (spread * values).sum(-1) / square, step)
    beside = spread.mul_(step[..., None]).add_(middle).sub_(values).abs_().amax(-1)
    if bool((beside > ROUNDED * values.abs().amax(-1)).any()):
        return None
    return codes, step, middle[..., 0] - step * mean[..., 0]


def _gain(step: torch.Tensor, least: torch.Tensor) -> float:
    """The power of two that brings a matrix's scales to the upper end of half precision."""
    greatest = max(float(step.abs().max()), float(least.abs().max()))
    if greatest == 0.0:
        return 1.0
    return float(2.0 ** torch.tensor(greatest / GREATEST_SCALE, dtype=torch.float64).log2().ceil())


def _tiled_codes(codes: torch.Tensor) -> torch.Tensor:
    """(outputs, blocks, 32) codes of up to 15 as (tiles, blocks, 4, 8 outputs, 4 inputs) bytes."""
    outputs, blocks, _ = codes.shape
    pairs = codes.view(outputs // TILE, TILE, blocks, BLOCK // (2 * GROUP), 2, GROUP)
    pairs = pairs.permute(0, 2, 3, 4, 1, 5)  # (tiles, blocks, 4, 2, 8, 4)
    return pairs[:, :, :, 0] | (pairs[:, :, :, 1] << 4)

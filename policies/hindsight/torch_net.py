"""The networks while they learn: torch modules, and the way from them to `net.py`.

Hidden layers multiply in bfloat16 where the processor knows it, which is three times as fast there and
was twenty times as slow on one that does not; weights, their updates and the last layer are float32, so
that probabilities keep their digits.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from policies.hindsight.features import LEVELS, WIDTH
from policies.hindsight.net import Layers

HIDDEN = (512, 512, 256)
CRITIC_HIDDEN = (256, 256)
KNOWS_BFLOAT16 = bool(torch.cpu.get_capabilities().get("avx512_bf16", False))


class Scaled(nn.Module):
    """An MLP over inputs that are brought to mean 0 and deviation 1 first."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int, last_gain: float) -> None:
        super().__init__()
        sizes = (inputs, *hidden)
        parts: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layer = nn.Linear(before, after)
            nn.init.orthogonal_(layer.weight, float(np.sqrt(2.0)))
            nn.init.zeros_(layer.bias)
            parts += [layer, nn.ReLU()]
        last = nn.Linear(sizes[-1], outputs)
        nn.init.orthogonal_(last.weight, last_gain)
        nn.init.zeros_(last.bias)
        self.body = nn.Sequential(*parts, last)
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("deviation", torch.ones(inputs))

    def scale_to(self, vectors: torch.Tensor) -> None:
        """Take mean and deviation from (batch, inputs); an input that never changes is left as it is."""
        deviation = vectors.std(0)
        self.mean.copy_(vectors.mean(0))
        self.deviation.copy_(torch.where(deviation > 1e-4, deviation, torch.ones_like(deviation)))

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        scaled = (vectors - self.mean) / self.deviation
        with torch.autocast("cpu", torch.bfloat16, enabled=KNOWS_BFLOAT16):
            hidden = self.body[:-1](scaled)
        return self.body[-1](hidden.float())  # (batch, outputs)


def new_actor() -> Scaled:
    return Scaled(WIDTH, HIDDEN, LEVELS, 0.1)


def new_critic(windows: int) -> Scaled:
    """It sees `windows` of the future besides what the actor sees."""
    return Scaled(WIDTH + windows, CRITIC_HIDDEN, 1, 1.0)


def follow(average: Scaled, module: Scaled, keep: float) -> None:
    """Move a running average of the weights towards the weights."""
    with torch.no_grad():
        for mine, theirs in zip(average.parameters(), module.parameters(), strict=True):
            mine.lerp_(theirs, 1.0 - keep)


def twin(module: Scaled) -> Scaled:
    return copy.deepcopy(module)


def layers_of(module: Scaled) -> Layers:
    """The weights as numpy arrays, the scaling folded into the first layer."""
    linears = [part for part in module.body if isinstance(part, nn.Linear)]
    found = [(part.weight.detach().numpy().copy(), part.bias.detach().numpy().copy()) for part in linears]
    weight, bias = found[0]
    scaled = weight / module.deviation.numpy()
    found[0] = scaled, bias - scaled @ module.mean.numpy()
    return tuple(found)

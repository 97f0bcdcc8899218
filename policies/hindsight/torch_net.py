"""The networks while they learn: torch modules, and the way from them to `net.py`.

Everything is float32, so that the same command ends in the same weights whatever the processor multiplies in.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from policies.hindsight.net import Member
from policies.view import layout
from policies.view.layout import GLOBAL, MAX_LEVELS

TRUNK = (256, 128)
HIDDEN = 128
CRITIC_HIDDEN = (256, 256)
SHORT_LADDER = 6
"""Sessions of so many levels and fewer go through the network apart: padding them further would cost half."""


class OptionActor(nn.Module):
    """What each level is worth; `net.py` says how. Inputs are scaled first."""

    def __init__(self) -> None:
        super().__init__()
        options = len(layout.ATTRIBUTES)
        self.trunk0 = _linear(GLOBAL, TRUNK[0])
        self.trunk1 = _linear(*TRUNK)
        self.option = _linear(options, HIDDEN)
        self.session = _linear(TRUNK[1], HIDDEN)
        self.second = _linear(HIDDEN, HIDDEN)
        self.pooled = _linear(2 * HIDDEN, HIDDEN)
        self.last = _linear(HIDDEN, 1, 0.1)
        self.scaling = Scaling(GLOBAL)
        self.option_scaling = Scaling(options)

    def scale_to(self, vectors: torch.Tensor) -> None:
        """Take the scaling from (batch, WIDTH)."""
        self.scaling.fit(vectors[:, :GLOBAL])
        rows = options_of(vectors)
        self.option_scaling.fit(rows[rows[:, :, layout.EXISTS] > 0.0])

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """(batch, MAX_LEVELS) of (batch, WIDTH); 0 where there is no such level."""
        levels = options_of(vectors)[:, :, layout.EXISTS].sum(1)
        short = levels <= SHORT_LADDER
        if bool(short.all()):
            return self._of(vectors, SHORT_LADDER)
        order = torch.argsort(short.int(), descending=True, stable=True)
        split = int(short.sum())
        parts = [self._of(vectors[order[:split]], SHORT_LADDER), self._of(vectors[order[split:]], MAX_LEVELS)]
        return torch.cat(parts)[torch.argsort(order)]

    def _of(self, vectors: torch.Tensor, levels: int) -> torch.Tensor:
        rows = options_of(vectors)[:, :levels]
        there = rows[:, :, layout.EXISTS, None]
        trunk = functional.relu(self.trunk0(self.scaling(vectors[:, :GLOBAL])))
        session = self.session(functional.relu(self.trunk1(trunk)))
        each = functional.relu(self.option(self.option_scaling(rows)) + session[:, None]) * there
        mean = each.sum(1) / there.sum(1).clamp(min=1.0)
        pooled = self.pooled(torch.cat((mean, each.amax(1)), 1))
        hidden = functional.relu(self.second(each) + pooled[:, None])
        values = self.last(hidden)[:, :, 0] * there[:, :, 0]
        return functional.pad(values, (0, MAX_LEVELS - levels))


class Scaling(nn.Module):
    """Bring inputs to mean 0 and deviation 1."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("deviation", torch.ones(inputs))

    def fit(self, vectors: torch.Tensor) -> None:
        """Take mean and deviation from (batch, inputs); an input that never changes is left as it is."""
        deviation = vectors.std(0)
        self.mean.copy_(vectors.mean(0))
        self.deviation.copy_(torch.where(deviation > 1e-4, deviation, torch.ones_like(deviation)))

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        return (vectors - self.mean) / self.deviation


class FutureCritic(nn.Module):
    """What a session will still bring, to one who sees `seen` numbers."""

    def __init__(self, seen: int) -> None:
        super().__init__()
        self.scaling = Scaling(seen)
        sizes = (seen, *CRITIC_HIDDEN)
        parts: list[nn.Module] = []
        for before, after in pairwise(sizes):
            parts += [_linear(before, after), nn.ReLU()]
        self.body = nn.Sequential(*parts, _linear(sizes[-1], 1, 1.0))

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        """(batch,)"""
        return self.body(self.scaling(seen)).squeeze(-1)


def options_of(vectors: torch.Tensor) -> torch.Tensor:
    """(batch, MAX_LEVELS, attributes) of (batch, WIDTH)."""
    return vectors[:, GLOBAL:].reshape(len(vectors), MAX_LEVELS, len(layout.ATTRIBUTES))


def follow(average: OptionActor, module: OptionActor, keep: float) -> None:
    """Move a running average of the weights towards the weights."""
    with torch.no_grad():
        mine, theirs = list(average.parameters()), list(module.parameters())
        torch._foreach_lerp_(mine, theirs, 1.0 - keep)


def twin(module: OptionActor) -> OptionActor:
    return copy.deepcopy(module)


def member_of(module: OptionActor) -> Member:
    """The weights as numpy arrays, the scaling folded into the first layers."""
    layers: Sequence[str] = ("trunk1", "session", "second", "pooled", "last")
    found = {name: _arrays(getattr(module, name)) for name in layers}
    for name, scaling in (("trunk0", module.scaling), ("option", module.option_scaling)):
        weight, bias = _arrays(getattr(module, name))
        scaled = weight / scaling.deviation.numpy()
        found[name] = scaled, bias - scaled @ scaling.mean.numpy()
    return found


def _arrays(layer: nn.Linear) -> tuple[np.ndarray, np.ndarray]:
    return layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy()


def _linear(inputs: int, outputs: int, gain: float = 2.0**0.5) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer

"""Learning of the nets: absolute error, in the measure's own unit, of viewers and their mirror images.

Nothing chooses an epoch: the rate falls to zero over a number of passes that was found by folds of the
training videos (`cross`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from player.viewport.windows import Floats
from policies.viewport.examples import Examples
from policies.viewport.features import mirror
from policies.viewport.mirroring import MIRRORED, signs_of
from policies.viewport.net import HIDDEN, LAYERS, MOST, SIZE
from policies.viewport.units import UNIT
from traces.heads.head import AXES

LEAST_SIZE = 1e-6


@dataclass(frozen=True)
class LearningSettings:
    """How it is learned."""

    epochs: int = 15
    batch: int = 512
    rate: float = 2e-3
    decay: float = 1e-3
    hidden: int = HIDDEN


def learn(
    train: Examples,
    crowded: bool,
    seed: int,
    settings: LearningSettings | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, Floats]:
    """The weights of a net.

    Args:
        crowded: whether the inputs are those of `crowd`.
    """
    asked = settings or LearningSettings()
    torch.manual_seed(seed)
    size = np.sqrt((train.inputs**2).mean(axis=0)) + LEAST_SIZE
    x = torch.tensor(np.clip(train.inputs / size, -MOST, MOST), dtype=torch.float32)
    y = torch.tensor(train.targets, dtype=torch.float32)
    net = _net([x.shape[1], *([asked.hidden] * (LAYERS - 1)), y.shape[1]])
    signs = [
        (_signs(mirror(axis, crowded)), _signs(np.tile(signs_of([axis]), y.shape[1] // AXES)))
        for axis in MIRRORED
    ]
    optimizer = torch.optim.AdamW(net.parameters(), asked.rate, weight_decay=asked.decay)
    steps = asked.epochs * -(-len(x) // asked.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for epoch in range(asked.epochs):
        total = 0.0
        for places in torch.randperm(len(x)).split(asked.batch):
            seen, wanted = x[places], y[places]
            for of_input, of_target in signs:
                turned = torch.rand(len(places), 1) < 0.5
                seen = torch.where(turned, seen * of_input, seen)
                wanted = torch.where(turned, wanted * of_target, wanted)
            loss = (net(seen) - wanted).abs().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(places)
        tell(f"epoch {epoch + 1}: {UNIT * total / len(x):.3f} degrees on what is learned")
    return {SIZE: size} | _weights(net)


def _net(sizes: Sequence[int]) -> torch.nn.Sequential:
    parts: list[torch.nn.Module] = []
    for begin, end in pairwise(sizes):
        parts += [torch.nn.Linear(begin, end), torch.nn.ReLU()]
    with torch.no_grad():  # it begins as the head that stays
        parts[-2].weight.mul_(0.01)
        parts[-2].bias.zero_()
    return torch.nn.Sequential(*parts[:-1])


def _signs(values: Floats) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)


def _weights(net: torch.nn.Sequential) -> dict[str, Floats]:
    layers = [part for part in net if isinstance(part, torch.nn.Linear)]
    return {
        f"{place}.{kind}": getattr(layer, kind).detach().numpy().astype(np.float64).copy()
        for place, layer in enumerate(layers)
        for kind in ("weight", "bias")
    }


def ridge(train: Examples, penalty: float = 100.0) -> Floats:
    """(outputs, inputs) of least squares with a penalty; without a constant, as heads have no way of their
    own."""
    x, y = train.inputs, train.targets
    return np.asarray(np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y).T)

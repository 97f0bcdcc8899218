"""Learning of the nets: absolute error, in the measure's own unit, and the epoch that is best elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from player.viewport.windows import Floats
from policies.viewport.examples import Examples
from policies.viewport.features import UNIT
from policies.viewport.net import HIDDEN, LAYERS


@dataclass(frozen=True)
class LearningSettings:
    """How it is learned."""

    epochs: int = 30
    batch: int = 512
    rate: float = 1e-3
    decay: float = 1e-3
    hidden: int = HIDDEN


@dataclass(frozen=True)
class Learned:
    """What came of it."""

    weights: dict[str, Floats]
    epoch: int
    """Of the least error on the validation."""
    error: float
    """There, degrees, as published but for windows being weighed alike."""


def learn(
    train: Examples,
    valid: Examples,
    seed: int,
    settings: LearningSettings | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Learned:
    """Learn a net."""
    asked = settings or LearningSettings()
    torch.manual_seed(seed)
    inputs, targets = train.inputs.shape[1], train.targets.shape[1]
    sizes = [inputs, *([asked.hidden] * (LAYERS - 1)), targets]
    parts: list[torch.nn.Module] = []
    for begin, end in pairwise(sizes):
        parts += [torch.nn.Linear(begin, end), torch.nn.ReLU()]
    net = torch.nn.Sequential(*parts[:-1])
    with torch.no_grad():  # it begins as the head that stays
        parts[-2].weight.mul_(0.01)
        parts[-2].bias.zero_()
    x, y = (torch.tensor(part, dtype=torch.float32) for part in (train.inputs, train.targets))
    held_x, held_y = (torch.tensor(part, dtype=torch.float32) for part in (valid.inputs, valid.targets))
    optimizer = torch.optim.AdamW(net.parameters(), asked.rate, weight_decay=asked.decay)
    steps = asked.epochs * -(-len(x) // asked.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    best = Learned({}, -1, float("inf"))
    for epoch in range(asked.epochs):
        net.train()
        for places in torch.randperm(len(x)).split(asked.batch):
            loss = (net(x[places]) - y[places]).abs().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        net.eval()
        with torch.no_grad():
            error = float((net(held_x) - held_y).abs().mean()) * UNIT
        if error < best.error:
            best = Learned(_weights(net), epoch, error)
        tell(f"epoch {epoch + 1}: {error:.3f} degrees on the validation, best {best.error:.3f}")
    return best


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

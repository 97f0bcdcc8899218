"""The net learns with torch: squared error of the logarithm of the teacher's rate, Adam, a falling rate.

Where errors upwards count more than others the net comes to an expectile below the mean (Newey and Powell,
1987): the less that is known, the further below.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from policies.call.small.collect import Watched
from policies.call.small.inputs import WIDTH
from policies.call.small.net import HIDDEN, SmallNet, checked

BATCH = 1024
LR, LAST_LR = 2e-3, 2e-5
NAMES = ("first", "second", "last")


def new_net(seed: int) -> nn.Sequential:
    """The net as it begins."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(WIDTH, HIDDEN[0]),
        nn.ReLU(),
        nn.Linear(HIDDEN[0], HIDDEN[1]),
        nn.ReLU(),
        nn.Linear(HIDDEN[1], 1),
    )


def as_arrays(net: nn.Sequential) -> SmallNet:
    """Its weights, as the player reads them.

    Raises:
        SmallNetError: the training went wrong.
    """
    layers = [layer for layer in net if isinstance(layer, nn.Linear)]
    tensors = {}
    for name, layer in zip(NAMES, layers, strict=True):
        tensors[f"{name}.weight"] = np.ascontiguousarray(layer.weight.detach().numpy().T)
        tensors[f"{name}.bias"] = layer.bias.detach().numpy().copy()
    return checked(tensors, "the trained net")


def learn(net: nn.Sequential, watched: Watched, steps: int, random: np.random.Generator) -> float:
    """So many steps of the optimizer.

    Returns:
        root of the mean squared error over the last tenth of them.
    """
    optimizer = torch.optim.Adam(net.parameters(), lr=LR)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, LAST_LR)
    calls, feedbacks = watched.labels.shape
    errors = []
    for _ in range(steps):
        n, at = random.integers(calls, size=BATCH), random.integers(feedbacks, size=BATCH)
        inputs = torch.from_numpy(watched.told(n, at))
        taught = torch.from_numpy(watched.labels[n, at])
        error = net(inputs).squeeze(1) - taught
        over = torch.from_numpy(watched.over[n])
        loss = torch.where(error > 0.0, over * error.square(), error.square()).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        falling.step()
        errors.append(error.detach().square().mean().item())
    return float(np.sqrt(np.mean(errors[-max(steps // 10, 1) :])))

"""TRACK while it learns: mended, and as NetLLM's port trains it."""

from __future__ import annotations

import torch
from torch import nn

from player.viewport.windows import FUTURE, HISTORY
from policies.viewport.track.net import BOTH, HEAD, HIDDEN, OTHERS, SIZES
from policies.viewport.units import UNIT
from traces.heads.head import AXES, YAW

SCALE = (180.0, 90.0, 180.0)
"""Degrees that are 1 in the published inputs."""


class TrackModel(nn.Module):
    """(n, HISTORY, 6) samples and (n, HISTORY + FUTURE, map) maps to (n, FUTURE, 3) places.

    Args:
        published: samples are normalised positions twice over, and the decoder begins with what it is fed as
            `first`; what it answers is a step added to that position, whatever the target's unit.
    """

    def __init__(self, published: bool) -> None:
        super().__init__()
        self.published = published
        self.parts = nn.ModuleDict({name: nn.LSTMCell(size, HIDDEN) for name, size in SIZES.items()})
        self.out = nn.Linear(HIDDEN, AXES)
        with torch.no_grad():  # it begins as the head that stays
            self.out.weight.mul_(0.01)
            self.out.bias.zero_()

    def forward(
        self, samples: torch.Tensor, maps: torch.Tensor, first: torch.Tensor | None = None
    ) -> torch.Tensor:
        states: dict[str, tuple[torch.Tensor, torch.Tensor] | None] = dict.fromkeys(SIZES)
        for sample in range(HISTORY):
            self._step(states, samples[:, sample], maps[:, sample])
        newest = samples[:, -1]
        moved, place = newest[:, :AXES], newest[:, AXES:]
        if self.published:
            assert first is not None, "the published decoder is fed the first true sample"
            moved = place = first
        found = []
        for ahead in range(FUTURE):
            state = self._step(states, torch.cat([moved, place], 1), maps[:, HISTORY + ahead])
            step = self.out(state)
            place = place + step
            moved = place if self.published else step
            found.append(place)
        return torch.stack(found, 1)

    def _step(self, states: dict, sample: torch.Tensor, chart: torch.Tensor) -> torch.Tensor:
        states[HEAD] = self.parts[HEAD](sample, states[HEAD])
        states[OTHERS] = self.parts[OTHERS](chart, states[OTHERS])
        both = torch.cat([states[HEAD][0], states[OTHERS][0]], 1)
        states[BOTH] = self.parts[BOTH](both, states[BOTH])
        return states[BOTH][0]


def wrapped_l1(places: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """(n,) mean absolute error in `UNIT`s, of axis 2 the shorter way."""
    apart = places - targets
    turn = 360.0 / UNIT
    yaw = apart[..., YAW]
    yaw = yaw - turn * torch.round(yaw.detach() / turn)
    return torch.cat([apart[..., :YAW], yaw.unsqueeze(-1)], -1).abs().mean((1, 2))

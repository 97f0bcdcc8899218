"""The network of each kind of answer, from the language model's last state, and what it learns by."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from policies.llm.head import (
    ABSENT,
    LEAST_LOG_SPREAD,
    MOST_LOG_SPREAD,
    Choice,
    Head,
    Pointer,
    Regression,
    StageAndShare,
    Trajectory,
)
from policies.llm.modality import OPTIONS, Modality, places
from policies.llm.model.stage_head import StageAndShares, stage_and_share_loss

KEY_WIDTH = 64


class Linear(nn.Linear):
    """(…, model width) states to (…, head width): all heads but those that point."""

    def forward(self, states: torch.Tensor, steps: torch.Tensor | None = None) -> torch.Tensor:
        return super().forward(states)


class Points(nn.Module):
    """Scores the options of a step: the scaled product of what the state asks and what each option is.

    (…, model width) states and (…, step width) inputs to (…, options); as Vinyals et al., NeurIPS 2015.
    """

    def __init__(self, head: Pointer, modalities: Sequence[Modality], model_width: int) -> None:
        super().__init__()
        (options,) = (each for each in modalities if each.name == head.modality)
        if options.kind != OPTIONS or options.shape[0] != head.options:
            raise ValueError(f"a pointer over {options}; expected {head.options} options")
        self.place, self.shape = places(modalities)[head.modality], options.shape
        self.norm = nn.LayerNorm(options.shape[1])
        self.key = nn.Sequential(
            nn.Linear(options.shape[1], KEY_WIDTH), nn.GELU(), nn.Linear(KEY_WIDTH, KEY_WIDTH)
        )
        self.query = nn.Linear(model_width, KEY_WIDTH)

    def forward(self, states: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        options = steps[..., self.place].unflatten(-1, self.shape)  # (…, options, attributes)
        keys = self.key(self.norm(options))
        scores = (keys * self.query(states).unsqueeze(-2)).sum(-1) / KEY_WIDTH**0.5
        return scores.masked_fill(options[..., 0] <= 0.0, ABSENT)


def network(head: Head, modalities: Sequence[Modality], model_width: int) -> Linear | Points | StageAndShares:
    """The network of a head, its weights as they begin."""
    if isinstance(head, Pointer):
        return Points(head, modalities, model_width)
    if isinstance(head, StageAndShare):
        return StageAndShares(head, modalities, model_width)
    made = Linear(model_width, head.width)
    if not made.weight.is_meta:  # only sizes are asked for; drawing there would load torch's compiler
        nn.init.normal_(made.weight, std=0.01)
        nn.init.zeros_(made.bias)
    return made


def loss(head: Head, outputs: torch.Tensor, taught: torch.Tensor) -> torch.Tensor:
    """A number that falls as (…, head width) outputs come nearer to what was taught.

    Args:
        taught: of a choice or a pointer (…, options) logits of what should be taken with which probability;
            of a regression (…, numbers); of a trajectory (…, moments x numbers); of a stage and its share
            (…, 2), see `stage_head.py`.
    """
    if isinstance(head, Choice | Pointer):
        shares = torch.softmax(taught, -1)
        return -(shares * torch.log_softmax(outputs, -1)).sum(-1).mean()
    if isinstance(head, Regression):
        mean, spread = outputs.split(head.numbers, -1)
        spread = spread.clamp(LEAST_LOG_SPREAD, MOST_LOG_SPREAD)
        return (spread + 0.5 * ((taught - mean) * torch.exp(-spread)).square()).mean()
    if isinstance(head, StageAndShare):
        return stage_and_share_loss(head, outputs, taught)
    assert isinstance(head, Trajectory)
    return functional.smooth_l1_loss(outputs, taught)

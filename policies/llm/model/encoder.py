"""The multimodal encoder: a decision step becomes one or a few token-like embeddings.

A small network for each modality, by its kind, then a linear projection into the language model's width
and layer norm (Wu et al., SIGCOMM 2024, section 4.1). With one
token a step the projections are added before the norm; else each modality is a token of its own. The
norm begins with the size that the language model's own word embeddings have.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from policies.llm.modality import GRAPH, IMAGE, OPTIONS, SCALAR, SERIES, Modality, width
from policies.llm.model.graph import WholeGraph

CHANNELS = 32
KERNEL = 4
"""Of the convolution over a series (Mao et al., SIGCOMM 2017, and NetLLM's own take 4)."""
OPTION_WIDTH = 16
IMAGE_CHANNELS = 16
IMAGE_KERNEL = 3
LEAST_DEVIATION = 1e-4
"""An input that varies less is left as it is."""


class Scalars(nn.Module):
    """Fully connected."""

    def __init__(self, shape: tuple[int, ...], hidden: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(shape[0], hidden), nn.GELU())

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.body(values)  # (N, numbers) -> (N, hidden)


class Series(nn.Module):
    """A 1D convolution along the series, then fully connected."""

    def __init__(self, shape: tuple[int, ...], hidden: int) -> None:
        super().__init__()
        channels, length = shape
        kernel = min(KERNEL, length)
        self.shape = shape
        self.convolution = nn.Conv1d(channels, CHANNELS, kernel)
        self.body = nn.Sequential(
            nn.GELU(), nn.Flatten(), nn.Linear(CHANNELS * (length - kernel + 1), hidden)
        )
        self.last = nn.GELU()

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.last(self.body(self.convolution(values.view(-1, *self.shape))))  # (N, hidden)


class Options(nn.Module):
    """One network for every option, with the same weights, then fully connected over all of them."""

    def __init__(self, shape: tuple[int, ...], hidden: int) -> None:
        super().__init__()
        options, attributes = shape
        self.shape = shape
        self.each = nn.Linear(attributes, OPTION_WIDTH)
        self.body = nn.Linear(options * (OPTION_WIDTH + attributes), hidden)
        self.nonlinear = nn.GELU()

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        options = values.view(-1, *self.shape)
        seen = torch.cat((options, self.nonlinear(self.each(options))), -1)
        return self.nonlinear(self.body(seen.flatten(1)))  # (N, hidden)


class Image(nn.Module):
    """Two 2D convolutions, the second with a stride of 2, then fully connected."""

    def __init__(self, shape: tuple[int, ...], hidden: int) -> None:
        super().__init__()
        channels, height, width = shape
        self.shape = shape
        self.body = nn.Sequential(
            nn.Conv2d(channels, IMAGE_CHANNELS, IMAGE_KERNEL, padding=1),
            nn.GELU(),
            nn.Conv2d(IMAGE_CHANNELS, IMAGE_CHANNELS, IMAGE_KERNEL, stride=2, padding=1),
            nn.GELU(),
            nn.Flatten(),
            nn.Linear(IMAGE_CHANNELS * -(-height // 2) * -(-width // 2), hidden),
            nn.GELU(),
        )

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.body(values.view(-1, *self.shape))  # (N, hidden)


NETWORKS = {SCALAR: Scalars, SERIES: Series, OPTIONS: Options, IMAGE: Image, GRAPH: WholeGraph}


class Encoder(nn.Module):
    """A task's steps as embeddings.

    Args:
        modalities: what a step's vector holds, in order.
        model_width: the language model's.
        tokens: a step makes; 1, or as many as there are modalities.
        hidden: width of each modality's features.
        gain: root mean square that an embedding begins with.

    Raises:
        ValueError: another number of tokens.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(
        self, modalities: Sequence[Modality], model_width: int, tokens: int, hidden: int, gain: float = 1.0
    ) -> None:
        super().__init__()
        if tokens not in (1, len(modalities)):
            raise ValueError(f"{tokens} tokens a step; take 1, or {len(modalities)}: one for each modality")
        self.tokens = tokens
        self.sizes = [each.size for each in modalities]
        self.networks = nn.ModuleList(NETWORKS[each.kind](each.shape, hidden) for each in modalities)
        self.projections = nn.ModuleList(nn.Linear(hidden, model_width) for _ in modalities)
        self.norms = nn.ModuleList(nn.LayerNorm(model_width) for _ in range(tokens))
        for norm in self.norms:
            nn.init.constant_(norm.weight, gain)
        total = width(modalities)
        self._as_they_are = [each.kind == GRAPH for each in modalities for _ in range(each.size)]
        self.register_buffer("mean", torch.zeros(total))
        self.register_buffer("deviation", torch.ones(total))

    def scale_to(self, steps: torch.Tensor) -> None:
        """Bring every input to mean 0 and deviation 1 over (steps, width), but for graphs: a node may stand
        in any row."""
        deviation = steps.std(0)
        kept = (deviation > LEAST_DEVIATION) & ~torch.tensor(self._as_they_are, device=deviation.device)
        self.mean.copy_(torch.where(kept, steps.mean(0), torch.zeros_like(deviation)))
        self.deviation.copy_(torch.where(kept, deviation, torch.ones_like(deviation)))

    def forward(self, steps: torch.Tensor) -> torch.Tensor:
        """(N, width) -> (N, tokens, model_width)."""
        parts = ((steps - self.mean) / self.deviation).split(self.sizes, -1)
        seen = [
            project(network(part))
            for network, project, part in zip(self.networks, self.projections, parts, strict=True)
        ]
        if self.tokens == 1:
            return self.norms[0](torch.stack(seen).sum(0)).unsqueeze(1)
        return torch.stack([norm(each) for norm, each in zip(self.norms, seen, strict=True)], 1)

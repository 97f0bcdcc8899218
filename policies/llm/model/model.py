"""The whole model while it learns: encoder, language model, head; one pass over whole sessions.

The head leads from the language model's last state to the valid answers: always a legal one, no tokens
generated (Wu et al., SIGCOMM 2024, section 4.2). Attention is causal, so a session's
steps are all learned from at once, and step k's answer is what `engine.py` gives after k steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from policies.llm.head import Head
from policies.llm.modality import Modality
from policies.llm.model import backbone, heads, words
from policies.llm.model.base import Base
from policies.llm.model.encoder import Encoder
from policies.llm.model.shape import FULL, LORA, Shape


class Model(nn.Module):
    """(B, steps, width) of B sessions to (B, steps, head width) outputs.

    Args:
        base: of the name in `shape`.
        modalities: what a step's vector holds.
        head: what is answered.
        llm: the language model, where another task's model has it already; None loads it.

    Raises:
        BaseError: no such layers, nothing for LoRA to go to.
    """

    prompt: torch.Tensor
    """(tokens, width) of the task prompt; none without one."""

    def __init__(
        self,
        base: Base,
        shape: Shape,
        modalities: Sequence[Modality],
        head: Head,
        llm: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.base, self.shape, self.modalities, self.answers = base, shape, tuple(modalities), head
        self.llm: Any = language_model(base, shape) if llm is None else llm
        model_width = self.llm.config.hidden_size
        gain = backbone.embedding_rms(base)
        self.encoder = Encoder(modalities, model_width, shape.tokens, shape.hidden, gain)
        prompt = words.embedded(base, shape.prompt) if shape.prompt else torch.zeros(0, model_width)
        self.register_buffer("prompt", prompt, persistent=False)
        self.head = heads.network(head, modalities, model_width)

    def forward(self, steps: torch.Tensor) -> torch.Tensor:
        sessions, count, _ = steps.shape
        tokens = self.encoder(steps.flatten(0, 1)).view(sessions, count * self.shape.tokens, -1)
        tokens = torch.cat((self.prompt.to(tokens).expand(sessions, -1, -1), tokens), 1)
        states = self.llm(inputs_embeds=tokens, use_cache=False).last_hidden_state
        return self.head(states[:, len(self.prompt) + self.shape.tokens - 1 :: self.shape.tokens], steps)

    def learned(self) -> list[nn.Parameter]:
        """Parameters that training changes."""
        return [each for each in self.parameters() if each.requires_grad]

    def learned_state(self) -> dict[str, torch.Tensor]:
        """All that an adapter has to hold: `encoder.`, `head.`, `lora.` or `llm.` tensors, and `prompt`."""
        held = {f"encoder.{name}": each.detach() for name, each in self.encoder.state_dict().items()}
        held |= {f"head.{name}": each.detach() for name, each in self.head.state_dict().items()}
        if self.shape.train == LORA:
            held |= {f"lora.{name}": each for name, each in backbone.lora_state(self.llm).items()}
        elif self.shape.train == FULL:
            held |= {
                f"llm.{name}": each.detach()
                for name, each in self.llm.named_parameters()
                if each.requires_grad
            }
        return held | ({"prompt": self.prompt} if len(self.prompt) else {})

    def load_learned(self, held: dict[str, torch.Tensor]) -> None:
        """Put back what `learned_state` gave.

        Raises:
            KeyError, RuntimeError: tensors that do not fit this model.
        """
        with torch.no_grad():
            self.encoder.load_state_dict(within(held, "encoder."))
            self.head.load_state_dict(within(held, "head."))
            if len(self.prompt):
                self.prompt.copy_(held["prompt"])
            if self.shape.train == LORA:
                backbone.load_lora(self.llm, within(held, "lora."))
            elif self.shape.train == FULL:
                self.llm.load_state_dict(within(held, "llm."), strict=False)


def language_model(base: Base, shape: Shape) -> nn.Module:
    """The first layers of a base; what of them learns has gradients.

    Raises:
        BaseError: no such layers, nothing for LoRA to go to.
    """
    llm: Any = backbone.load(base, shape.layers)
    if shape.train == LORA:
        backbone.add_lora(llm, shape.rank, shape.alpha, backbone.lora_targets(llm, shape.targets))
    elif shape.train == FULL:
        llm.requires_grad_(True)
        llm.get_input_embeddings().requires_grad_(False)
    return llm


def within(held: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The tensors under a prefix, in float32, without it."""
    return {name.removeprefix(prefix): each.float() for name, each in held.items() if name.startswith(prefix)}

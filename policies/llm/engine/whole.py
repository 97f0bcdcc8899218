"""Deciding with any architecture that transformers knows: every context from its first token on.

No cache of keys and values: transformers' own differ from architecture to architecture. Contexts of a batch
are padded at their end, where a causal model does not look.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from policies.llm.model import backbone
from policies.llm.model.adapter import MAKES_ONE, AdapterError
from policies.llm.model.base import Base
from policies.llm.model.model import within
from policies.llm.model.shape import FULL, LORA, Shape


class Whole:
    """A base model with an adapter, and every slot's tokens; as `PackedModel` in all else.

    It can't promise `alike`: a longer neighbour may change a session's last bits.
    """

    caches = False

    def __init__(
        self,
        base: Base,
        shape: Shape,
        tensors: dict[str, torch.Tensor],
        device: torch.device,
        dtype: torch.dtype,
        slots: int,
        max_tokens: int,
        alike: bool = False,
    ) -> None:
        self._model = backbone.load(base, shape.layers)
        if shape.train == LORA:
            targets = backbone.lora_targets(self._model, shape.targets)
            backbone.add_lora(self._model, shape.rank, shape.alpha, targets)
            _loaded(shape, lambda: backbone.load_lora(self._model, within(tensors, "lora.")))
        elif shape.train == FULL:
            _loaded(shape, lambda: self._model.load_state_dict(within(tensors, "llm."), strict=False))
        self._model.to(device, dtype).eval()
        self._dtype = dtype
        self._tokens = torch.zeros(
            slots, max_tokens, self._model.config.hidden_size, device=device, dtype=dtype
        )
        self._shared = 0
        self.parameters = sum(each.numel() for each in self._model.parameters())

    def share(self, prefix: torch.Tensor) -> None:
        """Begin every slot's tokens with a prefix."""
        self._shared = len(prefix)
        self._tokens[:, : self._shared] = prefix.to(self._dtype)

    def forward(
        self, slots: Sequence[int], held: Sequence[int], tokens: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        held = [self._shared + each for each in held]
        for slot, before, new in zip(slots, held, tokens, strict=True):
            self._tokens[slot, before : before + len(new)] = new.to(self._dtype)
        lengths = [before + len(new) for before, new in zip(held, tokens, strict=True)]
        contexts = self._tokens[list(slots), : max(lengths)]
        states = self._model(inputs_embeds=contexts, use_cache=False).last_hidden_state
        return states[torch.arange(len(lengths)), torch.tensor(lengths) - 1]


def _loaded(shape: Shape, load: Callable[[], object]) -> None:
    """Put an adapter's weights in.

    Raises:
        AdapterError: they do not fit.
    """
    try:
        load()
    except (KeyError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise AdapterError(f"the adapter does not fit {shape.base} ({reason}); {MAKES_ONE}") from None

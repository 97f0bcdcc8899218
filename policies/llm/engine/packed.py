"""A forward of our own for Llama and what is built like it, for decisions: small batches of few new tokens.

LoRA is merged, the projections of queries, keys and values are one matrix and so are gate and up, caches
are set aside once, and the new tokens of all sessions are rows of one matrix, whatever their numbers. The
arithmetic is transformers' `LlamaModel` (Touvron et al., 2023): root-mean-square norm, rotary positions,
grouped queries (Ainslie et al., 2023), SwiGLU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol
from weakref import WeakValueDictionary

import torch
from torch.nn import functional

from policies.llm.engine.alike import AlikeSessions, attend, grouped, linear
from policies.llm.model import backbone
from policies.llm.model.adapter import MAKES_ONE, AdapterError
from policies.llm.model.base import Base
from policies.llm.model.shape import Shape

PACKED_KINDS = ("llama", "qwen2")


class PackedModel:
    """The first layers of a base model with an adapter merged in, and the caches of all slots.

    Args:
        tensors: the adapter's.
        max_tokens: of a context.
        alike: compute a session's rows as if it were alone (`alike.py`).
    """

    caches = True

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
        config = base.config()
        weights = merged(backbone.tensors(base, shape.layers), shape, tensors)
        width = config["hidden_size"]
        self._heads = config["num_attention_heads"]
        self._kv_heads = config.get("num_key_value_heads") or self._heads
        self._head_width = config.get("head_dim") or width // self._heads
        self._epsilon = config["rms_norm_eps"]
        self._dtype, self._device, self._alike = dtype, device, alike
        self._linear = linear if alike else functional.linear
        layers = [_layer(weights, layer) for layer in range(shape.layers)]
        self._layers = [
            {name: once((base.sha256, number, name), part.to(device, dtype)) for name, part in layer.items()}
            for number, layer in enumerate(layers)
        ]
        self._norm = weights["norm.weight"].to(device, dtype)
        self.parameters = sum(each.numel() for layer in self._layers for each in layer.values()) + width
        room = shape.layers, slots, self._kv_heads, max_tokens, self._head_width
        self._keys = torch.zeros(room, device=device, dtype=dtype)
        self._values = torch.zeros(room, device=device, dtype=dtype)
        self._shared = 0
        self._cos, self._sin = rotation(theta_of(config), self._head_width, max_tokens, device, dtype)

    @staticmethod
    def can(config: dict[str, Any]) -> bool:
        """Whether a configuration has nothing that this forward does not know."""
        rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
        plain = rope.get("rope_type", rope.get("type", "default")) == "default"
        plain = plain and config.get("hidden_act", "silu") == "silu" and not config.get("use_sliding_window")
        # Llama's `attention_bias` is of the output's projection too; Qwen2 has no such option
        biased = config.get("mlp_bias") or (config["model_type"] == "llama" and config.get("attention_bias"))
        return plain and not biased

    def share(self, prefix: torch.Tensor) -> None:
        """Compute a prefix once; every slot's cache begins with it."""
        self.forward([0], [0], [prefix])
        self._shared = len(prefix)
        for cache in (self._keys, self._values):
            cache[:, :, :, : self._shared] = cache[:, :1, :, : self._shared].clone()

    def forward(
        self, slots: Sequence[int], held: Sequence[int], tokens: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        counts = [len(each) for each in tokens]
        hidden = torch.cat(list(tokens)).to(self._dtype)  # (N, width)
        held = [self._shared + each for each in held]
        batch = _Batch(slots, held, counts, self._device)
        groups = grouped(slots, held, counts) if self._alike else []
        return self.through(hidden, batch, groups)

    @property
    def width(self) -> int:
        """Of a token."""
        return len(self._norm)

    @property
    def room(self) -> tuple[int, int, torch.dtype, torch.device]:
        """Tokens of a context, tokens that each begins with, and in what and where it is computed."""
        return self._keys.shape[3], self._shared, self._dtype, self._device

    def through(
        self, hidden: torch.Tensor, batch: BatchPlaces, groups: Sequence[AlikeSessions] = ()
    ) -> torch.Tensor:
        """(sessions, width) of (N, width) rows that stand where a batch says; they are then in the caches."""
        cos, sin = self._cos[batch.position].unsqueeze(1), self._sin[batch.position].unsqueeze(1)
        for number, layer in enumerate(self._layers):
            normed = self._rms(hidden, layer["before"])
            mixed = self._attend(number, normed, layer, batch, cos, sin, groups)
            hidden = hidden + self._linear(mixed, layer["output"])
            gate, up = self._linear(self._rms(hidden, layer["after"]), layer["gate_up"]).chunk(2, -1)
            hidden = hidden + self._linear(functional.silu(gate) * up, layer["down"])
        return self._rms(hidden[batch.last], self._norm)

    def _rms(self, hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return functional.rms_norm(hidden, weight.shape, weight, self._epsilon)

    def _attend(
        self,
        number: int,
        normed: torch.Tensor,
        layer: dict[str, torch.Tensor],
        batch: BatchPlaces,
        cos: torch.Tensor,
        sin: torch.Tensor,
        groups: Sequence[AlikeSessions],
    ) -> torch.Tensor:
        """(N, heads x head width): each new token over its own session up to itself."""
        fused = self._linear(normed, layer["qkv"], layer.get("qkv_bias"))
        fused = fused.view(len(fused), -1, self._head_width)  # (N, heads + 2 kv heads, head width)
        turned = _rotate(fused[:, : self._heads + self._kv_heads], cos, sin)
        query, key = turned[:, : self._heads], turned[:, self._heads :]
        keys, values = self._keys[number], self._values[number]  # (slots, kv heads, max tokens, head width)
        keys[batch.slot, :, batch.position] = key
        values[batch.slot, :, batch.position] = fused[:, self._heads + self._kv_heads :]
        if self._alike:
            return attend(query, keys, values, groups)
        seen_keys = batch.of_sessions(keys[:, :, : batch.longest])
        seen_values = batch.of_sessions(values[:, :, : batch.longest])
        mixed = functional.scaled_dot_product_attention(
            batch.padded(query).transpose(1, 2), seen_keys, seen_values, attn_mask=batch.mask, enable_gqa=True
        )  # (sessions, heads, most new, head width)
        return batch.unpadded(mixed.transpose(1, 2)).flatten(1)


class BatchPlaces(Protocol):
    """Where the new tokens of a batch belong, however that is kept."""

    slot: torch.Tensor
    position: torch.Tensor
    last: torch.Tensor
    mask: torch.Tensor | None
    longest: int

    def of_sessions(self, cache: torch.Tensor) -> torch.Tensor:
        """(sessions, …) of (slots, …)."""

    def padded(self, rows: torch.Tensor) -> torch.Tensor:
        """(sessions, most new, …) of (N, …); what is missing is 0."""

    def unpadded(self, filled: torch.Tensor) -> torch.Tensor:
        """The way back."""


class _Batch:
    """Where the new tokens of a batch belong: N rows in all, the first session's first."""

    def __init__(
        self, slots: Sequence[int], held: Sequence[int], counts: Sequence[int], device: torch.device
    ) -> None:
        self._slots = list(slots)
        self._count, self._most = len(counts), max(counts)
        self._even = min(counts) == self._most
        self.longest = max(before + new for before, new in zip(held, counts, strict=True))
        of_session = [session for session, new in enumerate(counts) for _ in range(new)]
        step = [place for new in counts for place in range(new)]
        self._session = torch.tensor(of_session, device=device)
        self._step = torch.tensor(step, device=device)
        self._slot_of_session = torch.tensor(self._slots, device=device)
        self.slot = self._slot_of_session[self._session]
        begins = torch.tensor(list(held), device=device)
        self.position = begins[self._session] + self._step
        self.last = torch.tensor(counts, device=device).cumsum(0) - 1
        queries = begins[:, None] + torch.arange(self._most, device=device)  # (sessions, most new)
        self.mask: torch.Tensor | None = None
        if self._count > 1 or self._most > 1:
            places = torch.arange(self.longest, device=device)
            self.mask = (places <= queries[:, :, None]).unsqueeze(1)  # (sessions, 1, most new, longest)

    def of_sessions(self, cache: torch.Tensor) -> torch.Tensor:
        """(sessions, …) of (slots, …)."""
        if self._count == 1:
            return cache[self._slots[0] : self._slots[0] + 1]
        return cache[self._slot_of_session]

    def padded(self, rows: torch.Tensor) -> torch.Tensor:
        """(sessions, most new, …) of (N, …); what is missing is 0."""
        if self._even:
            return rows.view(self._count, self._most, *rows.shape[1:])
        filled = rows.new_zeros((self._count, self._most, *rows.shape[1:]))
        filled[self._session, self._step] = rows
        return filled

    def unpadded(self, filled: torch.Tensor) -> torch.Tensor:
        """The way back."""
        return filled.flatten(0, 1) if self._even else filled[self._session, self._step]


def merged(
    weights: dict[str, torch.Tensor], shape: Shape, tensors: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """A model's weights, in float32, with an adapter's matrices added or its weights put in place.

    Raises:
        AdapterError: the adapter has matrices or weights for what the model lacks, or of other sizes.
    """
    found = {name: each.float() for name, each in weights.items()}

    def fits(name: str, size: Sequence[int]) -> None:
        has = tuple(found[name].shape) if name in found else None
        if has != tuple(size):
            raise AdapterError(
                f"the adapter's tensors for {name} make {tuple(size)}; {shape.base} has {has}; {MAKES_ONE}"
            )

    for name, low in tensors.items():
        if name.startswith("lora.") and name.endswith(".A"):
            projection = name.removeprefix("lora.").removesuffix(".A")
            high = tensors[f"lora.{projection}.B"]
            fits(f"{projection}.weight", (len(high), low.shape[1]))
            found[f"{projection}.weight"] += shape.alpha / shape.rank * (high.float() @ low.float())
        elif name.startswith("llm."):
            fits(name.removeprefix("llm."), low.shape)
            found[name.removeprefix("llm.")] = low.float()
    return found


_HELD: WeakValueDictionary[tuple[object, ...], torch.Tensor] = WeakValueDictionary()


def once(place: tuple[object, ...], made: torch.Tensor) -> torch.Tensor:
    """The same tensor for all engines of this process that have these very numbers there: where several tasks
    are served, what their adapters leave as it is lies in memory once.
    """
    place = (*place, str(made.device), made.dtype)
    held = _HELD.get(place)
    if held is not None and torch.equal(held, made):
        return held
    _HELD[place] = made
    return made


def _layer(weights: dict[str, torch.Tensor], number: int) -> dict[str, torch.Tensor]:
    """One layer's weights, fused."""

    def joined(parts: Sequence[str], kind: str = "weight") -> torch.Tensor:
        return torch.cat([weights[f"layers.{number}.{part}.{kind}"] for part in parts])

    attention = [f"self_attn.{name}_proj" for name in "qkv"]
    layer = {
        "before": joined(["input_layernorm"]),
        "qkv": joined(attention),
        "output": joined(["self_attn.o_proj"]),
        "after": joined(["post_attention_layernorm"]),
        "gate_up": joined(["mlp.gate_proj", "mlp.up_proj"]),
        "down": joined(["mlp.down_proj"]),
    }
    if f"layers.{number}.self_attn.q_proj.bias" in weights:
        layer["qkv_bias"] = joined(attention, "bias")
    return layer


def theta_of(config: dict[str, Any]) -> float:
    """The base of the rotary positions."""
    rope = config.get("rope_parameters") or {}
    return float(rope.get("rope_theta") or config.get("rope_theta") or 10000.0)


def rotation(
    theta: float, head_width: int, most: int, device: torch.device, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """(most, head width) cosines and sines of every position (Su et al., 2021)."""
    speed = 1.0 / theta ** (torch.arange(0, head_width, 2, dtype=torch.float32) / head_width)
    angle = torch.outer(torch.arange(most, dtype=torch.float32), speed).repeat(1, 2)
    return angle.cos().to(device, dtype), angle.sin().to(device, dtype)


def _rotate(vectors: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    first, second = vectors.chunk(2, -1)
    return vectors * cos + torch.cat((-second, first), -1) * sin

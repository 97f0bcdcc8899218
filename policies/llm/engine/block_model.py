"""Deciding on a CPU in 8-bit integers: `packed.py`'s forward with weights in blocks, in one compiled call.

Weights that an adapter leaves as they were given away in 4 bits stay so; the others have 8
(`weight_blocks.py`). A step reads a sixth of what it reads in float32, and integers multiply four times as
fast. Nothing but numba is needed. Rows don't know each other, so sessions may always be decided together, and
a batch is shared among threads by sessions.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from policies.llm.engine import block_product
from policies.llm.engine.block_forward import DOWN, GATE, OUTPUT, QUERY, forward, normed
from policies.llm.engine.block_product import Floats, Wholes
from policies.llm.engine.packed import PackedModel, merged, once, rotation, theta_of
from policies.llm.engine.weight_blocks import BLOCK, TILE, Blocks, packed
from policies.llm.model import backbone
from policies.llm.model.base import Base
from policies.llm.model.shape import Shape

INT8 = "int8"
MATRICES = (
    *(f"self_attn.{name}_proj" for name in "qkvo"),
    *(f"mlp.{name}_proj" for name in ("gate", "up", "down")),
)
"""As `block_forward.py` numbers them."""
BEGIN_AN_OUTPUT = (QUERY, OUTPUT, GATE, DOWN)
"""The others' columns stand behind those of the matrix before."""
NORMS = ("input_layernorm", "post_attention_layernorm")
LEAST_SHARE = 8
"""Rows that are worth a thread."""


class BlockModel:
    """As `PackedModel`, whose arguments these are; `alike` it is in any case."""

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
        size = _Size.of(config)
        self._heads = size.heads
        self._epsilon = np.float32(config["rms_norm_eps"])
        self._layers = [_layer(base, weights, number) for number in range(shape.layers)]
        self._places = np.array([_places(layer) for layer in self._layers], np.int64)
        self._gains = np.array([[each.gain for each in layer] for layer in self._layers], np.float32)
        self._biases, self._norms = _biases(weights, shape.layers), _norms(weights, shape.layers)
        self._last_norm = weights["norm.weight"].float().numpy()
        room = shape.layers, slots, size.kv_heads
        self._keys = np.zeros((*room, size.head_width, max_tokens), np.float32)
        self._values = np.zeros((*room, max_tokens, size.head_width), np.float32)
        turns = rotation(theta_of(config), size.head_width, max_tokens, device, torch.float32)
        self._turns = torch.stack(turns).numpy()
        self._shared = 0
        matrices = sum(each.outputs * each.inputs for layer in self._layers for each in layer)
        self.parameters = matrices + self._norms.size + self._biases.size + len(self._last_norm)
        self.share_among(torch.get_num_threads())
        self.forward([0], [0], [torch.zeros(1, size.width)])  # compiles, so that no decision waits for it

    @staticmethod
    def can(config: dict[str, Any]) -> bool:
        """Whether this processor and a configuration, which `PackedModel` knows, fit blocks."""
        return block_product.can() and PackedModel.can(config) and _Size.of(config).fits

    def share_among(self, threads: int) -> None:
        """Compute large batches in so many threads, the caller's among them."""
        self._threads = threads
        self._helpers = ThreadPoolExecutor(threads - 1) if threads > 1 else None

    def share(self, prefix: torch.Tensor) -> None:
        """Compute a prefix once; every slot's cache begins with it."""
        self.forward([0], [0], [prefix])
        self._shared = len(prefix)
        self._keys[..., : self._shared] = self._keys[:, :1, ..., : self._shared].copy()
        self._values[:, :, :, : self._shared] = self._values[:, :1, :, : self._shared].copy()

    def forward(
        self, slots: Sequence[int], held: Sequence[int], tokens: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """See `engine.py`'s `Runner`."""
        counts = [len(each) for each in tokens]
        rows = np.concatenate([each.numpy() for each in tokens], dtype=np.float32)
        of_rows = np.repeat(np.array(slots, np.int64), counts)
        begins = np.array(held, np.int64) + self._shared
        ends = np.cumsum(counts)
        positions = np.arange(len(rows)) + np.repeat(begins - ends + counts, counts)
        cuts = _cuts(ends, self._threads)
        parts = [slice(begin, end) for begin, end in zip([0, *cuts], [*cuts, len(rows)], strict=True)]
        waits = [
            self._helpers.submit(self._through, rows[part], of_rows[part], positions[part])
            for part in parts[1:]
            if self._helpers is not None
        ]
        self._through(rows[parts[0]], of_rows[parts[0]], positions[parts[0]])
        for each in waits:
            each.result()
        last = rows[ends - 1]
        out = np.empty_like(last)
        normed(last, self._last_norm, self._epsilon, out)
        return torch.from_numpy(out)

    def _through(self, rows: Floats, slots: Wholes, positions: Wholes) -> None:
        """All layers, in place; no session is in two calls at a time."""
        forward(
            rows,
            slots,
            positions,
            self._heads,
            self._places,
            self._gains,
            self._biases,
            self._norms,
            self._epsilon,
            self._turns,
            self._keys,
            self._values,
        )


@dataclass(frozen=True)
class _Size:
    """What a configuration says of a model's matrices."""

    width: int
    inner: int
    heads: int
    kv_heads: int
    head_width: int

    @classmethod
    def of(cls, config: dict[str, Any]) -> _Size:
        heads = config["num_attention_heads"]
        return cls(
            config["hidden_size"],
            config["intermediate_size"],
            heads,
            config.get("num_key_value_heads") or heads,
            config.get("head_dim") or config["hidden_size"] // heads,
        )

    @property
    def fits(self) -> bool:
        """Whether all matrices can be cut into whole tiles and blocks, and heads share keys evenly."""
        asked, shared = self.heads * self.head_width, self.kv_heads * self.head_width
        inputs = self.width, self.inner, asked
        even = self.heads % self.kv_heads == 0 and self.head_width % 2 == 0
        return even and shared % TILE == 0 and all(each % BLOCK == 0 for each in inputs)


def _layer(base: Base, weights: dict[str, torch.Tensor], number: int) -> list[Blocks]:
    """A layer's matrices; what several adapters leave as it is lies in memory once."""
    found = []
    for name in MATRICES:
        made = packed(weights[f"layers.{number}.{name}.weight"])
        place = base.sha256, number, name
        found.append(
            replace(
                made, codes=once((*place, "codes"), made.codes), scales=once((*place, "scales"), made.scales)
            )
        )
    return found


def _places(layer: Sequence[Blocks]) -> list[tuple[int, int, int, int, int]]:
    """Of each matrix, as `block_product.product` reads it."""
    found, column = [], 0
    for number, matrix in enumerate(layer):
        column = 0 if number in BEGIN_AN_OUTPUT else column
        found.append(
            (matrix.codes.data_ptr(), matrix.scales.data_ptr(), matrix.planes, matrix.outputs, column)
        )
        column += matrix.outputs
    return found


def _norms(weights: dict[str, torch.Tensor], layers: int) -> Floats:
    """(layers, 2, width)."""
    rows = [[weights[f"layers.{number}.{name}.weight"] for name in NORMS] for number in range(layers)]
    return torch.stack([torch.stack(row) for row in rows]).float().numpy()


def _biases(weights: dict[str, torch.Tensor], layers: int) -> Floats:
    """(layers, queries, keys and values); of no width where a model has none."""
    if "layers.0.self_attn.q_proj.bias" not in weights:
        return np.zeros((layers, 0), np.float32)
    rows = [
        torch.cat([weights[f"layers.{number}.self_attn.{part}_proj.bias"] for part in "qkv"])
        for number in range(layers)
    ]
    return torch.stack(rows).float().numpy()


def _cuts(ends: Wholes, threads: int) -> list[int]:
    """Where a batch is cut for threads: between sessions, into parts of about as many rows each.

    Args:
        ends: the row after each session's last.
    """
    rows = int(ends[-1])
    parts = min(threads, rows // LEAST_SHARE, len(ends))
    wanted = [ends[np.abs(ends - rows * part / parts).argmin()] for part in range(1, parts)]
    return sorted({int(each) for each in wanted} - {rows})

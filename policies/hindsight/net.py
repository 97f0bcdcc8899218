"""The network at decision time: matrix products of numpy, from a safetensors file. No torch.

A file holds one or more *members*, networks whose outputs are averaged; member m's layer l has
`m.l.weight` (outputs, inputs) and `m.l.bias` (outputs,), stored in half precision. Hidden layers end in a
rectifier, the last is linear: (levels,) what each level is worth less what the best is worth.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from policies.hindsight.features import LEVELS, WIDTH
from traces.files import write_aside
from traces.safe_reading import BadFileError, read_bytes

Array = NDArray[np.float32]
Layers = tuple[tuple[Array, Array], ...]


class ValueNetError(ValueError):
    """A weights file that cannot be used; the message names the file, the fault and the way out."""


@dataclass(frozen=True)
class ValueNet:
    """One or more members, and the digest of the file that they came from."""

    members: tuple[Layers, ...]
    sha256: str = ""

    def values(self, vectors: Array) -> Array:
        """(batch, levels) of (batch, WIDTH), averaged over the members."""
        total = np.zeros((len(vectors), LEVELS), np.float32)
        for layers in self.members:
            total += forward(layers, vectors)
        return total / np.float32(len(self.members))

    @classmethod
    def read(cls, path: Path) -> ValueNet:
        """The network of a file.

        Raises:
            WeightsError: no such file, no safetensors, or layers that don't fit.
        """
        try:
            content = read_bytes(path)
        except BadFileError as error:
            raise ValueNetError(str(error)) from None
        except OSError as error:
            raise ValueNetError(f"{path}: {error.strerror}; train makes such a file") from None
        try:
            tensors = load(content)
        except SafetensorError as error:
            raise ValueNetError(f"{path}: no safetensors file ({error})") from None
        members: list[Layers] = []
        while f"{len(members)}.0.weight" in tensors:
            members.append(_layers(path, tensors, len(members)))
        if not members:
            raise ValueNetError(f"{path}: no tensor 0.0.weight; these are not hindsight's weights")
        return cls(tuple(members), hashlib.sha256(content).hexdigest())


def forward(layers: Layers, vectors: Array) -> Array:
    """(batch, outputs) of one member."""
    hidden = vectors
    for place, (weight, bias) in enumerate(layers):
        hidden = hidden @ weight.T + bias
        if place + 1 < len(layers):
            hidden = np.maximum(hidden, np.float32(0.0))
    return hidden


def write_net(path: Path, members: Sequence[Layers], notes: dict[str, str]) -> None:
    """Write members in half precision, with `notes` as the file's metadata; aside, then renamed.

    Raises:
        OSError: it cannot be written.
    """
    tensors = {}
    for number, layers in enumerate(members):
        for place, (weight, bias) in enumerate(layers):
            tensors[f"{number}.{place}.weight"] = np.ascontiguousarray(weight, np.float16)
            tensors[f"{number}.{place}.bias"] = np.ascontiguousarray(bias, np.float16)
    write_aside(path, save(tensors, notes))


def _layers(path: Path, tensors: dict[str, Any], number: int) -> Layers:
    layers: list[tuple[Array, Array]] = []
    while f"{number}.{len(layers)}.weight" in tensors:
        name = f"{number}.{len(layers)}"
        weight, bias = tensors[f"{name}.weight"], tensors.get(f"{name}.bias")
        inputs = layers[-1][0].shape[0] if layers else WIDTH
        if weight.ndim != 2 or weight.shape[1] != inputs or bias is None or bias.shape != weight.shape[:1]:
            raise ValueNetError(f"{path}: layer {name} of shape {weight.shape} takes no {inputs} inputs")
        layers.append((weight.astype(np.float32), bias.astype(np.float32)))
    if layers[-1][0].shape[0] != LEVELS:
        raise ValueNetError(f"{path}: member {number} ends in {layers[-1][0].shape[0]} outputs, not {LEVELS}")
    return tuple(layers)

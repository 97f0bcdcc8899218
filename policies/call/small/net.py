"""The net's weights: 172 inputs, 64 and 32 hidden units, one number; as a file and as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from policies.call.small.inputs import WIDTH
from traces.safe_reading import BadFileError, read_bytes

HIDDEN = (64, 32)
SHAPES = {
    "first.weight": (WIDTH, HIDDEN[0]),
    "first.bias": (HIDDEN[0],),
    "second.weight": HIDDEN,
    "second.bias": (HIDDEN[1],),
    "last.weight": (HIDDEN[1], 1),
    "last.bias": (1,),
}
"""Every tensor of a weight file, float32; weights are (inputs, outputs)."""
PARAMETERS = sum(int(np.prod(shape)) for shape in SHAPES.values())
MOST_BYTES = 1 << 20
"""Of a weight file; a net has 53 kB."""


class SmallNetError(ValueError):
    """A weight file that cannot be used; the message names it and the fault."""


@dataclass(frozen=True)
class SmallNet:
    """Weights: inputs to the logarithm of a rate in Mbit/s."""

    tensors: dict[str, NDArray[np.float32]]
    """As `SHAPES` says."""


def checked(tensors: dict[str, NDArray[np.float32]], name: str) -> SmallNet:
    """A net of tensors that are what `SHAPES` says.

    Raises:
        SmallNetError: one is missing, of another shape, or holds what is no number.
    """
    for key, shape in SHAPES.items():
        if key not in tensors:
            raise SmallNetError(f"{name}: no tensor {key!r}; these are no weights of `small`")
        if tensors[key].shape != shape:
            raise SmallNetError(f"{name}: {key} has shape {tensors[key].shape}; expected {shape}")
        if not np.isfinite(tensors[key]).all():
            raise SmallNetError(f"{name}: {key} holds a value that is no number; the training went wrong")
    return SmallNet({key: np.ascontiguousarray(tensors[key], np.float32) for key in SHAPES})


def read(path: Path) -> SmallNet:
    """The net in a safetensors file.

    Raises:
        SmallNetError: no such file, or none of these nets.
    """
    try:
        return checked(load(read_bytes(path, MOST_BYTES)), str(path))
    except BadFileError as error:
        raise SmallNetError(str(error)) from None
    except (OSError, SafetensorError) as error:
        raise SmallNetError(f"{path}: cannot be read as safetensors ({error})") from None


def packed(net: SmallNet, about: dict[str, str]) -> bytes:
    """A safetensors file's content, with `about` as its metadata."""
    return save(net.tensors, about)

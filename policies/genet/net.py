"""The actor at decision time: a numpy forward pass over weights from a safetensors file.

The network has Pensieve's shape (Mao et al., SIGCOMM 2017): 128 filters of width 4 over each row (throughput,
download time, and the next chunks' sizes, whose rows are channels), 128 units over the numbers that are no
rows, all side by side, 128 units over these, and a score a level. `train_net.py` is the same in torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from policies.genet.inputs import AHEAD, DENSE, HISTORY, LEVELS, WIDTH, Vectors
from traces.safe_reading import BadFileError, read_bytes, sha256_of

FILTERS = 128
KERNEL = 4
HIDDEN = 128
JOINED = FILTERS * (2 * (HISTORY - KERNEL + 1) + (LEVELS - KERNEL + 1) + 1)

SHAPES: dict[str, tuple[int, ...]] = {
    "throughput.weight": (FILTERS, 1, KERNEL),
    "throughput.bias": (FILTERS,),
    "download.weight": (FILTERS, 1, KERNEL),
    "download.bias": (FILTERS,),
    "sizes.weight": (FILTERS, AHEAD, KERNEL),
    "sizes.bias": (FILTERS,),
    "dense.weight": (FILTERS, DENSE),
    "dense.bias": (FILTERS,),
    "hidden.weight": (HIDDEN, JOINED),
    "hidden.bias": (HIDDEN,),
    "levels.weight": (LEVELS, HIDDEN),
    "levels.bias": (LEVELS,),
}
"""Every tensor of a weight file, float32."""

Tensors = dict[str, NDArray[np.float32]]


class PensieveNetError(ValueError):
    """A weight file that cannot be used; the message names it and the fault."""


@dataclass(frozen=True)
class Actor:
    """Weights, ready to score levels."""

    tensors: Tensors
    """As `SHAPES` says."""

    def scores(self, vectors: Vectors) -> Vectors:
        """(n, LEVELS) of (n, WIDTH): logarithms of probabilities, but for a constant a row."""
        t = self.tensors
        assert vectors.shape[1:] == (WIDTH,)
        rows = vectors[:, : 2 * HISTORY].reshape(-1, 2, HISTORY)
        sizes = vectors[:, 2 * HISTORY : 2 * HISTORY + AHEAD * LEVELS].reshape(-1, AHEAD, LEVELS)
        joined = np.concatenate(
            (
                _filtered(rows[:, :1], t["throughput.weight"], t["throughput.bias"]),
                _filtered(rows[:, 1:], t["download.weight"], t["download.bias"]),
                _filtered(sizes, t["sizes.weight"], t["sizes.bias"]),
                _relu(vectors[:, -DENSE:] @ t["dense.weight"].T + t["dense.bias"]),
            ),
            axis=1,
        )  # (n, JOINED)
        hidden = _relu(joined @ t["hidden.weight"].T + t["hidden.bias"])
        scores: Vectors = hidden @ t["levels.weight"].T + t["levels.bias"]
        return scores

    def best(self, vectors: Vectors) -> NDArray[np.int64]:
        """(n,) the level of the highest score; of equal ones the lowest level."""
        return np.argmax(self.scores(vectors), axis=1)


def _relu(values: Vectors) -> Vectors:
    return np.maximum(values, np.float32(0.0))


def _filtered(rows: Vectors, weight: Vectors, bias: Vectors) -> Vectors:
    """(n, FILTERS x places) of (n, channels, length), laid out as torch flattens a Conv1d's output."""
    windows = np.lib.stride_tricks.sliding_window_view(rows, KERNEL, axis=2)  # (n, channels, places, KERNEL)
    n, channels, places, _ = windows.shape
    flat = windows.transpose(0, 2, 1, 3).reshape(n, places, channels * KERNEL)
    out = flat @ weight.reshape(FILTERS, -1).T + bias  # (n, places, FILTERS)
    return _relu(out.transpose(0, 2, 1).reshape(n, FILTERS * places))


def checked(tensors: Tensors, name: str) -> Actor:
    """An actor of tensors that are what `SHAPES` says.

    Raises:
        WeightsError: a tensor that is missing, of another shape, or holds what is no number.
    """
    for key, shape in SHAPES.items():
        if key not in tensors:
            raise PensieveNetError(f"{name}: no tensor {key!r}; these are no GENET weights")
        if tensors[key].shape != shape:
            raise PensieveNetError(f"{name}: {key} has shape {tensors[key].shape}; expected {shape}")
        if not np.isfinite(tensors[key]).all():
            raise PensieveNetError(f"{name}: {key} holds a value that is no number; the training went wrong")
    return Actor({key: np.ascontiguousarray(tensors[key], np.float32) for key in SHAPES})


def read(path: Path) -> Actor:
    """The actor in a safetensors file.

    Raises:
        WeightsError: no such file, or not GENET's weights.
    """
    try:
        return checked(load(read_bytes(path)), str(path))
    except BadFileError as error:
        raise PensieveNetError(str(error)) from None
    except (OSError, SafetensorError) as error:
        raise PensieveNetError(f"{path}: cannot be read as safetensors ({error})") from None


def packed(actor: Actor, about: dict[str, str]) -> bytes:
    """A safetensors file's content, with `about` as its metadata."""
    return save(actor.tensors, about)


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    return sha256_of(path)

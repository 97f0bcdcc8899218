"""The nets of `small` and `crowd`, computed with numpy: two hidden layers, and a step from where the head
is."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

import numpy as np

from player.viewport.windows import Floats, ViewportObservation
from policies.viewport.features import crowd, from_residual, head, moves

HIDDEN = 128
LAYERS = 3
MOST = 6.0
"""Inputs count within so many of their usual sizes."""
SIZE = "size"
"""Of a file: the usual size of each input."""


def inputs_of(name: str, seen: ViewportObservation) -> Floats:
    """(n, inputs) of the predictor of that name."""
    if name == "ridge":
        return moves(seen)
    return np.concatenate([head(seen), crowd(seen)], axis=1) if name == "crowd" else head(seen)


def weights_file(name: str) -> Traversable:
    """Where the weights lie."""
    return resources.files("policies.viewport") / "weights" / f"{name}.safetensors"


@cache
def weights_of(name: str) -> dict[str, Floats]:
    """The weights, as float64."""
    from safetensors.numpy import load

    return {key: value.astype(np.float64) for key, value in load(weights_file(name).read_bytes()).items()}


def weights_sha256(name: str) -> str:
    """Of the file."""
    return hashlib.sha256(weights_file(name).read_bytes()).hexdigest()


def answer_of(weights: dict[str, Floats], inputs: Floats) -> Floats:
    """(n, outputs) of a net with rectified layers."""
    values = np.clip(inputs / weights[SIZE], -MOST, MOST)
    for layer in range(LAYERS):
        values = values @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"]
        if layer < LAYERS - 1:
            values = np.maximum(values, 0.0)
    return values


class _Learned:
    """A net with weights of its own."""

    name: str

    def __init__(self) -> None:
        self._weights = weights_of(self.name)
        self.weights_sha256 = weights_sha256(self.name)

    def reset(self, seed: int) -> None:
        """Nothing is kept."""

    def predict(self, seen: ViewportObservation) -> Floats:
        """(n, FUTURE, 3) degrees."""
        return from_residual(seen, answer_of(self._weights, inputs_of(self.name, seen)))


class Small(_Learned):
    """A net of 31,000 weights that sees how the head moved and is held."""

    name = "small"


class Crowd(_Learned):
    """The net of `small`, which also sees where earlier viewers of the video looked."""

    name = "crowd"


class Ridge:
    """A linear map of the last nine steps of the head, fitted by least squares with a penalty.

    Args:
        share: of the answer that is taken; what is fitted to squares goes too far for the measure of
        absolutes.
    """

    def __init__(self, share: float = 1.0) -> None:
        self._weights = weights_of("ridge")["0.weight"]
        self.weights_sha256 = weights_sha256("ridge")
        self._share = share

    def reset(self, seed: int) -> None:
        """Nothing is kept."""

    def predict(self, seen: ViewportObservation) -> Floats:
        """(n, FUTURE, 3) degrees."""
        return from_residual(seen, self._share * (inputs_of("ridge", seen) @ self._weights.T))

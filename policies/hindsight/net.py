"""The network at decision time: matrix products of numpy over a view, from a safetensors file. No torch.

The same small network looks at every level: what is known of the session goes through a trunk, each level's
numbers are joined with the trunk's, the levels see each other by the mean and the largest of what all of
them have come to, and each ends in one number: what the level is worth less what the best is worth. So one
set of weights serves ladders of any length up to `MAX_LEVELS`.

    t   = relu(trunk1 relu(trunk0 session))                        (batch, hidden)
    e_i = relu(option level_i + session t)                         (batch, levels, hidden)
    h_i = relu(second e_i + pooled [mean of e, largest of e])      (batch, levels, hidden)
    value_i = last h_i
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from policies.view import layout
from policies.view.layout import GLOBAL, MAX_LEVELS, Vectors, options_of
from traces.files import write_aside
from traces.safe_reading import BadFileError, read_bytes

Array = NDArray[np.float32]
Member = Mapping[str, tuple[Array, Array]]
"""Weight (outputs, inputs) and bias (outputs,) of each layer in `LAYERS`."""

LAYERS = ("trunk0", "trunk1", "option", "session", "second", "pooled", "last")
FORMAT = f"view {layout.VERSION}, up to {MAX_LEVELS} levels"
"""What a file says of the inputs that its weights are made for."""


class OptionNetError(ValueError):
    """A weights file that cannot be used; the message names the file, the fault and the way out."""


@dataclass(frozen=True)
class OptionNet:
    """One or more members, and the digest of the file that they came from."""

    members: tuple[Member, ...]
    sha256: str = ""
    caution: float = 1.0
    """What the cost of a stall is multiplied by before the network is told it: chosen on held-out traces, for
    training flattens the worst stalls, and what has been drawn is milder than what may come."""

    def values(self, vectors: Vectors) -> Array:
        """(batch, MAX_LEVELS) of (batch, WIDTH), the mean of the members; 0 where there is no such level."""
        levels = _most_levels(vectors)
        total = np.zeros((len(vectors), MAX_LEVELS), np.float32)
        for member in self.members:
            total[:, :levels] += forward(member, vectors, levels)
        return total / np.float32(len(self.members))

    @classmethod
    def read(cls, path: Path) -> OptionNet:
        """The network of a file.

        Raises:
            OptionNetError: no such file, no safetensors, another view's weights, or layers that don't fit.
        """
        try:
            content = read_bytes(path)
        except BadFileError as error:
            raise OptionNetError(str(error)) from None
        except OSError as error:
            raise OptionNetError(f"{path}: {error.strerror}; train makes such a file") from None
        try:
            tensors = load(content)
        except SafetensorError as error:
            raise OptionNetError(f"{path}: no safetensors file ({error})") from None
        members: list[Member] = []
        while f"{len(members)}.{LAYERS[0]}.weight" in tensors:
            members.append(_member(path, tensors, len(members)))
        if not members:
            raise OptionNetError(f"{path}: no tensor 0.{LAYERS[0]}.weight; these are not hindsight's weights")
        return cls(tuple(members), hashlib.sha256(content).hexdigest(), _caution(path, tensors))


def forward(member: Member, vectors: Vectors, levels: int) -> Array:
    """(batch, levels) of one member."""
    rows = options_of(vectors)[:, :levels]
    there = rows[:, :, layout.EXISTS, None]  # (batch, levels, 1)
    trunk = _relu(_relu(vectors[:, :GLOBAL] @ member["trunk0"][0].T + member["trunk0"][1])
                  @ member["trunk1"][0].T + member["trunk1"][1])  # fmt: skip
    session = trunk @ member["session"][0].T + member["session"][1]
    each = _relu(rows @ member["option"][0].T + member["option"][1] + session[:, None]) * there
    mean = each.sum(axis=1) / np.maximum(there.sum(axis=1), 1.0)
    pooled = np.concatenate((mean, each.max(axis=1)), axis=1) @ member["pooled"][0].T + member["pooled"][1]
    hidden = _relu(each @ member["second"][0].T + member["second"][1] + pooled[:, None])
    values = (hidden @ member["last"][0].T + member["last"][1])[:, :, 0]
    return np.asarray(values * there[:, :, 0])


def write_net(path: Path, members: Sequence[Member], notes: dict[str, str], caution: float = 1.0) -> None:
    """Write members in half precision, with `notes` and `FORMAT` as the file's metadata; aside, then renamed.

    Args:
        caution: as in `OptionNet`.

    Raises:
        OSError: it cannot be written.
    """
    tensors: dict[str, NDArray[Any]] = {
        "format": np.frombuffer(FORMAT.encode(), np.uint8), "caution": np.array([caution])
    }  # fmt: skip
    for number, member in enumerate(members):
        for name in LAYERS:
            weight, bias = member[name]
            tensors[f"{number}.{name}.weight"] = np.ascontiguousarray(weight, np.float16)
            tensors[f"{number}.{name}.bias"] = np.ascontiguousarray(bias, np.float16)
    write_aside(path, save(tensors, {"format": FORMAT, **notes}))


def _member(path: Path, tensors: Mapping[str, Any], number: int) -> Member:
    said = bytes(tensors["format"]).decode(errors="replace") if "format" in tensors else "nothing"
    if said != FORMAT:
        raise OptionNetError(f"{path}: made for {said!r}, not for {FORMAT!r}; train makes such a file")
    found: dict[str, tuple[Array, Array]] = {}
    for name in LAYERS:
        weight, bias = (tensors.get(f"{number}.{name}.{part}") for part in ("weight", "bias"))
        if weight is None or bias is None or weight.ndim != 2 or bias.shape != weight.shape[:1]:
            raise OptionNetError(f"{path}: layer {number}.{name} is missing or misshapen")
        found[name] = weight.astype(np.float32), bias.astype(np.float32)
    wanted = _inputs(found)
    for name in LAYERS:
        if found[name][0].shape[1] != wanted[name]:
            shape = found[name][0].shape
            raise OptionNetError(
                f"{path}: layer {number}.{name} of shape {shape} takes no {wanted[name]} inputs"
            )
    if len(found["last"][1]) != 1 or len(found["second"][1]) != len(found["pooled"][1]):
        raise OptionNetError(f"{path}: member {number} does not end in one value a level")
    return found


def _caution(path: Path, tensors: Mapping[str, Any]) -> float:
    said = np.asarray(tensors.get("caution", np.ones(1)), np.float64)
    if said.shape != (1,) or not 0.0 < said[0] < np.inf:
        raise OptionNetError(f"{path}: caution {said.tolist()} is no number above 0; join makes such a file")
    return float(said[0])


def _inputs(found: Member) -> dict[str, int]:
    """How many inputs each layer has to take."""
    outputs = {name: len(bias) for name, (_, bias) in found.items()}
    return {
        "trunk0": GLOBAL, "trunk1": outputs["trunk0"], "session": outputs["trunk1"],
        "option": len(layout.ATTRIBUTES), "second": outputs["option"], "pooled": 2 * outputs["session"],
        "last": outputs["second"],
    }  # fmt: skip


def _most_levels(vectors: Vectors) -> int:
    there = (options_of(vectors)[:, :, layout.EXISTS] > 0.0).any(axis=0)
    return int(there.sum())


def _relu(values: Array) -> Array:
    return np.maximum(values, np.float32(0.0))

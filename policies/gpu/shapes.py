"""The models that are timed: the shipped base with few and with all layers, and one of half a billion."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from policies.llm.model.base import resolve
from policies.llm.model.base_names import DEFAULT
from policies.llm.model.random import random_adapter
from policies.llm.task import Task

HALF_BILLION = {
    "model_type": "qwen2",
    "architectures": ["Qwen2ForCausalLM"],
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "vocab_size": 1,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
    "use_sliding_window": False,
}
"""Qwen2.5-0.5B (Qwen team, 2024) but for its words, which are never asked for."""
NAME = "0.5b"


@dataclass(frozen=True)
class TimedShape:
    """A model to time, with weights that know nothing."""

    name: str
    base: str
    layers: int
    adapter: Path


def shapes(
    task: Task, names: Sequence[str], folder: Path, base: str = DEFAULT, config: dict[str, Any] | None = None
) -> Iterator[TimedShape]:
    """Each shape, its random adapter in a folder of its own below `folder`.

    Args:
        names: a number of the base's first layers, or `0.5b`.
        config: of the large one; None for `HALF_BILLION`.

    Raises:
        BaseError: the base isn't there, or has fewer layers.
    """
    for name in names:
        if name == NAME:
            large = folder / "large"
            write_shape(large, config or HALF_BILLION)
            based = f"random:0:{large.resolve()}"
            layers = resolve(based).layers
        else:
            based, layers = base, int(name)
        yield TimedShape(name, based, layers, random_adapter(task, folder / f"shape-{name}", based, layers))


def write_shape(folder: Path, config: dict[str, Any]) -> None:
    """A base's folder whose weights are drawn where it is used: no weight of it lies there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file({"none": np.zeros(1, np.float32)}, folder / "model.safetensors")

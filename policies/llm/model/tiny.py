"""A tiny model with random weights and an adapter for it, made on the spot: for tests of the machinery."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from policies.llm.model import adapter
from policies.llm.model.backbone import transformers
from policies.llm.model.base import resolve
from policies.llm.model.model import Model
from policies.llm.model.several import SeveralModels
from policies.llm.model.shape import Shape
from policies.llm.task import Task

_LLAMA: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 64,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "llama": _LLAMA,
    "llama-biased": _LLAMA | {"attention_bias": True, "mlp_bias": True},
    "qwen2": _LLAMA,
    "gpt2": {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 256, "vocab_size": 64},
}


def tiny_base(folder: Path, kind: str = "llama", seed: int = 0) -> Path:
    """Write a tiny language model's directory, which knows three words; a base model by that name."""
    module = transformers()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = module.AutoConfig.for_model(
            kind.removesuffix("-biased"), **CONFIGS[kind], pad_token_id=None, bos_token_id=0, eos_token_id=0
        )
        model = module.AutoModelForCausalLM.from_config(config)
        for name, weight in model.named_parameters():
            if name.endswith("bias"):  # zeros in the beginning, which would hide one that is left out
                torch.nn.init.normal_(weight, std=0.1)
        model.save_pretrained(folder)
    words = {word: place for place, word in enumerate(("?", "next", "level", "stall"))}
    pieces = Tokenizer(WordLevel(words, "?"))
    pieces.pre_tokenizer = Whitespace()
    module.PreTrainedTokenizerFast(tokenizer_object=pieces, unk_token="?").save_pretrained(folder)
    return folder


def tiny_model(task: Task, base_folder: Path, seed: int = 0, **shape: Any) -> Model:
    """A model over a tiny base whose low-rank matrices and head do something."""
    base = resolve(str(base_folder))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = Shape(base.name, **{"layers": 2, "rank": 4, "hidden": 16} | shape)
        model = Model(base, made, task.modalities, task.head)
        for name, weight in model.named_parameters():
            if "lora_B" in name or name.startswith("head."):
                torch.nn.init.normal_(weight, std=0.3)
    return model.eval()


def tiny_adapter(task: Task, folder: Path, kind: str = "llama", seed: int = 0, **shape: Any) -> Path:
    """Write `folder/base` and `folder/adapter`; the adapter's folder.

    Args:
        kind: an architecture of `CONFIGS`.
        shape: fields of `Shape` that differ.
    """
    model = tiny_model(task, tiny_base(folder / "base", kind, seed), seed, **shape)
    save(task, model, folder / "adapter")
    return folder / "adapter"


def tiny_several(tasks: Sequence[Task], folder: Path, seed: int = 0, **shape: Any) -> Path:
    """As `tiny_adapter`, of several tasks."""
    base = resolve(str(tiny_base(folder / "base", seed=seed)))
    with torch.random.fork_rng(devices=[]):
        made = Shape(base.name, **{"layers": 2, "rank": 4, "hidden": 16} | shape)
        model = SeveralModels(base, made, tasks, seed)
        for name, weight in model.named_parameters():
            if "lora_B" in name or ".head." in name:
                torch.nn.init.normal_(weight, std=0.3)
    save_several(model, folder / "adapter")
    return folder / "adapter"


def save_several(model: SeveralModels, folder: Path) -> None:
    """Write the adapter of models of several tasks."""
    adapter.write_several(
        folder,
        model.learned_state(),
        tasks=model.tasks,
        shape=model.shape,
        base=model.base,
        objective="distill",
        notes={},
    )


def save(task: Task, model: Model, folder: Path) -> None:
    """Write a model's adapter for a task."""
    adapter.write(
        folder,
        model.learned_state(),
        task=task,
        shape=model.shape,
        base=model.base,
        objective="distill",
        target=None,
        notes={},
    )

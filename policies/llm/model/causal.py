"""Which language models can be adapted: those whose every token is made from the ones before it.

A decision is read off the last token of a growing context. A model whose tokens look at later ones too (BERT
and its kin) would be adapted on what it cannot know when it decides, and an encoder-decoder (T5, BART) has no
such token.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from policies.llm.model.base_names import DEFAULT, BaseError

ENCODER_DECODERS = re.compile(
    r"[a-z]*t5.*|.*bart.*|pegasus.*|marian|led|blenderbot.*|prophetnet|m2m_100|fsmt|mvp|nllb.*|encoder-decoder"
    r"|switch_transformers|whisper|seamless_m4t.*"
)
"""Model types."""
BIDIRECTIONAL = re.compile(
    r".*bert.*|.*electra.*|xlm|xlnet|mpnet|big_?bird|longformer|nystromformer|yoso|fnet|funnel|canine|luke|mra"
    r"|deberta.*|ernie.*|esm|data2vec-text|flaubert|reformer-mlm|rembert|splinter|nomic.*|jina.*"
)
"""Model types; with `is_decoder` they look back only."""
WAY_OUT = f"take a causal (decoder-only) language model, such as {DEFAULT} or Qwen/Qwen2.5-0.5B"
CAUSAL = "ForCausalLM"
"""End of architectures that look back only; one that doesn't is found out by the trial at load."""
WHOLE_TEXT = ("ForMaskedLM", "ForPreTraining", "ForTokenClassification", "ForQuestionAnswering")
"""Ends of architectures that only models have which see a whole text at once."""


def refuse_not_causal(name: str, config: Mapping[str, Any]) -> None:
    """Refuse, by what a config.json says, a base that is no decoder-only model.

    Raises:
        BaseError: what it is, and what to take.
    """
    kind = str(config.get("model_type", ""))
    listed = config.get("architectures")
    made = [str(each) for each in listed] if isinstance(listed, list) else []
    what = f"{kind} ({made[0]})" if made else kind
    named_causal = any(each.endswith(CAUSAL) for each in made)  # of such a kind are some that are (ernie4_5)
    if config.get("is_encoder_decoder") or (ENCODER_DECODERS.fullmatch(kind) and not named_causal):
        raise BaseError(f"base {name}: {what} is an encoder-decoder, which is fed by two ways; {WAY_OUT}")
    decoder = kind.endswith("-decoder") or named_causal
    whole = (BIDIRECTIONAL.fullmatch(kind) and not decoder) or any(each.endswith(WHOLE_TEXT) for each in made)
    says = config.get("is_causal") is False or config.get("use_bidirectional_attention") is True
    if (whole and not config.get("is_decoder")) or says:
        raise looks_ahead(name, what)


def looks_ahead(name: str, what: str) -> BaseError:
    """The refusal of a base whose tokens see later ones."""
    return BaseError(
        f"base {name}: {what} is bidirectional: its tokens look ahead, at what is not known yet when it"
        f" decides; {WAY_OUT}"
    )

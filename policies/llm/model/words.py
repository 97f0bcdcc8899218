"""Words for the language model: a base's vocabulary, and the task prompt in front of a session's steps.

Trailblazer's NIOKA (arXiv 2512.11839) surrounds the backbone with knowledge of the task. Here that is a short
text of real tokens: what is decided, for what goal, in which units. Its embeddings come out of the base's
frozen table and are kept in the adapter, so that deciding needs neither table nor tokenizer; an engine
computes them once and every session's context begins with them.
"""

from __future__ import annotations

from typing import Any

import torch

from policies.llm.model import backbone
from policies.llm.model.base import DEFAULT, Base, BaseError


def tokenizer_of(base: Base) -> Any:
    """The vocabulary of a base; the default one's comes out of its GGUF file."""
    module = backbone.transformers()
    if base.name == DEFAULT:
        from policies.llm.model.base_gguf import gguf_file

        path = gguf_file()
        return module.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    return module.AutoTokenizer.from_pretrained(base.folder)


def embedded(base: Base, text: str) -> torch.Tensor:
    """(tokens, width) of a text, in float32.

    Raises:
        BaseError: the base has no words: weights drawn at random, or no tokenizer beside them.
    """
    if base.folder is None or base.random_seed is not None:
        raise BaseError(f"base {base.name}: no words, its weights are random; leave out the task prompt")
    try:
        ids = tokenizer_of(base)(text)["input_ids"]
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BaseError(f"base {base.name}: no tokenizer ({reason}); leave out the task prompt") from None
    for table in backbone.stored(base, backbone.is_words).values():
        return table[torch.tensor(ids)].float()
    raise BaseError(f"base {base.name}: no table of words in its files; leave out the task prompt")

"""What a model is made of: which part of which language model, what learns, and the encoder's size."""

from __future__ import annotations

from dataclasses import dataclass

LORA = "lora"
FROZEN = "frozen"
"""Encoder and head alone learn."""
FULL = "full"
"""Every weight learns."""
TRAINED = (LORA, FROZEN, FULL)

ATTENTION = "attention"
"""LoRA on what makes queries and values (Hu et al., 2022), or on the one projection that makes both."""
ALL = "all"
"""LoRA on every projection of every layer."""
TARGETS = (ATTENTION, ALL)


@dataclass(frozen=True)
class Shape:
    """What a model is made of."""

    base: str
    layers: int
    train: str = LORA
    rank: int = 32
    alpha: float = 64.0
    targets: str = ATTENTION
    tokens: int = 1
    """A decision step makes."""
    hidden: int = 128
    """Width of each modality's features."""
    prompt: str = ""
    """Words in front of every session's steps (`words.py`)."""

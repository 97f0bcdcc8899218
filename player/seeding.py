"""The generators that all of a process draws from, set for a session, so that it comes out the same again.

A policy may draw from `random`, `numpy.random` or torch. Its own generator, made from the seed that `reset`
tells, is the better one: two policies of a process then don't disturb each other.
"""

from __future__ import annotations

import random
import sys

_SEEDS = 2**32
"""`numpy.random.seed` takes no more."""


def seed_generators(seed: int) -> None:
    """Set those that are there; what is imported later than that begins as its library has it."""
    random.seed(seed)
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None:
        numpy.random.seed(seed % _SEEDS)
    if torch is not None:
        torch.manual_seed(seed % _SEEDS)

"""Random numbers that are the same on every machine: SplitMix64 in integers.

SplitMix64 is counter-based: draw i is a mix of `seed + (i + 1) * GAMMA` modulo 2**64. Floats come from these
integers by +, -, * and / alone, which IEEE 754 rounds correctly everywhere; no logarithm or cosine
of a C library takes part, and no numpy version.

Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
"""

from __future__ import annotations

import hashlib

MASK = (1 << 64) - 1
GAMMA = 0x9E3779B97F4A7C15
_UNIFORMS_IN_A_NORMAL = 12
_HALF_SPAN = _UNIFORMS_IN_A_NORMAL * 65535 / 2


class SplitMix64:
    """A stream of draws; equal seeds give equal streams.

    Args:
        seed: 64 bits, or a label, which is hashed to as many.
    """

    def __init__(self, seed: int | str) -> None:
        self._state = (seed if isinstance(seed, int) else _hashed(seed)) & MASK

    @property
    def state(self) -> int:
        """64 bits, to which `GAMMA` is added for each draw."""
        return self._state

    def bits(self) -> int:
        """The next 64 random bits."""
        self._state = (self._state + GAMMA) & MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
        return mixed ^ (mixed >> 31)

    def uniform(self) -> float:
        """A multiple of 2**-53 in [0, 1)."""
        return (self.bits() >> 11) / 9007199254740992.0

    def normal(self) -> float:
        """Near enough to N(0, 1): the sum of twelve 16-bit uniforms, centred (Irwin-Hall); within +-6."""
        total = 0
        for _ in range(_UNIFORMS_IN_A_NORMAL // 4):
            word = self.bits()
            total += (word & 65535) + (word >> 16 & 65535) + (word >> 32 & 65535) + (word >> 48)
        return (total - _HALF_SPAN) / 65536.0


def _hashed(label: str) -> int:
    return int.from_bytes(hashlib.sha256(label.encode()).digest()[:8], "big")

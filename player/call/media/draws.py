"""Random draws of compiled code: `traces/prng.py`'s SplitMix64, the same on every machine."""

from __future__ import annotations

import numpy as np

from player.call.media.sender_state import Record
from player.compiled.compiled import compiled

_GAMMA = 0x9E3779B97F4A7C15
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_PART = 65535
_HALF_SPAN = 12 * _PART / 2


@compiled
def bits(s: Record) -> int:
    """The next 64 random bits of a record with a field `dice`."""
    s.dice += np.uint64(_GAMMA)
    mixed = s.dice
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(_FIRST)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(_SECOND)
    return mixed ^ (mixed >> np.uint64(31))


@compiled
def uniform(s: Record) -> float:
    """A multiple of 2**-53 in [0, 1)."""
    return np.int64(bits(s) >> np.uint64(11)) / 9007199254740992.0


@compiled
def normal(s: Record) -> float:
    """Near enough to N(0, 1): the sum of twelve 16-bit uniforms, centred (Irwin-Hall); within +-6."""
    total = np.int64(0)
    for _ in range(3):
        word = bits(s)
        for place in range(4):
            total += np.int64((word >> np.uint64(16 * place)) & np.uint64(_PART))
    return (total - _HALF_SPAN) / 65536.0

"""The `published` link and the playback buffer, compiled.

The same float operations in the same order as `simulated/link_published.py` and `player/buffer.py`, which
explain them; don't tidy the arithmetic. A test holds both to be equal to the last bit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from player.buffer import WAIT_STEP_MS
from player.compiled.compiled import compiled
from player.simulated.batch.library import Floats, Ints
from player.simulated.link_published import MAX_INTERVALS, NOISE_HIGH, NOISE_LOW, PAYLOAD

NEVER = -1
"""The index that says: the trace is so near to dark that the chunk would never arrive."""

_MS_PER_S = 1000.0
_NOISE_RANGE = NOISE_HIGH - NOISE_LOW


@compiled
def transfer(
    time_s: Floats, bytes_per_s: Floats, begin: int, end: int, index: int, at_s: float, size_bytes: float
) -> tuple[int, float, float]:
    """Let `size_bytes` through from a position on: the new (index, at_s) and the seconds it took.

    Args:
        begin, end: where the trace lies in the flat arrays; `index` is between them.
    """
    elapsed_s = 0.0
    sent_bytes = 0.0
    for _ in range(MAX_INTERVALS):
        speed = bytes_per_s[index]
        left_s = time_s[index] - at_s
        payload_bytes = speed * left_s * PAYLOAD
        if sent_bytes + payload_bytes > size_bytes:
            fraction_s = (size_bytes - sent_bytes) / speed / PAYLOAD
            return index, at_s + fraction_s, elapsed_s + fraction_s
        sent_bytes += payload_bytes
        elapsed_s += left_s
        at_s = time_s[index]
        index += 1
        if index >= end:
            index = begin + 1
            at_s = 0.0
    return NEVER, at_s, elapsed_s


@compiled
def deliver(
    intervals: NDArray[np.void],
    begin: int,
    end: int,
    index: int,
    size_bytes: float,
    sent_bytes: float,
    elapsed_s: float,
) -> tuple[int, float, float]:
    """As `transfer`, from the beginning of an interval on, with what whole intervals let through looked up.

    Args:
        intervals: of the packed library.
        sent_bytes, elapsed_s: what has come through before, and how long that took.
    """
    for _ in range(MAX_INTERVALS):
        total_bytes = sent_bytes + intervals[np.uint64(index)].payload_bytes
        if total_bytes > size_bytes:
            now = intervals[np.uint64(index)]
            fraction_s = (size_bytes - sent_bytes) / now.bytes_per_s / PAYLOAD
            return index, now.begin_s + fraction_s, elapsed_s + fraction_s
        sent_bytes = total_bytes
        elapsed_s += intervals[np.uint64(index)].end_s - intervals[np.uint64(index)].begin_s
        index += 1
        if index >= end:
            index = begin + 1
    return NEVER, 0.0, elapsed_s


@compiled
def idle(time_s: Floats, begin: int, end: int, index: int, at_s: float, wait_ms: float) -> tuple[int, float]:
    """Let `wait_ms` pass without a download: the new (index, at_s)."""
    while True:
        left_s = time_s[index] - at_s
        if left_s > wait_ms / _MS_PER_S:
            return index, at_s + wait_ms / _MS_PER_S
        wait_ms -= left_s * _MS_PER_S
        at_s = time_s[index]
        index += 1
        if index >= end:
            index = begin + 1
            at_s = 0.0


@compiled
def rest(
    intervals: NDArray[np.void], begin: int, end: int, index: int, at_s: float, wait_ms: float
) -> tuple[int, float]:
    """As `idle`, from what a download has looked up already."""
    while True:
        end_s = intervals[np.uint64(index)].end_s
        left_s = end_s - at_s
        if left_s > wait_ms / _MS_PER_S:
            return index, at_s + wait_ms / _MS_PER_S
        wait_ms -= left_s * _MS_PER_S
        at_s = end_s
        index += 1
        if index >= end:
            index = begin + 1
            at_s = 0.0


@compiled
def hold_ms(buffer_ms: float, cap_ms: float) -> float:
    """How long the next request is held back so that the buffer falls to its cap or below."""
    excess_ms = buffer_ms - cap_ms
    if excess_ms <= 0:
        return 0.0
    return np.ceil(excess_ms / WAIT_STEP_MS) * WAIT_STEP_MS


@compiled
def noise_factors(seed: int, factors: Floats) -> None:
    """Fill `factors` with what numpy's `RandomState(seed)` draws from U(0.9, 1.1), one after the other.

    The generator is MT19937 (Matsumoto and Nishimura 1998): the 624 words are made from the seed, and
    each is renewed when it is due. A double takes 27 and 26 bits of two words.
    """
    words = np.empty(624, np.int64)
    words[0] = seed & 0xFFFFFFFF
    for place in range(1, 624):
        before = words[place - 1]
        words[place] = (1812433253 * (before ^ (before >> 30)) + place) & 0xFFFFFFFF
    due = 0
    for draw in range(len(factors)):
        high = _next_word(words, due) >> 5
        low = _next_word(words, due + 1) >> 6
        due += 2
        factors[draw] = NOISE_LOW + _NOISE_RANGE * ((high * 67108864.0 + low) / 9007199254740992.0)


@compiled
def _next_word(words: Ints, due: int) -> int:
    """Renew the word that is due (counted from the seeding on) and temper it."""
    place = due % 624
    mixed = (words[place] & 0x80000000) | (words[(place + 1) % 624] & 0x7FFFFFFF)
    renewed = words[(place + 397) % 624] ^ (mixed >> 1)
    if mixed & 1:
        renewed ^= 0x9908B0DF
    words[place] = renewed
    renewed ^= renewed >> 11
    renewed ^= (renewed << 7) & 0x9D2C5680
    renewed ^= (renewed << 15) & 0xEFC60000
    return renewed ^ (renewed >> 18)

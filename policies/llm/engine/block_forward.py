"""The whole forward of a Llama in one compiled call: weights in blocks, everything else in float32.

Each row is computed as if it were alone, in the same order whoever stands beside it: its answers are the same
to the last bit in any company. The interpreter's lock is released meanwhile. The arithmetic is
`packed.py`'s but for the products' integers (`block_product.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from player.compiled.compiled import compiled
from policies.llm.engine.block_product import Floats, Wholes, in_integers, product

QUERY, KEY, VALUE, OUTPUT, GATE, UP, DOWN = range(7)
"""A layer's matrices."""
LANES = 16
"""Sums that a sum over a row is made of, so that it can be computed side by side."""

_ZERO, _ONE, _HALF = np.float32(0.0), np.float32(1.0), np.float32(0.5)
_PER_OCTAVE = np.float32(1.4426950408889634)
_OCTAVE, _OCTAVE_REST = np.float32(0.693359375), np.float32(-2.12194440e-4)
_LEAST_POWER, _GREATEST_POWER = np.float32(-87.0), np.float32(88.0)
_SERIES = tuple(
    np.float32(each)
    for each in (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1)
)
"""Of e to the x, as Cephes has it (Moshier, 1992)."""
_T0, _T1, _T2, _T3, _T4 = _SERIES


def _bits(typing: Any, bits: Any) -> Any:
    """The float32 of 32 bits."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return builder.bitcast(given[0], ir.FloatType())

    return types.float32(types.int32), generate


_of_bits: Any = intrinsic(_bits)


@compiled
def power(x: np.float32) -> np.float32:
    """e to the x, in float32, without a library's: the same on every machine, and many side by side."""
    x = min(max(x, _LEAST_POWER), _GREATEST_POWER)
    octaves = np.floor(x * _PER_OCTAVE + _HALF)
    x = x - octaves * _OCTAVE - octaves * _OCTAVE_REST
    series = ((((_T0 * x + _T1) * x + _T2) * x + _T3) * x + _T4) * x + _HALF
    series = series * x * x + x + _ONE
    return series * _of_bits((np.int32(octaves) + np.int32(127)) << np.int32(23))


@compiled
def normed(rows: Floats, weight: Floats, epsilon: np.float32, out: Floats) -> None:
    """Root-mean-square norm of each row."""
    width = rows.shape[1]
    lanes = np.zeros(LANES, np.float32)
    for row in range(len(rows)):
        lanes[:] = _ZERO
        for begin in range(0, width, LANES):
            for lane in range(LANES):
                value = rows[row, begin + lane]
                lanes[lane] += value * value
        total = _ZERO
        for lane in range(LANES):
            total += lanes[lane]
        scale = _ONE / np.sqrt(total / np.float32(width) + epsilon)
        for place in range(width):
            out[row, place] = rows[row, place] * scale * weight[place]


@compiled
def turned(fused: Floats, heads: int, positions: Wholes, cosines: Floats, sines: Floats) -> None:
    """Turn the first heads of each row by its position, in place (rotary)."""
    half = cosines.shape[1] // 2
    for row in range(len(fused)):
        for head in range(heads):
            begin = head * 2 * half
            for place in range(half):
                left, right = fused[row, begin + place], fused[row, begin + half + place]
                cosine, sine = cosines[positions[row], place], sines[positions[row], place]
                fused[row, begin + place] = left * cosine - right * sine
                fused[row, begin + half + place] = right * cosine + left * sine


@compiled
def kept(fused: Floats, heads: int, slots: Wholes, positions: Wholes, keys: Floats, values: Floats) -> None:
    """Put each row's keys and values, which follow its queries, into its slot."""
    kv_heads, wide = keys.shape[1], keys.shape[2]
    for row in range(len(fused)):
        slot, position = slots[row], positions[row]
        for head in range(kv_heads):
            key, value = (heads + head) * wide, (heads + kv_heads + head) * wide
            for place in range(wide):
                keys[slot, head, place, position] = fused[row, key + place]
                values[slot, head, position, place] = fused[row, value + place]


@compiled
def attended(
    fused: Floats, heads: int, slots: Wholes, positions: Wholes, keys: Floats, values: Floats, out: Floats
) -> None:
    """Each row over its own session up to itself.

    Args:
        fused: (rows, …), the queries first.
        keys: (slots, kv heads, head width, most tokens).
        values: (slots, kv heads, most tokens, head width).
        out: (rows, heads x head width).
    """
    kv_heads, wide = keys.shape[1], keys.shape[2]
    share = np.empty(keys.shape[3], np.float32)
    scale = _ONE / np.sqrt(np.float32(wide))
    for row in range(len(fused)):
        seen = positions[row] + 1
        for head in range(heads):
            shared = head * kv_heads // heads
            first = head * wide
            key, value = keys[slots[row], shared], values[slots[row], shared]
            share[:seen] = _ZERO
            for place in range(wide):
                asked = fused[row, first + place] * scale
                for token in range(seen):
                    share[token] += asked * key[place, token]
            total = softened(share, seen)
            mixed = out[row, first : first + wide]
            mixed[:] = _ZERO
            for token in range(seen):
                part = share[token] / total
                for place in range(wide):
                    mixed[place] += part * value[token, place]


@compiled
def softened(scores: Floats, count: int) -> np.float32:
    """Powers of scores, less the greatest, in place; their sum."""
    greatest = scores[0]
    for place in range(1, count):
        greatest = max(greatest, scores[place])
    for place in range(count):
        scores[place] = power(scores[place] - greatest)
    total = _ZERO
    for place in range(count):
        total += scores[place]
    return total


@compiled
def gated(gate_up: Floats, out: Floats) -> None:
    """SwiGLU: the first half of each row, through SiLU, times the second half."""
    width = out.shape[1]
    for row in range(len(out)):
        for place in range(width):
            gate = gate_up[row, place]
            out[row, place] = gate / (_ONE + power(-gate)) * gate_up[row, width + place]


@compiled
def added(rows: Floats, more: Floats) -> None:
    """Add to rows, in place."""
    for row in range(len(rows)):
        for place in range(rows.shape[1]):
            rows[row, place] += more[row, place]


@compiled
def biased(rows: Floats, bias: Floats) -> None:
    """Add the same to every row, in place."""
    for row in range(len(rows)):
        for place in range(rows.shape[1]):
            rows[row, place] += bias[place]


@compiled
def forward(
    rows: Floats,
    slots: Wholes,
    positions: Wholes,
    heads: int,
    places: Wholes,
    gains: Floats,
    biases: Floats,
    norms: Floats,
    epsilon: np.float32,
    turns: Floats,
    keys: Floats,
    values: Floats,
) -> None:
    """All layers, in place: what each row's state becomes, the last norm left out.

    Args:
        rows: (N, width) float32, the new tokens; a session's stand in their order.
        slots, positions: (N,) int64, of the caches.
        heads: of queries.
        places: (layers, 7, 5) int64: where each matrix lies, see `product`; queries, keys and values are for
            columns of one array, and so are gate and up.
        gains: (layers, 7) float32.
        biases: (layers, …) float32 of queries, keys and values; of no width where there is none.
        norms: (layers, 2, width) float32, before attention and before the rest.
        epsilon: of the norms, float32.
        turns: (2, most tokens, head width) float32, cosines and sines.
        keys: (layers, slots, kv heads, head width, most tokens) float32.
        values: (layers, slots, kv heads, most tokens, head width) float32.
    """
    count, width = rows.shape
    kv_heads, wide, inner = keys.shape[2], keys.shape[3], places[0, UP, 3]
    fused = np.empty((count, (heads + 2 * kv_heads) * wide), np.float32)
    mixed, state = np.empty((count, heads * wide), np.float32), np.empty((count, width), np.float32)
    gate_up, through = np.empty((count, 2 * inner), np.float32), np.empty((count, inner), np.float32)
    for layer in range(len(places)):
        place, gain = places[layer], gains[layer]
        normed(rows, norms[layer, 0], epsilon, state)
        numbers, scales = in_integers(state)
        for matrix in range(QUERY, VALUE + 1):
            product(place[matrix], gain[matrix], numbers, scales, fused)
        if biases.shape[1]:
            biased(fused, biases[layer])
        turned(fused, heads + kv_heads, positions, turns[0], turns[1])
        kept(fused, heads, slots, positions, keys[layer], values[layer])
        attended(fused, heads, slots, positions, keys[layer], values[layer], mixed)
        numbers, scales = in_integers(mixed)
        product(place[OUTPUT], gain[OUTPUT], numbers, scales, state)
        added(rows, state)
        normed(rows, norms[layer, 1], epsilon, state)
        numbers, scales = in_integers(state)
        for matrix in range(GATE, UP + 1):
            product(place[matrix], gain[matrix], numbers, scales, gate_up)
        gated(gate_up, through)
        numbers, scales = in_integers(through)
        product(place[DOWN], gain[DOWN], numbers, scales, state)
        added(rows, state)

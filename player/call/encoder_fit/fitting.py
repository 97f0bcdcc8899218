"""The encoder model's figures from the sizes of frames that an encoder made."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

SETTLED = 40
"""Frames after a key frame, or after a change of rate, in which sizes are not yet as usual."""
WATCHED = 25
"""Frames of a change of rate that the lag is fitted to: a second of them."""

Sizes = NDArray[np.float64]


def size_cv(sizes: Sizes, keys: Sequence[int]) -> float:
    """Coefficient of variation of frames' sizes around the mean of the 25 around them.

    The model's sizes vary from frame to frame; slow changes, which the rate control makes up for, aren't
    theirs.

    Args:
        sizes: (frames,) bytes at a constant rate.
        keys: places of key frames; those and the `SETTLED` frames after each are left out.
    """
    usual = np.ones(len(sizes), bool)
    for key in keys:
        usual[key : key + SETTLED] = False
    around = np.convolve(sizes, np.ones(WATCHED) / WATCHED, "same")
    usual[: WATCHED // 2 + 1] = usual[-WATCHED // 2 :] = False
    for key in keys:  # its size is in the means of those before it
        usual[max(key - WATCHED // 2 - 1, 0) : key] = False
    ratio = sizes[usual] / around[usual]
    return float(np.std(ratio) / np.mean(ratio))


def key_ratio(sizes: Sizes, keys: Sequence[int]) -> float:
    """A key frame's size over that of the frames long after it; the first of all is left out."""
    usual = [np.mean(sizes[key + SETTLED : key + 6 * SETTLED]) for key in keys[1:]]
    return float(np.mean([sizes[key] for key in keys[1:]] / np.array(usual)))


def after_key(sizes: Sizes, keys: Sequence[int]) -> Sizes:
    """(SETTLED,) mean sizes of the frames after key frames over those long after; the first is left out."""
    profiles = [
        sizes[key + 1 : key + 1 + SETTLED] / np.mean(sizes[key + SETTLED : key + 6 * SETTLED])
        for key in keys[1:]
    ]
    return np.asarray(np.mean(profiles, axis=0))


def payback_share(profile: Sizes, ratio: float) -> float:
    """The share of a frame's budget that pays back a key frame, which fits best.

    Args:
        profile: (frames,) sizes after a key frame over the usual.
        ratio: of the key frame, over the usual.
    """

    def misfit(share: float) -> float:
        debt, error = ratio - 1.0, 0.0
        for size in profile:
            paid = min(debt, share)
            debt -= paid
            error += (size - (1.0 - paid)) ** 2
        return error

    return _best(misfit, np.linspace(0.0, 0.9, 91))


def lag_frames(sizes: Sizes, change: int, before: float, after: float) -> float:
    """The time constant, in frames, with which sizes follow a target that changes.

    Args:
        sizes: (frames,) bytes, the rate being changed before frame `change`.
        before, after: the mean sizes that the two rates ask for.
    """
    seen = sizes[change : change + WATCHED]

    def misfit(lag: float) -> float:
        left = math.exp(-1.0 / lag) if lag > 0 else 0.0
        model = after + (before - after) * left ** np.arange(1, len(seen) + 1)
        return float(np.sum((seen - model) ** 2))

    return _best(misfit, np.linspace(0.0, 60.0, 601))


def _best(misfit: Callable[[float], float], candidates: Sizes) -> float:
    errors = [misfit(float(each)) for each in candidates]
    return float(candidates[int(np.argmin(errors))])

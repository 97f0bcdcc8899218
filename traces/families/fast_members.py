"""A member with sub-second variation: a function of member and layer alone, the same on every machine.

Only operations that IEEE 754 rounds in one way take part, in a fixed order (sums go from left to right), and
rates are rounded to 0.001 Mbit/s: half of that is the most by which a step's mean differs from the member's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from traces.families.fast_layer import BINS_A_SECOND, GAP_SHARES, SCORES, SUFFIX, FastLayer, Kind
from traces.families.fast_noise import Floats, autoregression, normals, uniforms
from traces.prng import SplitMix64
from traces.trace import Trace

_LOWEST, _STEPS_A_SCORE = SCORES[0], 4.0
"""Scores stand a quarter apart."""


def scores(kind: Kind, label: str, count: int) -> Floats:
    """The kind's score of each bin: (count,)."""
    slow = autoregression(normals(f"{label}/slow", count), kind.slow_keep)
    quick = autoregression(normals(f"{label}/quick", count), kind.quick_keep)
    return mixed(slow, quick, kind.slow_share)


def mixed(slow: Floats, quick: Floats, slow_share: float) -> Floats:
    """The score of its two parts: (n,), variance 1 as theirs."""
    return float(np.sqrt(slow_share)) * slow + float(np.sqrt(1.0 - slow_share)) * quick


def looked_up(tables: Floats, rows: NDArray[np.int64], score: Floats) -> Floats:
    """Each bin's multiple, linear between the table's scores.

    Args:
        tables: (bands, 25).
        rows: (n,) the band of each.
        score: (n,).
    """
    place = np.minimum(np.maximum((score - _LOWEST) * _STEPS_A_SCORE, 0.0), len(SCORES) - 1.0)
    index = np.minimum(place.astype(np.int64), len(SCORES) - 2)
    share = place - index
    low, high = tables[rows, index], tables[rows, index + 1]
    return low + share * (high - low)


def gap_length(gap_bins: Sequence[float], share: float) -> int:
    """Bins of the gap that `share` (0 to 1) of the gaps don't outlast; 1 or more."""
    above = next(index for index in range(1, len(GAP_SHARES)) if share <= GAP_SHARES[index])
    low, high = GAP_SHARES[above - 1], GAP_SHARES[above]
    inside = (share - low) / (high - low)
    return max(int(gap_bins[above - 1] + inside * (gap_bins[above] - gap_bins[above - 1]) + 0.5), 1)


def gaps(kind: Kind, rows: NDArray[np.int64], label: str) -> NDArray[np.bool_]:
    """Which bins are in a gap: (n,)."""
    hazard = np.asarray([band.gap_hazard for band in kind.bands])
    begins = np.flatnonzero(uniforms(f"{label}/gap", len(rows)) < hazard[rows])
    lengths = uniforms(f"{label}/length", len(rows))
    dark = np.zeros(len(rows), dtype=bool)
    over = 0
    for begin in begins.tolist():
        if begin >= over:
            over = begin + gap_length(kind.gap_bins, float(lengths[begin]))
            dark[begin:over] = True
    return dark


def band_rows(kind: Kind, mbps: Floats) -> NDArray[np.int64]:
    """The band of each mean rate."""
    edges = np.asarray([band.up_to_mbps for band in kind.bands[:-1]])
    return np.searchsorted(edges, mbps, side="right").astype(np.int64)


def spread(kind: Kind, rows: NDArray[np.int64], score: Floats, dark: NDArray[np.bool_], bins: int) -> Floats:
    """How the bytes of each step are spread over its bins: multiples of its mean, whose mean is 1.

    Args:
        rows: (steps * bins,) the band of each bin.
        score: as `rows`.
        dark: as `rows`, whether in a gap.
        bins: of a step.

    Returns:
        (steps, bins).
    """
    tables = np.asarray([band.multiple for band in kind.bands])
    plain = looked_up(tables, rows, score).reshape(-1, bins)
    gapped = np.where(dark.reshape(-1, bins), 0.0, plain)
    for fallback in (plain, np.ones_like(plain)):  # a step that carries something isn't dark throughout
        empty = ~(gapped > 0).any(axis=1)
        gapped[empty] = fallback[empty]
    total = np.cumsum(gapped, axis=1)[:, -1]  # a running sum has one order, np.sum hasn't
    return gapped * (float(bins) / total)[:, None]


def multiples(kind: Kind, step_mbps: Floats, bins: int, label: str) -> Floats:
    """`spread` over steps of the mean rates `step_mbps` (steps,), by the draws of `label`."""
    rows = np.repeat(band_rows(kind, step_mbps), bins)
    return spread(kind, rows, scores(kind, label, len(rows)), gaps(kind, rows, label), bins)


def under_the_peak(rates: Floats, step_mbps: Floats, most_mbps: float) -> Floats:
    """The bins' rates, none over `most_mbps` or twice its step's mean: what was over goes to the step's other
    bins, to each by the room that it has.

    Args:
        rates: (steps, bins) Mbit/s.
        step_mbps: (steps,) their means.
    """
    peak = np.maximum(most_mbps, 2.0 * step_mbps)[:, None]
    cut = np.minimum(rates, peak)
    over = np.cumsum(rates - cut, axis=1)[:, -1]
    room = peak - cut
    in_all = np.cumsum(room, axis=1)[:, -1]
    return cut + room * (over / in_all)[:, None]


def kind_of(layer: FastLayer, label: str) -> Kind:
    """The kind that a member belongs to: each as often."""
    return layer.kinds[int(SplitMix64(f"{label}/kind").uniform() * len(layer.kinds))]


@lru_cache(maxsize=8)
def _times(bins: int) -> tuple[float, ...]:
    """Shared by members of one length: half of their memory."""
    return tuple((np.arange(bins + 1) / float(BINS_A_SECOND)).tolist())


def fast_member(member: Trace, layer: FastLayer) -> Trace:
    """A member of a family with the layer's variation over it, named `FAMILY-fast/INDEX`.

    Args:
        member: with even steps, each a whole number of bins.
    """
    family, _, index = member.name.rpartition("/")
    name, label = f"{family}{SUFFIX}/{index}", f"streambed/{family}{SUFFIX}/{index}"
    step_mbps = np.asarray(member.rate_mbps[1:])
    bins = round(member.time_s[1] * BINS_A_SECOND)
    kind = kind_of(layer, label)
    spread = multiples(kind, step_mbps, bins, label) * step_mbps[:, None]
    spread = under_the_peak(spread, step_mbps, kind.most_mbps)
    rates = (np.floor(spread * 1000.0 + 0.5) / 1000.0).ravel().tolist()
    return Trace(name, _times(len(rates)), (rates[0], *rates), family + SUFFIX)

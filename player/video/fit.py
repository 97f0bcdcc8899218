"""From the measured sizes of a video to a recipe that generates one like it.

Mean, spread and correlation go into the recipe as measured, and the generator meets them exactly.
What it meets only in expectation is how neighbouring chunks hang together; of `SEEDS` seeds that
one is taken whose sample comes closest to the measured lag-1 and lag-2 autocorrelation.
"""

from __future__ import annotations

import dataclasses
import itertools
import math

from player.video.generator import Recipe, generate
from player.video.statistics import SizeFigures, size_figures
from player.video.video import Video

SEEDS = 1000


def fit(video: Video, name: str, about: str) -> Recipe:
    """A recipe for a video like `video`, with its own ladder and number of chunks."""
    measured = size_figures(video)
    recipe = Recipe(
        name=name,
        about=about,
        chunk_s=video.chunk_s,
        chunks=video.chunks,
        ladder_kbps=video.ladder_kbps,
        mean_bytes=tuple(round(mean, 1) for mean in measured.mean_bytes),
        spread=tuple(round(spread, 4) for spread in measured.spread),
        correlation=tuple(tuple(round(value, 4) for value in row) for row in measured.correlation),
        lag1=round(math.fsum(measured.lag1) / video.levels, 4),
        seed=0,
    )
    candidates = (dataclasses.replace(recipe, seed=seed) for seed in range(SEEDS))
    return min(candidates, key=lambda candidate: _distance(generate(candidate), measured))


def _distance(video: Video, measured: SizeFigures) -> float:
    """Largest difference in autocorrelation; infinite where a higher level has a smaller chunk."""
    if any(low >= high for row in video.sizes_bytes for low, high in itertools.pairwise(row)):
        return math.inf
    made = size_figures(video)
    pairs = zip(made.lag1 + made.lag2, measured.lag1 + measured.lag2, strict=True)
    return max(abs(a - b) for a, b in pairs)

"""Chunk sizes made from a few figures: identical on every machine and Python version.

A scene that is hard to encode is large at every level, so a chunk's sizes deviate from their means
together. The model: one vector of deviations per chunk, Gaussian-like, an AR(1) process over the
chunks, correlated across levels. The sample itself is then whitened and coloured, so that it has
not just in expectation but exactly the mean, spread and correlation that were asked for.

Bit-identical results need care: only integers, `math.fsum` (correctly rounded), the four basic
operations and `math.sqrt`, which IEEE 754 fixes to the last bit, appear here; no `exp` or `cos` of
some C library, no numpy, no `sum`, whose rounding changed in Python 3.12.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from player.video.pictures import pictures_of
from player.video.video import Video, VideoError
from traces.prng import SplitMix64

Matrix = list[list[float]]


@dataclass(frozen=True)
class Recipe:
    """The figures that a built-in video is made from."""

    name: str
    about: str
    chunk_s: float
    chunks: int
    ladder_kbps: tuple[int, ...]
    mean_bytes: tuple[float, ...]
    """[level]."""
    spread: tuple[float, ...]
    """[level] standard deviation (n - 1) of the sizes / their mean."""
    correlation: tuple[tuple[float, ...], ...]
    """[level][level] of the sizes of one chunk."""
    lag1: float
    """Coefficient of the AR(1) process; the seed decides what a sample of 48 makes of it."""
    seed: int
    pictures: tuple[str, ...] = ()
    """[level], as `player/video/pictures.py` writes them."""


def generate(recipe: Recipe) -> Video:
    """The video of a recipe.

    Raises:
        VideoError: figures that no sample can have (a correlation matrix that is not positive
            definite, too few chunks, a spread so wide that a size falls to 0).
    """
    levels = len(recipe.ladder_kbps)
    if recipe.chunks <= levels + 1:
        raise VideoError(f"{recipe.name}: {recipe.chunks} chunks cannot fix {levels} levels; ask for more")
    noise = _autoregressive(SplitMix64(recipe.seed), recipe.chunks, levels, recipe.lag1)
    white = _whitened(noise)
    colour = _cholesky([list(row) for row in recipe.correlation], recipe.name)
    sizes = []
    for row in white:
        deviation = [
            math.fsum(colour[level][k] * row[k] for k in range(level + 1)) for level in range(levels)
        ]
        sizes.append(
            tuple(
                round(mean * (1 + spread * z))
                for mean, spread, z in zip(recipe.mean_bytes, recipe.spread, deviation, strict=True)
            )
        )
    pictures = tuple(map(pictures_of, recipe.pictures))
    return Video(recipe.name, recipe.chunk_s, recipe.ladder_kbps, tuple(sizes), pictures=pictures)


def _autoregressive(random: SplitMix64, chunks: int, levels: int, lag1: float) -> Matrix:
    """(chunks, levels) independent AR(1) series of variance 1."""
    fresh = math.sqrt(1 - lag1 * lag1)
    rows = [[_normal(random) for _ in range(levels)]]
    for _ in range(chunks - 1):
        rows.append([lag1 * before + fresh * _normal(random) for before in rows[-1]])
    return rows


def _normal(random: SplitMix64) -> float:
    """Mean 0, variance 1: twelve uniform numbers less six, close to Gaussian within +-3.

    Finer than `SplitMix64.normal`, and what the built-in videos were made by.
    """
    return sum(random.bits() >> 11 for _ in range(12)) / 2**53 - 6


def _whitened(rows: Matrix) -> Matrix:
    """The sample shifted and mixed so that it has mean 0 and covariance 1 exactly."""
    count, levels = len(rows), len(rows[0])
    means = [math.fsum(row[k] for row in rows) / count for k in range(levels)]
    centred = [[row[k] - means[k] for k in range(levels)] for row in rows]
    covariance = [
        [math.fsum(row[a] * row[b] for row in centred) / (count - 1) for b in range(levels)]
        for a in range(levels)
    ]
    lower = _cholesky(covariance, "noise")
    return [_solved(lower, row) for row in centred]


def _solved(lower: Matrix, right: list[float]) -> list[float]:
    """x of `lower` x = `right`, by forward substitution."""
    x: list[float] = []
    for k, value in enumerate(right):
        x.append((value - math.fsum(lower[k][j] * x[j] for j in range(k))) / lower[k][k])
    return x


def _cholesky(matrix: Matrix, name: str) -> Matrix:
    """Lower triangular L with L L' = matrix."""
    size = len(matrix)
    lower = [[0.0] * size for _ in range(size)]
    for a in range(size):
        for b in range(a + 1):
            rest = matrix[a][b] - math.fsum(lower[a][k] * lower[b][k] for k in range(b))
            if a != b:
                lower[a][b] = rest / lower[b][b]
            elif rest > 0:
                lower[a][a] = math.sqrt(rest)
            else:
                raise VideoError(f"{name}: the correlation matrix is not positive definite (level {a})")
    return lower

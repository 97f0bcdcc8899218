"""The figures of a video's chunk sizes: what a recipe is fitted to and judged by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from player.video.video import Video, VideoError


@dataclass(frozen=True)
class SizeFigures:
    """Per level unless a line says else."""

    mean_bytes: tuple[float, ...]
    spread: tuple[float, ...]
    """Standard deviation (n - 1) / mean."""
    smallest: tuple[float, ...]
    """Smallest size / mean."""
    largest: tuple[float, ...]
    """Largest size / mean."""
    lag1: tuple[float, ...]
    """Autocorrelation between neighbouring chunks."""
    lag2: tuple[float, ...]
    correlation: tuple[tuple[float, ...], ...]
    """[level][level]."""


def size_figures(video: Video) -> SizeFigures:
    """Figures of a video.

    Raises:
        VideoError: fewer than three chunks, or a level whose sizes are all the same.
    """
    if video.chunks < 3:
        raise VideoError(f"{video.name}: {video.chunks} chunks have no spread; at least 3 are needed")
    columns = [[float(row[level]) for row in video.sizes_bytes] for level in range(video.levels)]
    means = [math.fsum(column) / len(column) for column in columns]
    centred = [[size - mean for size in column] for column, mean in zip(columns, means, strict=True)]
    for level, column in enumerate(columns):
        if min(column) == max(column):
            raise VideoError(
                f"{video.name}: the sizes of level {level} are all the same; nothing to describe"
            )
    squares = [_product(column, column) for column in centred]
    return SizeFigures(
        mean_bytes=tuple(means),
        spread=tuple(
            math.sqrt(square / (video.chunks - 1)) / mean for square, mean in zip(squares, means, strict=True)
        ),
        smallest=tuple(min(column) / mean for column, mean in zip(columns, means, strict=True)),
        largest=tuple(max(column) / mean for column, mean in zip(columns, means, strict=True)),
        lag1=tuple(_product(c[1:], c[:-1]) / square for c, square in zip(centred, squares, strict=True)),
        lag2=tuple(_product(c[2:], c[:-2]) / square for c, square in zip(centred, squares, strict=True)),
        correlation=tuple(
            tuple(_product(a, b) / math.sqrt(_product(a, a) * _product(b, b)) for b in centred)
            for a in centred
        ),
    )


def _product(a: Sequence[float], b: Sequence[float]) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))

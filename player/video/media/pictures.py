"""The pictures of a generated clip: level and chunk number in large letters, and a bar that moves.

Drawn here, dot by dot, so that a machine needs no fonts and the pictures are the same on all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GLYPHS = {
    "0": ("01110", "10001", "10011", "10101", "11001", "10001", "01110"),
    "1": ("00100", "01100", "00100", "00100", "00100", "00100", "01110"),
    "2": ("01110", "10001", "00001", "00110", "01000", "10000", "11111"),
    "3": ("01110", "10001", "00001", "00110", "00001", "10001", "01110"),
    "4": ("00010", "00110", "01010", "10010", "11111", "00010", "00010"),
    "5": ("11111", "10000", "11110", "00001", "00001", "10001", "01110"),
    "6": ("01110", "10000", "11110", "10001", "10001", "10001", "01110"),
    "7": ("11111", "00001", "00010", "00100", "01000", "01000", "01000"),
    "8": ("01110", "10001", "10001", "01110", "10001", "10001", "01110"),
    "9": ("01110", "10001", "10001", "01111", "00001", "00001", "01110"),
    "C": ("01110", "10001", "10000", "10000", "10000", "10001", "01110"),
    "L": ("10000", "10000", "10000", "10000", "10000", "10000", "11111"),
    " ": ("00000",) * 7,
}
DARK, BRIGHT, BAR = 40, 230, 150
"""Luma of the ground, of letters and of the bar."""
COLOURS = ((110, 128), (128, 110), (146, 128), (128, 146), (110, 110), (146, 146), (110, 146), (146, 110))
"""Cb and Cr of the grounds, by level."""


@dataclass(frozen=True)
class Picture:
    """How large a picture is: even numbers of pixels."""

    width: int
    height: int


def frames(level: int, chunk: int, count: int, picture: Picture) -> Iterator[bytes]:
    """The `count` pictures of a chunk, each as planar YCbCr 4:2:0 of height x width x 3 / 2 bytes."""
    ground = _ground(f"L{level} C{chunk}", picture)
    colours = b"".join(
        bytes([value]) * (picture.width * picture.height // 4) for value in COLOURS[level % len(COLOURS)]
    )
    bar_height = max(picture.height // 12, 2)
    for number in range(count):
        luma = ground.copy()
        luma[-bar_height:, : picture.width * (number + 1) // count] = BAR
        yield luma.tobytes() + colours


def _ground(words: str, picture: Picture) -> NDArray[np.uint8]:
    """(height, width) luma with the words in the middle, as large as they fit."""
    dots = np.concatenate(
        [
            np.pad(np.array([list(row) for row in GLYPHS[letter]]) == "1", ((0, 0), (0, 1)))
            for letter in words
        ],
        axis=1,
    )
    rows, columns = dots.shape
    scale = max(min((picture.width - 8) // columns, (picture.height * 3 // 4) // rows), 1)
    large = np.kron(dots, np.ones((scale, scale), dtype=bool))[: picture.height, : picture.width]
    luma = np.full((picture.height, picture.width), DARK, dtype=np.uint8)
    top, left = (picture.height - large.shape[0]) // 2, (picture.width - large.shape[1]) // 2
    luma[top : top + large.shape[0], left : left + large.shape[1]][large] = BRIGHT
    return luma

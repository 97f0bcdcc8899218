"""The strip beside the chosen level: what spoke for it and what against it, chunk by chunk."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Patch
from numpy.typing import NDArray

from player.explained.file import Explanation, WhyLevel, explanation_path, read_explanation
from player.record import ChunkRow
from traces.commands import tell_line
from traces.safe_reading import BadFileError

MOST_MODALITIES = 12
"""Rows more than these can't be read."""
LONGEST_NAME = 14
RECENT = "recent chunks"
"""The row of the recent chunk that contributed most."""
FULL_AT = 0.9
"""Colours are full from this quantile of a session's contributions on."""
TITLE = "why: for or\nagainst it"
ROW_IN = 0.1
"""Height of a row."""


@dataclass(frozen=True)
class Strip:
    """Of one session: rows from the top, and what each contributed to each chunk's level."""

    names: tuple[str, ...]
    values: NDArray[np.float64]
    """(rows, chunks) -1 to 1; not a number where nobody knows."""

    @property
    def height_in(self) -> float:
        return ROW_IN * len(self.names)


def is_explained(path: str) -> bool:
    """Whether something stands beside a record."""
    return explanation_path(Path(path)).is_file()


def strip_of(path: str, chunks: Sequence[ChunkRow]) -> Strip | None:
    """What stands beside a record, as a strip; None where nothing does.

    What stands there and can't be taken is named in a line on stderr, and left out.
    """
    try:
        found = read_explanation(Path(path))
    except (BadFileError, OSError) as error:
        tell_line(f"left out: {error}", sys.stderr)
        return None
    return None if found is None else _strip(found, len(chunks))


def _strip(found: Explanation, chunks: int) -> Strip | None:
    names = (found.modalities or ())[:MOST_MODALITIES]
    values = np.full((len(names) + 1, chunks), np.nan)
    for each in found.decisions or ():
        if each.chunk is not None and each.chunk < chunks and each.modalities:
            values[:-1, each.chunk] = [each.modalities.get(name, np.nan) for name in names]
            values[-1, each.chunk] = _most(each)
    known = np.abs(values[np.isfinite(values)])
    if not len(known):
        return None
    full = max(float(np.quantile(known, FULL_AT)), 1e-9)
    short = tuple(name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…" for name in names)
    return Strip((*short, RECENT), np.clip(values / full, -1.0, 1.0))


def _most(why: WhyLevel) -> float:
    """The largest contribution of a recent chunk, to either side."""
    return max(why.chunks.values(), key=abs, default=np.nan)


def draw_strip(
    panel: Axes, strip: Strip, chunks: Sequence[ChunkRow], last_s: float, colours: tuple[str, str]
) -> None:
    """A row for each modality and one for the recent chunks, over the time axis of the other panels.

    Args:
        last_s: where the last chunk's column ends.
        colours: of what spoke for a level, and of what spoke against it.
    """
    shades = LinearSegmentedColormap.from_list("for and against", [colours[1], "white", colours[0]])
    begins = [row.request_s for row in chunks]
    edges = np.maximum.accumulate([*begins, last_s])  # whatever a record's order is
    rows = np.arange(len(strip.names) + 1)
    panel.pcolormesh(edges, rows, strip.values, cmap=shades, vmin=-1.0, vmax=1.0, rasterized=False)
    panel.set_ylim(len(strip.names), 0)
    panel.set_yticks(rows[:-1] + 0.5, strip.names, fontsize=5)
    panel.tick_params(axis="y", length=0, pad=1)


def strip_legend(colours: tuple[str, str]) -> list[Any]:
    """What the colours of `draw_strip` mean."""
    return [
        Patch(facecolor=colours[0], linewidth=0, label="spoke for the level"),
        Patch(facecolor=colours[1], linewidth=0, label="spoke against it"),
    ]

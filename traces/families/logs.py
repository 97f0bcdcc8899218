"""Measured logs before they are fitted: on an even grid, chosen, cut, and some of them held out."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from traces.families.statistics import OUTAGE_MBPS, resample, swing_share
from traces.trace import Trace, TraceError

_BLOCK_MARK = " from "
_PIECE_MARK = " at "


@dataclass(frozen=True)
class Split:
    """Logs to fit, and logs to judge by."""

    fitted: tuple[Trace, ...]
    held_out: tuple[Trace, ...]


def split(
    logs: Sequence[Trace], every: int, block_s: float | None = None, line: re.Pattern[str] | None = None
) -> Split:
    """Hold out every `every`-th log, in the order given.

    In name order the places and vehicles of a set, which its names carry, then fall into both parts alike.

    Args:
        logs: on an even grid.
        every: 2 or more.
        block_s: for sets of few logs: cut the logs into blocks of this length first, and hold out every
            `every`-th block.
        line: for sets with several logs of one line: what of a name says the line (`line_of`). Every
            `every`-th line is held out whole then, in the order of their first logs.
    """
    parts = [block for log in logs for block in cut(log, block_s, _BLOCK_MARK)] if block_s else list(logs)
    keys = [line_of(part.name, line) if line else number for number, part in enumerate(parts)]
    places = {key: place for place, key in enumerate(dict.fromkeys(keys), 1)}
    kept: list[Trace] = []
    held_out: list[Trace] = []
    for key, part in zip(keys, parts, strict=True):
        (kept if places[key] % every else held_out).append(part)
    return Split(tuple(kept), tuple(held_out))


def line_of(name: str, line: re.Pattern[str]) -> str:
    """The line that a log was measured on: the pattern's first group that took part, else all that it
    matches, else the whole name."""
    match = line.search(name)
    if match is None:
        return name
    return next((group for group in match.groups() if group), match[0])


def chosen(logs: Sequence[Trace], least_dark: float, least_swings: float) -> list[Trace]:
    """The logs that are dark, and that swing, for long enough.

    Args:
        logs: on an even grid.
        least_dark: share of the time below 0.3 Mbit/s, 0 to 1; 0 keeps all.
        least_swings: as `Statistics.swings_2s`, 0 to 1; 0 keeps all.

    Raises:
        TraceError: none is left.
    """
    kept = [log for log in logs if _is_chosen(log, least_dark, least_swings)]
    if not kept:
        raise TraceError(
            f"none of {len(logs)} logs is below {OUTAGE_MBPS} Mbit/s for a share of {least_dark:g} and "
            f"swings for one of {least_swings:g}; ask for less"
        )
    return kept


def _is_chosen(log: Trace, least_dark: float, least_swings: float) -> bool:
    rates = np.asarray(log.rate_mbps[1:])
    swings = swing_share(rates, log.time_s[1]) or 0.0
    return float((rates < OUTAGE_MBPS).mean()) >= least_dark and swings >= least_swings


def is_block(log: Trace) -> bool:
    """Whether it is a block that `split` has cut from a log."""
    return _BLOCK_MARK in log.name


def on_grid(log: Trace, step_s: float) -> Trace:
    """The log's rates averaged to even steps; an incomplete last one is dropped. A model is of rates alone.

    Raises:
        TraceError: the log has no complete step, or only dark ones.
    """
    rates = [round(float(rate), 6) for rate in resample(log, step_s)]
    if not rates:
        raise TraceError(f"{log.name}: {log.duration_s} s; shorter than one step of {step_s} s")
    times = tuple(index * step_s for index in range(len(rates) + 1))
    return Trace(log.name, times, (rates[0], *rates), log.family)


def cut(log: Trace, piece_s: float, mark: str = _PIECE_MARK) -> list[Trace]:
    """Pieces of `piece_s` of a log on an even grid; a rest under half a piece joins the last one.

    Pieces that are dark throughout are dropped. A piece is named after the log, `mark` and its start.
    """
    step_s = log.time_s[1]
    per_piece = max(round(piece_s / step_s), 1)
    rates = log.rate_mbps[1:]
    count = max(math.floor(len(rates) / per_piece + 0.5), 1)
    pieces = []
    for number in range(count):
        end = len(rates) if number == count - 1 else (number + 1) * per_piece
        part = rates[number * per_piece : end]
        if any(part):
            times = tuple(index * step_s for index in range(len(part) + 1))
            name = f"{log.name}{mark}{number * per_piece * step_s:g} s"
            pieces.append(Trace(name, times, (part[0], *part), log.family))
    return pieces


def origin(log: Trace) -> str:
    """The name of the log that a block is from; a whole log's own name."""
    return log.name.partition(_BLOCK_MARK)[0]


def prepare(
    logs: Sequence[Trace], step_s: float, min_mean_mbps: float, max_mean_mbps: float | None = None
) -> list[Trace]:
    """The logs that can be fitted, on the grid.

    Raises:
        TraceError: none is left.
    """
    kept = [
        on_grid(log, step_s) for log in logs if min_mean_mbps <= log.mean_mbps <= (max_mean_mbps or math.inf)
    ]
    if not kept:
        raise TraceError(
            f"none of {len(logs)} logs has a mean from {min_mean_mbps} to {max_mean_mbps} Mbit/s; "
            "widen these bounds"
        )
    return kept

"""How many sessions a sweep may have, counted before any of them is laid out."""

from __future__ import annotations

import math
from collections.abc import Sequence

from testbed.sweeps.experiment.schema import SweepFile

MOST_SESSIONS = 1_000_000
"""Of a sweep; a list too many, and laying them out would take the memory."""


def refuse_many(file: SweepFile, traces: Sequence[int], simulated: bool) -> None:
    """Refuse a file that asks for more sessions than can be laid out, by their number.

    Args:
        traces: how many each setting has.

    Raises:
        TestbedError: it does; with the line of the setting that has the most.
    """
    counts = []
    for entry, many in zip(file.settings, traces, strict=True):
        points = math.prod(len(values) for key, values in entry.values.items() if key != "players")
        repetitions = 1 if simulated else entry.values["repetitions"][0]
        counts.append(points * sum(entry.values["players"]) * repetitions * many * len(file.policies))
    if sum(counts) > MOST_SESSIONS:
        most = file.settings[counts.index(max(counts))]
        raise file.fault(
            most.place,
            f"{sum(counts):,} sessions are asked for, most of them by {most.label};"
            f" {MOST_SESSIONS:,} are the most: shorten its lists, or take fewer traces",
        )

"""What a link was to carry while a session lasts, in so few steps that a page can draw it."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate, pairwise

from analysis.watch.figures import FAR

MOST_STEPS = 600
"""More would be narrower than a pixel."""
DIGITS = 3


def steps_of(
    time_s: Sequence[float], rate_mbps: Sequence[float], start_s: float, length_s: float
) -> list[list[float]]:
    """Pairs (end in s since the session began, Mbit/s until then), the first `length_s` of it.

    The value at index i holds over (time[i-1], time[i]], time 0 is the start, and after the end it wraps to
    it. Of more than `MOST_STEPS` steps come so many equal ones, each with the mean of its time.

    Returns:
        nothing where these are no trace.
    """
    if not _is_trace(time_s, rate_mbps) or not 0 < length_s <= FAR or not abs(start_s) <= FAR:
        return []
    series = _Series(time_s, rate_mbps)
    ends = series.ends(start_s, length_s)
    if ends is None:
        ends = [length_s * (index + 1) / MOST_STEPS for index in range(MOST_STEPS)]
    steps: list[list[float]] = []
    before_s, before = 0.0, series.carried(start_s)
    for end_s in ends:
        carried = series.carried(start_s + end_s)
        rate = max((carried - before) / (end_s - before_s), 0.0)
        steps.append([round(end_s, DIGITS), round(rate, DIGITS)])
        before_s, before = end_s, carried
    return steps


def _is_trace(time_s: Sequence[float], rate_mbps: Sequence[float]) -> bool:
    numbers = [*time_s, *rate_mbps]
    if not numbers or len(time_s) != len(rate_mbps) or not all(abs(one) <= FAR for one in numbers):
        return False
    rising = all(one < other for one, other in pairwise(time_s))
    return rising and time_s[0] >= 0 and time_s[-1] > 0 and min(rate_mbps) >= 0


class _Series:
    """A trace and what it carries up to each of its times."""

    def __init__(self, time_s: Sequence[float], rate_mbps: Sequence[float]) -> None:
        self._times, self._rates = time_s, rate_mbps
        lengths = [end - begin for begin, end in zip((0.0, *time_s), time_s, strict=False)]
        self._carried = [
            0.0,
            *accumulate(rate * length for rate, length in zip(rate_mbps, lengths, strict=True)),
        ]

    def carried(self, at_s: float) -> float:
        """Mbit from the trace's begin to a time, which may lie beyond its end."""
        rounds, rest_s = divmod(at_s, self._times[-1])
        index = bisect_left(self._times, rest_s)
        before_s = self._times[index - 1] if index else 0.0
        return rounds * self._carried[-1] + self._carried[index] + self._rates[index] * (rest_s - before_s)

    def ends(self, start_s: float, length_s: float) -> list[float] | None:
        """Where steps end in a part of the trace, its own end last; None where they are too many."""
        length = self._times[-1]
        if len(self._times) * (length_s / length + 1) > MOST_STEPS * 100:
            return None
        first = math.floor(start_s / length)
        rounds = range(first, math.ceil((start_s + length_s) / length))
        ends = [number * length + time_s - start_s for number in rounds for time_s in self._times]
        inside = [*dict.fromkeys(end_s for end_s in ends if 0 < end_s < length_s), length_s]
        return inside if len(inside) <= MOST_STEPS else None

"""Members of a family: traces that are a function of (model, index) alone.

Only integers and the four operations of IEEE 754 (and its square root) take part, in a fixed order,
and rates are rounded to 0.001 Mbit/s: a member has the same values, and the same `Trace.sha256`, on
every machine. The class and the offset of member i come from the additive low-discrepancy sequence
R2 (Roberts 2018; constants from the plastic number), started at (1/2, 1/2): the
first n members of a family always hold its classes in about their right shares. A member whose mean
misses the model's bounds, which the fitted logs keep too, is drawn anew.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from traces.families.model import (
    HAZARD_EDGES,
    OFFSET_SHARES,
    OUTAGE_SHARES,
    SCORE_GRID,
    FamilyModel,
    LinkClass,
)
from traces.prng import MASK, SplitMix64
from traces.totals import running_total
from traces.trace import Trace, TraceError

_R2_CLASS = 13925035116211876495
"""2**64 / g, g = 1.3247... the plastic number."""
_R2_OFFSET = 10511698010929265436
"""2**64 / g**2."""
MAX_ATTEMPTS = 100


def interpolate(position: float, grid: Sequence[float], values: Sequence[float]) -> float:
    """Linear between the grid's points, constant beyond its ends."""
    if position <= grid[0]:
        return values[0]
    if position >= grid[-1]:
        return values[-1]
    index = bisect_right(grid, position)
    share = (position - grid[index - 1]) / (grid[index] - grid[index - 1])
    return values[index - 1] + share * (values[index] - values[index - 1])


def r2_point(index: int) -> tuple[float, float]:
    """Point `index` of the R2 sequence in [0, 1) x [0, 1), started at (1/2, 1/2)."""
    half = 1 << 63
    first, second = ((half + index * step) & MASK for step in (_R2_CLASS, _R2_OFFSET))
    return (first >> 11) / 9007199254740992.0, (second >> 11) / 9007199254740992.0


def pick_class(classes: Sequence[LinkClass], share: float) -> LinkClass:
    """The class in which `share` (0 to 1) of the summed weight falls."""
    reached, total = 0.0, 0.0
    for part in classes:
        total += part.weight
    for part in classes:
        reached += part.weight
        if share * total < reached:
            return part
    return classes[-1]


class LinkState(NamedTuple):
    """Where a generated link stands in one step; with its class and offset, all that its future needs."""

    level: float
    """In standard deviations of the level."""
    wander: float
    """In standard deviations of the wander."""
    score: float
    mbps: float
    """The step's rate, not rounded."""
    outage_step: int
    """1 in an outage's first step, and so on; 0: none."""
    is_long: bool = False
    """Whether the outage is one of the class's long ones."""


def states(part: LinkClass, offset: float, random: SplitMix64) -> Iterator[LinkState]:
    """One link of a class, step by step without end."""
    jump = 1.0 / part.level_hold_steps
    keep = part.wander_correlation
    push = math.sqrt(1.0 - keep * keep)
    level, wander, left, hazard, outage_step = random.normal(), random.normal(), 0, 0.0, 0
    is_long = False
    while True:
        if random.uniform() < jump:
            level = random.normal()
        wander = keep * wander + push * random.normal()
        score = offset + part.level_sd * level + part.wander_sd * wander + part.noise_sd * random.normal()
        chance = random.uniform()
        if left == 0 and chance < hazard:
            left = max(int(interpolate(random.uniform(), OUTAGE_SHARES, part.outage_steps) + 0.5), 1)
            is_long = part.long_outage_steps is not None and left >= part.long_outage_steps
        if left > 0:
            left -= 1
            hazard = 0.0
            outage_step += 1
            rates = part.long_outage_mbps if is_long else part.outage_mbps
            mbps = interpolate(random.uniform(), OUTAGE_SHARES, rates)
        else:
            hazard = part.outage_hazard[bisect_right(HAZARD_EDGES, score)]
            outage_step, is_long = 0, False
            mbps = interpolate(score, SCORE_GRID, part.rate_mbps)
        yield LinkState(level, wander, score, mbps, outage_step, is_long)


def walk(part: LinkClass, offset: float, random: SplitMix64) -> Iterator[tuple[float, float, bool]]:
    """One link of a class, step by step without end: (score, rate in Mbit/s, whether it is an outage)."""
    for state in states(part, offset, random):
        yield state.score, state.mbps, state.outage_step > 0


class Draw(NamedTuple):
    """What a member was made from."""

    part: LinkClass
    offset: float
    states: tuple[LinkState, ...]

    @property
    def rates(self) -> list[float]:
        """Mbit/s of every step, as the member has them."""
        return [int(state.mbps * 1000.0 + 0.5) / 1000.0 for state in self.states]


def _draw(model: FamilyModel, index: int, attempt: int) -> Draw:
    random = SplitMix64(f"streambed/{model.family}/{index}/{attempt}")
    class_share, offset_share = r2_point(index) if attempt == 0 else (random.uniform(), random.uniform())
    part = pick_class(model.classes, class_share)
    offset = interpolate(offset_share, OFFSET_SHARES, part.offset)
    steps = int(model.length_s / model.step_s + 0.5)
    return Draw(part, offset, tuple(islice(states(part, offset, random), steps)))


def mean_fits(model: FamilyModel, total: float, steps: int) -> bool:
    """Whether `steps` rates that sum to `total` Mbit/s are within the model's bounds of the mean."""
    most = model.max_mean_mbps
    return (most is None or total <= most * steps) and total > 0 and total >= model.min_mean_mbps * steps


def draw(model: FamilyModel, index: int) -> Draw:
    """What member `index` (0 or more) of the model's family is made from: the first attempt that fits.

    Raises:
        TraceError: a negative index, or a model whose members all miss its bounds of the mean.
    """
    if index < 0:
        raise TraceError(f"{model.family}/{index}: members are counted from 0")
    for attempt in range(MAX_ATTEMPTS):
        drawn = _draw(model, index, attempt)
        rates = drawn.rates
        if mean_fits(model, running_total(rates), len(rates)):
            return drawn
    raise TraceError(
        f"{model.family}/{index}: {MAX_ATTEMPTS} draws, all with a mean under {model.min_mean_mbps} or "
        f"over {model.max_mean_mbps} Mbit/s; widen min_mean_mbps and max_mean_mbps in the model"
    )


def member(model: FamilyModel, index: int) -> Trace:
    """Member `index` (0 or more) of the model's family, named `FAMILY/INDEX`.

    Raises:
        TraceError: as `draw`.
    """
    rates = draw(model, index).rates
    times = tuple(step * model.step_s for step in range(len(rates) + 1))
    return Trace(f"{model.family}/{index}", times, (rates[0], *rates), model.family)

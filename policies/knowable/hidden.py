"""What a generated link hides, and its law one step on.

A link's state is told by weights on nodes. Up: (level, deviation), `level` being offset + level_sd x level
and `deviation` the rest of the score. In an outage: (level, how many steps it has lasted). How long an outage
will last is not told, and a fair controller could not know it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from policies.knowable.laws import (
    Floats,
    hat_weights,
    longest_outage,
    mean_hat_weights,
    outage_lasts,
)
from traces.families.generator import LinkState
from traces.families.model import HAZARD_EDGES, OUTAGE_SHARES, SCORE_GRID, LinkClass

LEVELS, DEVIATIONS = 13, 7
REACH = 2.3
"""Standard deviations to which nodes go; beyond them V is constant."""
OUTAGE_STEPS = (1, 2, 4, 8, 16)
_LEAST_GAP = 1e-3


@dataclass(frozen=True)
class HiddenNodes:
    """The nodes of a class at an offset."""

    part: LinkClass
    levels: Floats
    """(LEVELS,) offset and level together, in units of the score."""
    deviations: Floats
    """(DEVIATIONS,) wander and noise together, in units of the score."""
    outage_steps: Floats
    """(outage nodes,) how many steps an outage has lasted."""

    @classmethod
    def of(cls, part: LinkClass, offset: float) -> HiddenNodes:
        """Nodes that span what links of a class and an offset do."""
        reach = REACH * max(part.level_sd, _LEAST_GAP)
        aside = REACH * max(float(np.hypot(part.wander_sd, part.noise_sd)), _LEAST_GAP)
        longest = longest_outage(part.outage_steps)
        ages = [step for step in OUTAGE_STEPS if step < longest] + [max(longest, 2)]
        return cls(
            part,
            offset + np.linspace(-reach, reach, LEVELS),
            np.linspace(-aside, aside, DEVIATIONS),
            np.array(ages, np.float64),
        )

    @property
    def ups(self) -> int:
        """Nodes without an outage, which come first: the deviation runs fastest."""
        return len(self.levels) * len(self.deviations)

    def __len__(self) -> int:
        return len(self.levels) * (len(self.deviations) + len(self.outage_steps))

    def joined(self, outage: Floats, level: Floats, deviation: Floats, age: Floats) -> Floats:
        """(..., nodes) weights from the chance of an outage and weights on each axis."""
        up = (1.0 - outage)[..., None, None] * level[..., :, None] * deviation[..., None, :]
        dark = outage[..., None, None] * level[..., :, None] * age[..., None, :]
        flat = (*outage.shape, -1)
        return np.concatenate((up.reshape(flat), dark.reshape(flat)), axis=-1)


@dataclass(frozen=True)
class Unveiled:
    """A link's hidden states, one an element."""

    offset: float
    level: Floats
    """In standard deviations of the level, as the following."""
    wander: Floats
    score: Floats
    outage_step: Floats
    is_long: Floats
    """1 in an outage that is one of the class's long ones."""

    @classmethod
    def of(cls, offset: float, states: Sequence[LinkState]) -> Unveiled:
        """The states as columns."""
        columns = np.array([(s.level, s.wander, s.score, s.outage_step, s.is_long) for s in states])
        return cls(offset, *columns.T)


def weights(nodes: HiddenNodes, seen: Unveiled) -> Floats:
    """(states, nodes) the weights of the states themselves."""
    level = seen.offset + nodes.part.level_sd * seen.level
    return nodes.joined(
        (seen.outage_step > 0).astype(np.float64),
        hat_weights(level, nodes.levels),
        hat_weights(seen.score - level, nodes.deviations),
        hat_weights(seen.outage_step, nodes.outage_steps),
    )


def mean_next_weights(nodes: HiddenNodes, seen: Unveiled) -> Floats:
    """(states, nodes) the mean of the next state's weights, given each state.

    By the generator's law, which these weights can't tell from another with the same mean: level,
    deviation and outage of the next step are independent given the state.
    """
    part = nodes.part
    jump, keep = 1.0 / part.level_hold_steps, part.wander_correlation
    stays = hat_weights(seen.offset + part.level_sd * seen.level, nodes.levels)
    anew = mean_hat_weights(np.array(seen.offset), part.level_sd, 0.0, nodes.levels)
    push = part.wander_sd * np.sqrt(1.0 - keep * keep)
    deviation = mean_hat_weights(
        part.wander_sd * keep * seen.wander, float(push), part.noise_sd, nodes.deviations
    )
    return nodes.joined(
        outage_chance(part, seen),
        (1.0 - jump) * stays + jump * anew,
        deviation,
        hat_weights(seen.outage_step + 1.0, nodes.outage_steps),
    )


def outage_chance(part: LinkClass, seen: Unveiled) -> Floats:
    """(states,) the chance that the next step is one of an outage."""
    longest = longest_outage(part.outage_steps)
    lasts = outage_lasts(part.outage_steps, longest + 1)
    long_from = longest + 1 if part.long_outage_steps is None else min(part.long_outage_steps, longest + 1)
    chance = np.empty(len(seen.score))

    def at_least(steps: int) -> float:
        return float(lasts[min(steps, len(lasts) - 1)])

    for place, (score, step) in enumerate(zip(seen.score, seen.outage_step.astype(int), strict=True)):
        if not step:
            chance[place] = part.outage_hazard[bisect_right(HAZARD_EDGES, score)]
        elif seen.is_long[place]:
            chance[place] = _ratio(at_least(max(step + 1, long_from)), at_least(max(step, long_from)))
        else:
            gone = at_least(long_from)
            chance[place] = _ratio(at_least(step + 1) - gone, at_least(step) - gone)
    return np.clip(chance, 0.0, 1.0)


def _ratio(goes_on: float, is_there: float) -> float:
    """The chance that an outage goes on; of one as long as none is, 0."""
    return goes_on / is_there if is_there > 0.0 else 0.0


def surprises(nodes: HiddenNodes, seen: Unveiled) -> Floats:
    """(states - 1, nodes) what each next state's weights are beyond their mean, given the state before."""
    return (weights(nodes, seen)[1:] - mean_next_weights(nodes, seen)[:-1]).astype(np.float64)


def between_nodes(nodes: HiddenNodes, offset: float) -> Floats:
    """(nodes, nodes) the mean of the next state's weights from each node, as far as a node tells its state.

    How much of a deviation is wander is not told, and in an outage no deviation: both are taken as they
    usually are.
    """
    part, aside = nodes.part, float(np.hypot(nodes.part.wander_sd, nodes.part.noise_sd))
    keep, share = part.wander_correlation, part.wander_sd / max(aside, 1e-12)
    level, deviation = (each.ravel() for each in np.meshgrid(nodes.levels, nodes.deviations, indexing="ij"))
    dark_level, age = (each.ravel() for each in np.meshgrid(nodes.levels, nodes.outage_steps, indexing="ij"))
    stood = np.concatenate((level, dark_level))
    seen = Unveiled(
        offset,
        (stood - offset) / max(part.level_sd, 1e-12),
        np.concatenate((share * deviation / max(aside, 1e-12), np.zeros(len(age)))),
        np.concatenate((level + deviation, dark_level)),
        np.concatenate((np.zeros(nodes.ups), age)),
        np.concatenate((np.zeros(nodes.ups), age >= (part.long_outage_steps or np.inf))),
    )
    jump = 1.0 / part.level_hold_steps
    anew = mean_hat_weights(np.array(offset), part.level_sd, 0.0, nodes.levels)
    fresh = part.wander_sd * np.sqrt(1.0 - (keep * share) ** 2)
    up = mean_hat_weights(
        part.wander_sd * keep * seen.wander[: nodes.ups], float(fresh), part.noise_sd, nodes.deviations
    )
    dark = mean_hat_weights(np.zeros(len(age)), part.wander_sd, part.noise_sd, nodes.deviations)
    return nodes.joined(
        outage_chance(part, seen),
        (1.0 - jump) * hat_weights(stood, nodes.levels) + jump * anew,
        np.concatenate((up, dark)),
        hat_weights(seen.outage_step + 1.0, nodes.outage_steps),
    )


def mbps_at_nodes(nodes: HiddenNodes) -> Floats:
    """(nodes,) the rate in Mbit/s; in an outage its mean."""
    part = nodes.part
    score = (nodes.levels[:, None] + nodes.deviations[None, :]).ravel()
    dark = np.mean(np.interp((np.arange(200) + 0.5) / 200, OUTAGE_SHARES, part.outage_mbps))
    outages = np.full(len(nodes) - nodes.ups, dark)
    return np.concatenate((np.interp(score, SCORE_GRID, part.rate_mbps), outages))

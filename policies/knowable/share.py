"""What share of the penalty a plan pays: the one that brings the bound lowest, chosen on other members.

A share of a penalty has mean 0 as the whole has, so each share gives a bound; with none it is the
clairvoyant's, with the whole one that of a perfect V. Where V is off, the whole penalty is noise that a
planner may exploit, and a part of it bounds closer. The mean bound is convex in the share, so a few shares
tell. Each half of the members takes the share that was the best over the other half: a share that had been
chosen by the very members that it is paid over would lower their mean by chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from player.simulated.batch.library import Floats

SHARES = (0.25, 0.5, 0.75, 1.0)
"""Beside none, which is the clairvoyant's."""
_HALVES = 2


@dataclass(frozen=True)
class MemberFigures:
    """Mean QoE of the counted chunks over one member."""

    member: int
    bounds: tuple[float, ...]
    """The best plan, paid for with each of `SHARES` of the penalty."""
    clairvoyant: float
    """The best plan that pays nothing, on the same grid: by how much it is above the oracle, the grid
    errs."""
    oracle: float
    played: Mapping[str, float]
    paid: Mapping[str, float]
    """What each policy's session pays, the whole penalty: 0 in the mean, high where the link was lucky."""

    def bound(self, share: float) -> float:
        """The best plan, paid for with a share of the penalty: one of `SHARES`, or 0."""
        return self.clairvoyant if share == 0.0 else self.bounds[SHARES.index(share)]


@dataclass(frozen=True)
class SharedOut:
    """A member's figures under the share of the penalty that was chosen for it."""

    member: int
    share: float
    bound: float
    freed: Mapping[str, float]
    """What each policy brought, less that share of what it pays: with the luck taken out."""


def steadiest(found: Sequence[MemberFigures]) -> str:
    """The policy, of those that every member has, that brings the most with the luck taken out: its luck is
    everybody's."""

    def freed(name: str) -> float:
        return float(np.mean([each.played[name] - each.paid[name] for each in found]))

    return max(sorted(set.intersection(*(set(each.played) for each in found))), key=freed)


def shared_out(found: Sequence[MemberFigures]) -> list[SharedOut]:
    """Every member under the share that the other half of them chose, in their order."""
    steady = steadiest(found)
    chosen = [best_share(found[1 - half :: _HALVES], steady) for half in range(_HALVES)]
    return [_under(each, chosen[place % _HALVES]) for place, each in enumerate(found)]


def best_share(found: Sequence[MemberFigures], steady: str) -> float:
    """The share of the lowest mean bound; the whole where there is no member to tell."""
    if not found:
        return SHARES[-1]
    luck = np.array([each.paid[steady] for each in found])
    return min((0.0, *SHARES), key=lambda share: float((_bounds(found, share) + share * luck).mean()))


def _bounds(found: Sequence[MemberFigures], share: float) -> Floats:
    return np.array([each.bound(share) for each in found])


def _under(each: MemberFigures, share: float) -> SharedOut:
    freed = {name: played - share * each.paid[name] for name, played in each.played.items()}
    return SharedOut(each.member, share, each.bound(share), freed)

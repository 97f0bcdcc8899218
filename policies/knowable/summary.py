"""From the figures of members to means, intervals and shares of the way; as JSON and as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from player.simulated.batch.library import Floats
from policies.bootstrap import EDGES, RESAMPLES, percentile_interval
from policies.knowable.study import MemberFigures, column


def interval(values: Floats) -> dict[str, Any]:
    """Mean and 95 % interval over members."""
    return {"mean": float(values.mean()), "ci95": list(percentile_interval(values))}


def way(policy: Floats, baseline: Floats, bound: Floats, seed: int = 0) -> dict[str, Any]:
    """The share of the way from the baseline to the bound that a policy goes, members drawn together."""
    drawn = np.random.default_rng(seed).integers(len(bound), size=(RESAMPLES, len(bound)))
    gone, whole = policy - baseline, bound - baseline
    low, high = np.quantile(gone[drawn].mean(axis=1) / whole[drawn].mean(axis=1), EDGES)
    return {"mean": float(gone.mean() / whole.mean()), "ci95": [float(low), float(high)]}


def summed_up(found: Sequence[MemberFigures], baseline: str) -> dict[str, Any]:
    """What all members of one family come to.

    Over unlucky members a plan that pays is repaid, and the oracle is not: so that the two can be compared,
    the oracle is given what the best of the policies was repaid, which has mean 0 whatever the policy.
    """
    bound = column(found, lambda each: each.bound)
    oracle, clairvoyant = (
        column(found, lambda each: each.oracle),
        column(found, lambda each: each.clairvoyant),
    )
    of_baseline = column(found, lambda each: each.freed[baseline])
    steady = max(found[0].freed, key=lambda name: column(found, _freed(name)).mean())
    fair = oracle - column(found, lambda each: each.played[steady] - each.freed[steady])
    policies: dict[str, Any] = {}
    for name in found[0].played:
        freed = column(found, _freed(name))
        policies[name] = {
            "played": interval(column(found, _played(name))),
            "freed": interval(freed),
            "below_bound": interval(bound - freed),
            "way": None if name == baseline else way(freed, of_baseline, bound),
        }
    return {
        "complete": True,
        "baseline": baseline,
        "bound": interval(bound),
        "oracle": interval(oracle),
        "oracle_freed": interval(fair),
        "below_oracle": interval(fair - bound),
        "grid": interval(clairvoyant - oracle),
        "policies": policies,
    }


def _freed(name: str) -> Callable[[MemberFigures], float]:
    return lambda each: each.freed[name]


def _played(name: str) -> Callable[[MemberFigures], float]:
    return lambda each: each.played[name]


def shown(said: dict[str, Any], line: Callable[[str], None]) -> None:
    """One family as text."""
    first, last = said["members"]
    weights = "{kind}, mu {mu:g}, smooth {smooth:g}".format(**said["qoe"])
    line(
        f"{said['family']}[{first}:{last}], {said['video']}, {said['chunks']} chunks; QoE a chunk: {weights}"
    )
    line(f"  {'':<12}{'played':>8}  {'luck taken out [95 %]':<24}  of the knowable way [95 %]")
    for name, row in said["policies"].items():
        gone = "" if row["way"] is None else _with_bounds(row["way"], 2)
        line(
            f"  {name:<12}{row['played']['mean']:8.3f}  {_with_bounds(row['freed'], 3):<24}  {gone}".rstrip()
        )
    line(f"  {'bound':<12}{'':8}  {_with_bounds(said['bound'], 3):<24}  no controller can pass this")
    fair = _with_bounds(said["oracle_freed"], 3)
    line(f"  {'oracle':<12}{said['oracle']['mean']:8.3f}  {fair:<24}  knows the future")
    line(f"  the bound is {_with_bounds(said['below_oracle'], 3)} below the oracle on the same members")
    if said["below_oracle"]["mean"] <= 0.0:
        line("  so here the oracle is the closer bound: over more members, or more chunks, this one may be")
    line(f"  the grid errs in the bound's disfavour by about {said['grid']['mean']:.3f}")


def _with_bounds(each: dict[str, Any], digits: int) -> str:
    low, high = each["ci95"]
    return f"{each['mean']:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"

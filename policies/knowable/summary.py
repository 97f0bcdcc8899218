"""From the figures of members to means, intervals and shares of the way; as JSON and as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from player.simulated.batch.library import Floats
from policies.bootstrap import EDGES, RESAMPLES, percentile_interval
from policies.knowable.share import MemberFigures, shared_out, steadiest


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
    under, steady = shared_out(found), steadiest(found)
    bound = np.array([each.bound for each in under])
    oracle = np.array([each.oracle for each in found])
    clairvoyant = np.array([each.clairvoyant for each in found])
    played = {name: np.array([each.played[name] for each in found]) for name in found[0].played}
    freed = {name: np.array([each.freed[name] for each in under]) for name in played}
    fair = oracle - (played[steady] - freed[steady])
    policies = {
        name: {
            "played": interval(played[name]),
            "freed": interval(freed[name]),
            "below_bound": interval(bound - freed[name]),
            "way": None if name == baseline else way(freed[name], freed[baseline], bound),
        }
        for name in played
    }
    return {
        "complete": True,
        "baseline": baseline,
        "shares": [each.share for each in under[:2]],
        "bound": interval(bound),
        "oracle": interval(oracle),
        "oracle_freed": interval(fair),
        "below_oracle": interval(fair - bound),
        "grid": interval(clairvoyant - oracle),
        "policies": policies,
    }


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
    shares = " and ".join(f"{each:.0%}" for each in dict.fromkeys(said["shares"]))
    line(f"  paid: {shares} of the penalty, by what is the closest over the other half of the members")
    line(f"  the grid errs in the bound's disfavour by about {said['grid']['mean']:.3f}")


def _with_bounds(each: dict[str, Any], digits: int) -> str:
    low, high = each["ci95"]
    return f"{each['mean']:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"

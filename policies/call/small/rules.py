"""Registered policies of calls that are compiled rules, as players of batches."""

from __future__ import annotations

from collections.abc import Sequence

from player.call.compiled_rule import HasCompiledRule
from player.registry import CALL, PolicyError, load_policy
from policies.call.small.score import Plays, plays_rule


def rules_named(specs: Sequence[str]) -> dict[str, Plays]:
    """By spec.

    Raises:
        PolicyError: no such policy, or one that is no compiled rule.
    """
    found = {}
    for spec in specs:
        policy = load_policy(spec, kind=CALL).policy
        if not isinstance(policy, HasCompiledRule):
            raise PolicyError(f"policy {spec}: it is no compiled rule; testbed/simulate.py plays it")
        found[spec] = plays_rule(policy.compiled_rule(), getattr(policy, "may_probe", True))
    return found

"""How calls are scored and clustered, from the options that they share with videos."""

from __future__ import annotations

import argparse

from analysis.clusters import ClusterRule
from analysis.sessions import AnalysisError
from player.call.checks import CallError
from player.call.scored.kinds import DELAY_MBPS_PER_S, KINDS, STALL_MBPS
from player.call.scored.qoe import CallQoE


def call_qoe(args: argparse.Namespace) -> CallQoE:
    """The score that the options ask for.

    Raises:
        AnalysisError: a kind or a weight that is of videos, or none.
    """
    if args.qoe not in (None, *KINDS):
        raise AnalysisError(f"--qoe {args.qoe}: it scores videos; for calls there is {', '.join(KINDS)}")
    for name, option in (("mu", "--mu"), ("smooth", "--smooth")):
        if getattr(args, name) is not None:
            raise AnalysisError(f"{option} weighs videos; calls have --stall-weight and --delay-weight")
    stall, delay = args.stall_weight, args.delay_weight
    try:
        return CallQoE(
            args.qoe or "linear",
            STALL_MBPS if stall is None else stall,
            DELAY_MBPS_PER_S if delay is None else delay,
        )
    except CallError as error:
        raise AnalysisError(str(error)) from None


def call_rule(args: argparse.Namespace) -> ClusterRule:
    """Raises AnalysisError for a pattern that is none."""
    try:
        return ClusterRule(args.cluster)
    except ValueError as error:
        raise AnalysisError(str(error)) from None

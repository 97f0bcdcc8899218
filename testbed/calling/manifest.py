"""The first line of an emulated call's record."""

from __future__ import annotations

from typing import Any

from player.manifest import Manifest, PolicySection
from testbed.calling.plan import CallPlan
from testbed.lanes.link import WatchedLink
from testbed.lanes.manifest import lane_sections
from testbed.lanes.plan import AskedServer


def call_manifest(
    plan: CallPlan, told: dict[str, Any], link: WatchedLink, server: AskedServer | None
) -> dict[str, Any]:
    """The whole manifest.

    Args:
        told: what the sender has said of its policy.
        server: whom the policy asks.
    """
    by_lane = lane_sections(plan, link, server)
    whole = Manifest(
        **{**by_lane, "versions": {**told["versions"], **by_lane["versions"]}},
        policy=PolicySection.from_json(told["policy"]),
        told_qoe=told["told_qoe"],
        seed=plan.seed,
        run_seed=plan.run_seed,
    )
    return {**whole.to_json(), **plan.facts}

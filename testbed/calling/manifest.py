"""The first line of an emulated call's record."""

from __future__ import annotations

from typing import Any

from player.manifest import Manifest, PolicySection
from testbed.calling.plan import CallPlan
from testbed.lanes.link import WatchedLink
from testbed.lanes.manifest import lane_sections
from testbed.lanes.plan import AskedServer
from traces.versions import package_version


def call_manifest(
    plan: CallPlan, told: dict[str, Any], link: WatchedLink, server: AskedServer | None
) -> dict[str, Any]:
    """The whole manifest.

    Args:
        told: what the sender has said of its policy.
        server: whom the policy asks.
    """
    by_lane = lane_sections(plan, link, server)
    versions = {**by_lane["versions"], **{name: package_version(name) for name in ("numba", "numpy")}}
    policy = PolicySection(**told["policy"], weights_sha256=told.get("weights_sha256"))
    whole = Manifest(**{**by_lane, "versions": versions}, policy=policy, seed=plan.seed)
    return {
        **whole.to_json(),
        **plan.facts,
    }

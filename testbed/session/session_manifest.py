"""The first line of an emulated session's record: what the player knows, and what the lane knows besides."""

from __future__ import annotations

import dataclasses
from typing import Any

from player.manifest import Manifest, VideoSection
from testbed.lanes.link import WatchedLink
from testbed.lanes.manifest import lane_sections
from testbed.lanes.plan import AskedServer
from testbed.session.session_plan import SessionPlan


def _video(plan: SessionPlan, told: VideoSection) -> VideoSection:
    """What was streamed. Of a live stream its player knew no sizes."""
    shown = tuple(map(str, plan.video.pictures)) or None
    if plan.live is not None:
        served = plan.video.sha256
        return dataclasses.replace(told, spec=plan.video_spec, pictures=shown, served_sha256=served)
    return dataclasses.replace(
        told,
        pictures=shown,
        spec=plan.video_spec,
        sizes_exact=plan.video.sizes_exact,  # (what the origin served had exactly these, either way)
        notes=tuple(plan.video.notes),
    )


def session_manifest(
    plan: SessionPlan, told: dict[str, Any], link: WatchedLink, server: AskedServer | None
) -> dict[str, Any]:
    """The whole manifest.

    Args:
        told: as the player knows it.
        server: whom the policy asks.
    """
    by_player = Manifest.from_json(told) or Manifest()
    by_lane = lane_sections(plan, link, server)
    whole = dataclasses.replace(
        by_player,
        video=_video(plan, by_player.video or VideoSection()),
        **{**by_lane, "versions": {**(by_player.versions or {}), **by_lane["versions"]}},
    )
    return {**whole.to_json(), **plan.facts}

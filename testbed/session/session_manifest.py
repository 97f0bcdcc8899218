"""The first line of an emulated session's record: what the player knows, and what the lane knows besides."""

from __future__ import annotations

import dataclasses
import platform
import time
from typing import Any

from player.manifest import LinkSection, Manifest, VideoSection
from player.provenance import code_section
from player.sections import link_section, trace_section
from testbed.lanes.link import WatchedLink
from testbed.lanes.plan import AskedServer
from testbed.session.session_plan import SessionPlan
from traces.versions import package_version


def session_manifest(
    plan: SessionPlan, told: dict[str, Any], link: WatchedLink, server: AskedServer | None
) -> dict[str, Any]:
    """The whole manifest.

    Args:
        told: as the player knows it.
        server: whom the policy asks.
    """
    by_player = Manifest.from_json(told) or Manifest()
    whole = dataclasses.replace(
        by_player,
        run_id=plan.record.parent.name,
        started_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        simulated=False,
        lane=link.shaped.lane.name,
        video=dataclasses.replace(
            by_player.video or VideoSection(),
            spec=plan.video_spec,
            sizes_exact=plan.video.sizes_exact,  # (what the origin served had exactly these, either way)
            notes=tuple(plan.video.notes),
        ),
        command_line=tuple(plan.command_line),
        directory=plan.directory,
        trace=dataclasses.replace(
            trace_section(plan.trace, plan.trace_spec, plan.start_s),
            cap_mbps=plan.cap_mbps,
            more={"cap_mbps": None},  # said where nothing was cut, too
        ),
        link=_link_section(plan, link),
        policy_server=None if server is None else dict(server.manifest),
        code=code_section(plan.code),
        host=platform.platform(),
        versions={
            **(by_player.versions or {}),
            **{name: package_version(name) for name in ("mininet", "scapy")},
        },
    )
    return {**whole.to_json(), **plan.facts}


def _link_section(plan: SessionPlan, link: WatchedLink) -> LinkSection:
    """What the link was asked to be, and what is in force."""
    asked = link_section({**dataclasses.asdict(plan.settings), "delay_backend": plan.backend})
    return dataclasses.replace(
        asked,
        queue_limit_bytes=plan.settings.queue_limit_bytes(plan.trace),
        more={**asked.more, **link.facts()},
    )

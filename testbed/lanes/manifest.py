"""The part of a record's first line that is alike for all that runs over a lane."""

from __future__ import annotations

import dataclasses
import platform
import time
from typing import Any

from player.manifest import LinkSection
from player.provenance import code_section
from player.sections import link_section, trace_section
from testbed.lanes.link import WatchedLink
from testbed.lanes.plan import AskedServer, LanePlan
from traces.versions import package_version


def lane_sections(plan: LanePlan, link: WatchedLink, server: AskedServer | None) -> dict[str, Any]:
    """Fields of a `player.manifest.Manifest`: the trace, the link, whom the policy asks, where and when."""
    return {
        "run_id": plan.record.parent.name,
        "started_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "simulated": False,
        "lane": link.shaped.lane.name,
        "command_line": tuple(plan.command_line),
        "directory": plan.directory,
        "trace": dataclasses.replace(
            trace_section(plan.trace, plan.trace_spec, plan.start_s),
            cap_mbps=plan.cap_mbps,
            more={"cap_mbps": None},  # said where nothing was cut, too
        ),
        "link": _link_section(plan, link),
        "policy_server": None if server is None else dict(server.manifest),
        "code": code_section(plan.code),
        "host": platform.platform(),
        "versions": {name: package_version(name) for name in ("mininet", "scapy")},
    }


def _link_section(plan: LanePlan, link: WatchedLink) -> LinkSection:
    """What the link was asked to be, and what is in force."""
    asked = link_section({**plan.settings.recorded, "delay_backend": plan.backend})
    return dataclasses.replace(
        asked,
        queue_limit_bytes=plan.settings.queue_limit_bytes(plan.trace),
        more={**asked.more, **link.facts()},
    )

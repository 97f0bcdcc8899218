"""Whether a record under a session's name is of that session as the plan has it, or of another sweep's."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from player.buffer import USUAL_THRESHOLDS
from player.manifest import Manifest
from player.transport.names import ASKED, H1
from testbed.browser.clients import PYTHON
from testbed.link.settings import FIFO
from testbed.sweeps.experiment.plan import SweepPlan
from testbed.sweeps.experiment.units import Unit
from traces.words import short_hash


def other_than_planned(told: Manifest, plan: SweepPlan, unit: Unit) -> str:
    """What of a record is not as the plan has it, in words; empty where it is the plan's own.

    Records hold the identity of their session. Those from before they did are held against what they say.
    """
    identity = told.sweep.identity if told.sweep else None
    if identity == plan.identity(unit):
        return ""
    differ = [
        f"{name} {_said(there)}, not {_said(wanted)}"
        for name, there, wanted in _facts(told, plan, unit)
        if there is not None and there != wanted
    ]
    if differ:
        return ", ".join(differ)
    return "" if identity is None else f"identity {identity}, not {plan.identity(unit)}"


def _facts(told: Manifest, plan: SweepPlan, unit: Unit) -> Iterator[tuple[str, Any, Any]]:
    """Name, what the record says, and what the plan does."""
    yield "simulated", told.simulated, plan.simulated
    if told.policy:
        yield "policy", told.policy.spec, unit.policy.spec
    if told.trace:
        yield "trace", _short(told.trace.sha256), _short(unit.swept.trace.sha256)
    if told.video:
        yield "chunks", told.video.chunks, unit.chunks
        if unit.setting.live is None:  # of a live stream nobody knows the sizes beforehand
            yield "video", _short(told.video.sha256), _short(unit.video.sha256)
    qoe = dataclasses.asdict(plan.qoe_of(unit))
    for key, there in (told.told_qoe or {}).items():
        yield key, there, qoe.get(key)
    if told.player:
        yield "player", told.player.client or PYTHON, unit.setting.client
        for key, wanted in dataclasses.asdict(unit.setting.thresholds).items():
            there = getattr(told.player, key)  # not said: the usual one
            yield key, getattr(USUAL_THRESHOLDS, key) if there is None else there, wanted
        live, wanted = told.player.live or {}, unit.live
        yield "latency_s", live.get("latency_s"), None if wanted is None else wanted.latency_s
        yield "transport", (told.player.transport or {}).get(ASKED, H1), unit.setting.transport
        yield "fallback", told.player.fallback, unit.policy.fallback
        if not plan.simulated:
            yield "decision_deadline_s", told.player.decision_deadline_s, plan.file.decision_deadline_s
    if told.link:
        link = unit.setting.link
        yield "link model", told.link.model, plan.link_model
        yield "rtt_ms", told.link.rtt_ms, link.rtt_ms
        yield "jitter_ms", told.link.jitter_ms, link.jitter_ms
        for name in ("media_delay_ms", "media_jitter_ms", "grant_ms"):
            yield name, getattr(told.link, name) or 0.0, getattr(link, name)  # not said: none
        yield "queue_ms", told.link.queue_ms, link.queue_ms
        yield "aqm", told.link.aqm or FIFO, link.aqm  # not said: a fifo
        yield "cc", told.link.congestion_control, link.congestion_control


def _short(digest: str | None) -> str | None:
    return None if digest is None else short_hash(digest)


def _said(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)

"""The session that a record tells of, checked field by field, as a session to run again."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from player.buffer import BufferThresholds
from player.fallback import FALLBACK_ONCE
from player.manifest import VideoSection
from player.qoe import LiveQoE, QoE
from player.sections import recorded_video
from player.transport.names import ASKED, H1, TRANSPORTS
from player.video.video import Video, VideoError
from testbed.again.told import Told
from testbed.again.video import HadVideo
from testbed.link.settings import BACKENDS, LinkSettings, Loss
from testbed.process.errors import TestbedError
from testbed.session.live_plan import LiveAsked, LivePlan
from testbed.session.session_plan import SessionPlan
from testbed.simulated.models import MODELS
from testbed.simulated.simulation import SessionToSimulate
from testbed.simulated.starts import Start
from testbed.sweeps.lanes import server_of
from traces.safe_reading import shown
from traces.trace import Trace, TraceError

MOST_PLAYERS = 16
"""As many as a sweep lets share a bottleneck."""
MOST_STEPS = 10_000_000
"""Intervals of its trace that a session may take: hours of computing are an attack, or a wrong unit."""
SEEDS = 2.0**63
LATEST_START_S = 1e9
"""As sweeps have it."""
_CONGESTION_CONTROL = re.compile(r"[a-z0-9_]{1,15}")
"""As the kernel names them."""
_LATER = {"told_qoe": (), "link": ("loss_pct",), "link.loss": ("r", "bad", "good")}
"""Settings that older records lack: they were what is the default now."""


def trace_of(told: Told) -> Trace:
    """The trace, its values as recorded.

    Raises:
        TestbedError: a value is missing, or they make no trace.
    """
    columns = {name: told.needed(f"trace.{name}") for name in ("time_s", "rate_mbps")}
    columns |= {name: told.optional(f"trace.{name}") for name in ("delay_ms", "loss_pct")}
    try:
        return Trace.of(told.needed("trace.name"), columns, told.optional("trace.family") or "")
    except TraceError as error:
        raise told.fault(f"trace: {error}") from None


def video_of(told: Told) -> Video:
    """The part of the video that was streamed, its sizes as recorded.

    Raises:
        TestbedError: a value is missing, or they make no video.
    """
    names = ("name", "chunk_s", "ladder_kbps", "chunks", "sizes_bytes")
    values = {name: told.needed(f"video.{name}") for name in names}
    values |= {name: told.optional(f"video.{name}") for name in ("sizes_exact", "notes", "pictures")}
    try:
        return recorded_video(VideoSection(**values))
    except VideoError as error:
        raise told.fault(f"video: {error}") from None


def qoe_of(told: Told, video: Video) -> QoE:
    """What the policy was told that it is scored by.

    Raises:
        TestbedError: it is none, or has no value for a bitrate of the video.
    """
    kind = LiveQoE if told.has("player.live") else QoE
    qoe: QoE = told.built(kind, "told_qoe", _whole(told, "told_qoe", kind))
    try:
        qoe.quality(video.ladder_kbps)
    except ValueError as error:
        raise told.fault(f"told_qoe: {error}") from None
    return qoe


def live_of(told: Told, video: Video) -> LivePlan | None:
    """How it was live; None where it was not.

    Raises:
        TestbedError: figures that no live stream has.
    """
    if not told.has("player.live"):
        return None
    held = told.object("player.live")
    latency_s, ahead_s = held.get("latency_s"), held.get("ahead_s")
    for name, value in (("latency_s", latency_s), ("ahead_s", ahead_s)):
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise told.fault(f"player.live.{name} is {shown(value)}; expected a number")
    try:
        return LiveAsked(latency_s, video.chunk_s - ahead_s if ahead_s else None).of(video.chunk_s)
    except ValueError as error:
        raise told.fault(f"player.live: {error}") from None


def _whole(told: Told, place: str, kind: Any) -> dict[str, Any]:
    """An object of the manifest that has every field of a dataclass, but those that older records lack."""
    values = told.object(place)
    for each in dataclasses.fields(kind):
        if each.name not in values and each.name not in _LATER[place]:
            raise told.fault(f"{place}.{each.name} is missing")
    return values


def check_length(told: Told, video: Video, trace: Trace) -> None:
    """Refuse a session that would take for ever.

    Raises:
        TestbedError: it would pass over too many intervals of its trace.
    """
    megabits = sum(max(row) for row in video.sizes_bytes) * 8 / 1e6
    passes = (megabits / trace.mean_mbps + video.duration_s) / trace.duration_s
    if not passes * len(trace.time_s) <= MOST_STEPS:
        raise told.fault(f"{video.name} over {trace.name} takes over {MOST_STEPS} steps of the trace")


def computed_session(told: Told, had: HadVideo, trace: Trace, record: Path) -> SessionToSimulate:
    """The session of a computed record.

    Args:
        had: its video.
        record: where the new one is to lie.

    Raises:
        TestbedError: it can't be had from this record.
    """
    if earlier := told.object("policy").get("earlier_sessions"):
        raise TestbedError(
            f"{told.path}: the policy carried state from {shown(earlier)} sessions before this one;"
            " run its simulate.py command again"
        )
    name = told.needed("link.model")
    if name not in MODELS:
        raise told.fault(f"link.model is {shown(name)}; this version has {', '.join(MODELS)}")
    settings = _whole(told, "link", MODELS[name].kind)
    del settings["model"]
    first_level = told.optional("player.first_level")
    if first_level is not None:
        told.at_least("player.first_level", 0, had.whole.levels - 1)
    return SessionToSimulate(
        policy=told.needed("policy.spec"),
        start=Start(trace, told.at_least("trace.start_index", 1, len(trace.time_s) - 1)),
        trace_spec=told.needed("trace.spec"),
        video=had.whole,
        chunks=had.streamed.chunks,
        first_level=first_level,
        link_name=name,
        link=told.built(MODELS[name].kind, "link", settings),
        qoe=qoe_of(told, had.streamed),
        run_seed=told.at_least("run_seed", -SEEDS, SEEDS),
        record=record,
        thresholds=thresholds_in(told),
        fallback=fallback_in(told),
    )


def fallback_in(told: Told) -> str:
    """Who decided what the policy did not.

    Raises:
        TestbedError: it is no text.
    """
    return told.optional("player.fallback") or FALLBACK_ONCE


def thresholds_in(told: Told) -> BufferThresholds:
    """When the player asked for more, and when it played; what a record does not say is the usual.

    Raises:
        TestbedError: one that can't be.
    """
    names = [each.name for each in dataclasses.fields(BufferThresholds)]
    held = {name: value for name in names if (value := told.optional(f"player.{name}")) is not None}
    return told.built(BufferThresholds, "player", held)


def transport_in(told: Told) -> str:
    """By which protocol its chunks were to be fetched; a record that says nothing is of HTTP/1.1.

    Raises:
        TestbedError: it is none.
    """
    asked = (told.optional("player.transport") or {}).get(ASKED, H1)
    if asked not in TRANSPORTS:
        raise told.fault(f"player.transport.{ASKED} is {shown(asked)}; expected {', '.join(TRANSPORTS)}")
    return str(asked)


def link_of(told: Told) -> tuple[LinkSettings, str]:
    """The link that an emulated record asked for, and who delayed and lost.

    Raises:
        TestbedError: a figure is missing, or makes no link.
    """
    held = told.object("link")
    names = (each.name for each in dataclasses.fields(LinkSettings))
    plain = [name for name in names if name not in ("loss", "delay_backend", "aqm")]
    if missing := [name for name in plain if name not in held]:
        raise told.fault(f"link.{missing[0]} is missing")
    loss = told.built(Loss, "link.loss", _whole(told, "link.loss", Loss))
    figures = {name: held[name] for name in plain}
    managed = {"aqm": held["aqm"]} if held.get("aqm") is not None else {}  # not said: a fifo
    settings = told.built(LinkSettings, "link", {**figures, **managed, "loss": loss})
    if not _CONGESTION_CONTROL.fullmatch(settings.congestion_control):
        raise told.fault(f"link.congestion_control is {shown(settings.congestion_control)}; that is none")
    backend = told.needed("link.delay_backend")
    if backend not in BACKENDS:
        raise told.fault(f"link.delay_backend is {shown(backend)}; expected {', '.join(BACKENDS)}")
    return settings, backend


@dataclass(frozen=True)
class Sharing:
    """How a session shared its bottleneck; alone unless its record says else."""

    players: int = 1
    index: int = 0
    stagger_s: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)
    """As recorded."""

    def facts_of(self, player: int) -> dict[str, Any]:
        """What the manifest of one of the players says of it."""
        if not self.facts:
            return {}
        return {"shared": {**self.facts, "index": player, "offset_s": player * self.stagger_s}}


def sharing_of(told: Told) -> Sharing:
    """The players that shared the bottleneck.

    Raises:
        TestbedError: a figure is missing, or can't be.
    """
    if not told.has("shared"):
        return Sharing()
    facts = told.object("shared")
    if facts.get("beside"):
        others = ", ".join(map(str, facts["beside"])) if isinstance(facts["beside"], list) else "others"
        raise told.fault(
            f"{others[:200]} shared its bottleneck; run its command_line again, which makes them, too"
        )
    players = told.at_least("shared.players", 1, MOST_PLAYERS)
    index = told.at_least("shared.index", 0, players - 1)
    return Sharing(players, index, float(told.at_least("shared.stagger_s", 0, LATEST_START_S)), facts)


@dataclass(frozen=True)
class EmulatedAgain:
    """The sessions that have to be streamed for an emulated record."""

    plans: tuple[SessionPlan, ...]
    """One a player."""
    sharing: Sharing

    @property
    def mine(self) -> SessionPlan:
        """The record's own."""
        return self.plans[self.sharing.index]


def emulated_sessions(
    told: Told, video: Video, trace: Trace, folder: Path, command_line: Sequence[str]
) -> EmulatedAgain:
    """The sessions of an emulated record: its own, and those that shared its bottleneck.

    Args:
        video: as streamed; where an origin finds it is not known yet.
        folder: of the new records.

    Raises:
        TestbedError, PolicyError: they can't be had from this record.
    """
    sharing, (settings, backend) = sharing_of(told), link_of(told)
    spec, name = told.needed("policy.spec"), Path(told.path).name
    start_s = float(told.at_least("trace.start_s", 0, LATEST_START_S))
    seed = told.at_least("seed", -SEEDS, SEEDS)
    same = partial(
        SessionPlan,
        policy=spec,
        trace=trace,
        trace_spec=told.needed("trace.spec"),
        video=video,
        video_spec="",
        settings=settings,
        backend=backend,
        qoe=qoe_of(told, video),
        decision_deadline_s=told.positive("player.decision_deadline_s"),
        command_line=tuple(command_line),
        thresholds=thresholds_in(told),
        transport=transport_in(told),
        cap_mbps=told.optional("trace.cap_mbps"),
        server=server_of(spec),
        fallback=fallback_in(told),
        live=live_of(told, video),
    )

    def plan(player: int) -> SessionPlan:
        record = folder / (name if player == sharing.index else f"other-player-{player}.jsonl")
        return same(
            start_s=start_s + (player - sharing.index) * sharing.stagger_s,
            seed=seed + player - sharing.index,
            record=record.absolute(),
            facts=sharing.facts_of(player),
        )

    return EmulatedAgain(tuple(map(plan, range(sharing.players))), sharing)

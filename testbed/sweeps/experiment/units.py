"""What a sweep is made of: policies, settings at one point, traces, and units of them that go onto a lane."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from player.buffer import USUAL_THRESHOLDS, BufferThresholds
from player.call.settings import CallSettings
from player.fallback import FALLBACK_ONCE
from player.transport.names import H1
from player.video.video import Video
from testbed.browser.clients import PYTHON
from testbed.cross.asked import Beside, companions_of, flows_of
from testbed.link.settings import LinkSettings
from testbed.server.dashjs import VERSION
from testbed.session.live_plan import LiveAsked, LivePlan
from testbed.simulated.starts import Start
from traces.trace import Trace


@dataclass(frozen=True)
class SweepPolicy:
    """One policy of the sweep."""

    label: str
    spec: str
    name: str
    delay_ms: float
    weights_sha256: str | None
    source_sha256: str | None
    """Hash of the file that its class stands in."""
    left_out: str | None
    """Why this engine cannot ask it; None if it can."""
    fallback: str
    """The spec of who decides where it can't."""
    sources: tuple[tuple[str, str], ...] = ()
    """Of a user's policy of several files: (path from its folder, hash) of each."""

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What makes it this policy, in plain values.

        The fallback is there only where it is another than it was before files could name one, the sources
        only where there are several: sessions from before are still the same.
        """
        mine = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        if self.fallback == FALLBACK_ONCE:
            del mine["fallback"]
        del mine["sources"]
        return {**mine, "sources": dict(self.sources)} if self.sources else mine


@dataclass(frozen=True)
class SweepSetting:
    """A `[[setting]]` at one point: one value of each of its axes, and of each of its other lists."""

    label: str
    group: str
    """The label of the `[[setting]]`."""
    seen: bool | None
    stress: bool
    link: LinkSettings
    video: str | None
    """None: the family's own."""
    chunks: int
    cap_mbps: float | None
    players: int
    stagger_s: float
    left_out: str | None
    """Why this engine cannot do it; None if it can."""
    thresholds: BufferThresholds = USUAL_THRESHOLDS
    transport: str = H1
    """By which videos are fetched."""
    call: CallSettings | None = None
    """Of a sweep of calls."""
    client: str = PYTHON
    """Who plays: our player, or dash.js in a browser."""
    live: LiveAsked | None = None
    """Of a live stream."""
    beside: str | None = None
    """Calls and videos that are made besides on each lane, and …"""
    cross: str | None = None
    """… bulk flows, as `testbed/cross/asked.py` reads them."""
    axis: Mapping[str, float] = dataclasses.field(default_factory=dict, hash=False)
    """Where it is on each axis of the `[[setting]]`, by key; empty where that has none."""

    @cached_property
    def others(self) -> Beside:
        """Who is on each lane besides its own players."""
        companions = companions_of([self.beside]) if self.beside else ()
        return Beside(companions, flows_of([self.cross]) if self.cross else ())

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What makes a session of this setting this and no other, in plain values.

        `stress`, `beside` and `cross` are there only where they say something, `call` of a call alone,
        thresholds of the buffer, a transport and an AQM only where they are not the usual ones, `player` with
        its version where it is not ours, `live` of a live stream: sessions from before these keys were known
        are still the same.
        `axis` is not: which other points there are makes no other session of one.
        """
        mine = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del mine["axis"]
        for name in ("stress", "beside", "cross"):
            if not mine[name]:
                del mine[name]
        del mine["thresholds"], mine["call"], mine["client"], mine["live"]
        if self.live is not None:
            mine["live"] = dataclasses.asdict(self.live)
        if self.client != PYTHON:
            mine["player"], mine["player_version"] = self.client, VERSION
        if self.transport == H1:
            del mine["transport"]
        if self.call is not None:
            mine["call"] = dataclasses.asdict(self.call)
        return {**mine, "link": self.link.recorded, **self.thresholds.unusual}

    @property
    def told(self) -> dict[str, Any]:
        """The facts, and where on its axes it is, for whoever reads the results."""
        return {**self.facts, "axis": dict(self.axis)}


@dataclass(frozen=True)
class SweptTrace:
    """A trace and what was typed for it."""

    spec: str
    trace: Trace


@dataclass(frozen=True)
class Unit:
    """What goes onto a lane at a time: sessions of one policy, by `setting.players` players."""

    name: str
    setting: SweepSetting
    policy: SweepPolicy
    swept: SweptTrace
    start: Start
    video_spec: str
    whole: Video
    """As the policy is told it. A call has a second of it in a chunk's place (`grid.seconds_of`)."""
    chunks: int
    """How many of its chunks are streamed."""
    seed: int
    repetition: int
    block: int

    @property
    def players(self) -> int:
        return self.setting.players

    @property
    def live(self) -> LivePlan | None:
        """Of a live stream."""
        return None if self.setting.live is None else self.setting.live.of(self.whole.chunk_s)

    @property
    def sessions(self) -> tuple[str, ...]:
        """Names of its sessions, one a player."""
        if self.players == 1:
            return (self.name,)
        return tuple(f"{self.name}_p{index}" for index in range(self.players))

    @property
    def records(self) -> tuple[str, ...]:
        """File names of its records."""
        return tuple(f"{session}.jsonl" for session in self.sessions)

    @property
    def video(self) -> Video:
        """Cut to the chunks that are streamed."""
        return _first(self.whole, self.chunks)

    @property
    def length_s(self) -> float:
        """How long it plays if nothing stalls."""
        return self.chunks * self.whole.chunk_s + (self.players - 1) * self.setting.stagger_s


@cache
def _first(video: Video, chunks: int) -> Video:
    return video.first(chunks)

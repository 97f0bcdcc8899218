"""The link of a lane while sessions stream over it, a type a stage: shaped, probed, watched, judged.

A stage has what the stages before it made and nothing that is still to come. What a stage opens is closed
by the stack that it was given.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from testbed.aqm.managed import manage
from testbed.lanes.members import sharing
from testbed.lanes.plan import LanePlan
from testbed.lanes.played import Played, payload_bytes
from testbed.link.bucket import bucket_bytes
from testbed.link.delay_stage import DelayStage, StageReport, unasked_media
from testbed.link.lane import BOTTLENECK, Lane
from testbed.link.log import LinkRow, read_link_log
from testbed.link.probe import PathProbe, PathProbing, load_scapy
from testbed.link.settings import FIFO
from testbed.link.shaper_client import ShaperClient
from testbed.link.tbf import TokenBucket
from testbed.machine.readings import MachineReading, read_machine
from testbed.process.child import Child
from testbed.process.errors import TestbedError
from testbed.verdict.evidence import ChunkTime, Evidence
from testbed.verdict.judge import Verdict, judge
from testbed.verdict.lane_guard import (
    LaneFindings,
    LaneGuard,
    chunk_times,
    modelled_times,
    models,
    warm_model,
)

LINK_LOST = "link-lost"
"""The shaper or the relay died: there is no emulated link any more."""

RELAY_DIED = "the delay stage's relay process died"

WARM_AFTER_S = 1.0
"""Into a session, when all lanes have begun and hold a first chunk."""

_PROBE_TRIES = 3
_WATCH_S = 0.25


@dataclass(frozen=True)
class Judged:
    """What is said of a link."""

    verdict: Verdict
    found: dict[str, Any]
    """What it rests on, for the record."""


@dataclass(frozen=True)
class Source:
    """A process that serves a lane's sessions: where it dies, they end."""

    name: str
    child: Child
    lost: str
    """The outcome of sessions whose source has died."""


@dataclass(frozen=True)
class ShapedLink:
    """A link at its trace's mean, and what serves its sessions."""

    plan: LanePlan
    """Of the session that begins first: it has the lane's source and the link's log."""
    lane: Lane
    shaper: ShaperClient
    bucket: TokenBucket
    source: Source | None
    opened: contextlib.AsyncExitStack

    @classmethod
    async def shape(
        cls,
        plan: LanePlan,
        lane: Lane,
        shaper: ShaperClient,
        source: Callable[[], Awaitable[Source | None]],
        opened: contextlib.AsyncExitStack,
    ) -> ShapedLink:
        """Shape the bottleneck and start what serves the sessions.

        Raises:
            TestbedError: something did not start.
        """
        mean = plan.trace.mean_mbps
        bucket = lane.bucket()
        opened.callback(bucket.close)
        bucket.create(mean, bucket_bytes(mean), plan.settings.queue_limit_bytes(plan.trace))
        await asyncio.to_thread(manage, lane.pid("router"), BOTTLENECK, plan.settings, plan.trace)
        return cls(plan, lane, shaper, bucket, await source(), opened)

    async def probe(self, quiet: Callable[[], Awaitable[object]]) -> ProbedLink:
        """Probe the path with scapy, before any video.

        Args:
            quiet: where the path seems not to be as asked, waited for before it is probed again.

        Raises:
            TestbedError: it is not as asked, after several tries.
        """
        probe, faults = await self.probed(quiet)
        if faults:
            raise TestbedError(
                f"the path of lane {self.lane.name} is not as asked: {'; '.join(faults)}."
                " Is the machine busy? `python testbed/fidelity.py` tells what it holds"
            )
        return ProbedLink(self, probe)

    async def probed(
        self, quiet: Callable[[], Awaitable[object]] | None = None
    ) -> tuple[PathProbe, list[str]]:
        """A probe of the path and its faults: of several tries the first without any, or the last.

        Args:
            quiet: waited for after a try that found faults.

        Raises:
            TestbedError: the bucket cannot be changed.
        """
        settings = self.plan.settings
        for tries in range(1, _PROBE_TRIES + 1):
            probe = await self._probe_once()
            lossy = settings.loss.kind != "none" or settings.aqm != FIFO  # who may drop of a train
            faults = probe.faults(settings.idle_rtt_ms, settings.varies_ms, lossy)
            if not faults:
                break
            if quiet is not None and tries < _PROBE_TRIES:
                await quiet()
        return probe, faults

    async def _probe_once(self) -> PathProbe:
        await asyncio.to_thread(load_scapy)
        with PathProbing(self.lane, self.bucket) as probing:
            await probing.echo()
            async with self.shaper.training:
                await asyncio.to_thread(probing.train)
            return probing.found()


@dataclass(frozen=True)
class ProbedLink:
    """A link whose path is as asked."""

    shaped: ShapedLink
    probe: PathProbe

    async def attach(self) -> None:
        """Hand the bottleneck to the shaper, at the trace's mean until the replay begins.

        Raises:
            TestbedError: the shaper is gone, or cannot take it.
        """
        link = self.shaped
        trace = link.plan.trace
        limit = link.plan.settings.queue_limit_bytes(trace)
        router = link.lane.pid("router")
        await link.shaper.attach(link.lane.name, router, BOTTLENECK, limit, trace.mean_mbps)

    async def watch(self, listens: bool) -> WatchedLink:
        """From now on nobody else may change anything in the lane.

        Args:
            listens: whether it is heard who changes something; without that only the counters tell.

        Raises:
            TestbedError: a host cannot be looked at.
        """
        link = self.shaped
        in_force = await asyncio.to_thread(_in_force, link.lane)
        guard = LaneGuard(link.lane, link.bucket, link.shaper.netlink_port, listens)
        link.opened.callback(guard.close)
        await guard.listen()
        return WatchedLink(link, self.probe, in_force, guard, link.lane.delay_stage)


def _in_force(lane: Lane) -> dict[str, Any]:
    """TCP settings and qdiscs as the kernel reports them."""
    return {"tcp": lane.tcp_in_force(), "qdiscs": lane.qdiscs()}


@dataclass(frozen=True)
class WatchedLink:
    """A link that nobody may change any more: `count` what passes it, `play`, and after the last session
    `judge`."""

    shaped: ShapedLink
    probe: PathProbe
    """Before the session."""
    in_force: dict[str, Any]
    guard: LaneGuard
    stage: DelayStage

    def facts(self) -> dict[str, Any]:
        """What a manifest says of the link that is in force."""
        return {
            "offloads": "off: tx, tso, gso, gro",
            **self.in_force,
            "shaper_real_time": self.shaped.shaper.real_time,
            "probe": dataclasses.asdict(self.probe),
        }

    def machine(self) -> MachineReading:
        """What the machine's processors have done so far, and how long those of the link waited for one."""
        return read_machine([("shaper", self.shaped.shaper.pid), ("relay", self.stage.pid)])

    async def count(self) -> None:
        """Count what passes from now on, once what was on its way has arrived.

        Raises:
            TestbedError: a counter cannot be read.
        """
        await self.guard.count()

    async def play(self, t0: float, alone: bool = True) -> None:
        """Begin the replay at monotonic time `t0`.

        Args:
            alone: one session has the lane to itself.

        Raises:
            TestbedError: the delay stage or the shaper is gone.
        """
        plan, shaper = self.shaped.plan, self.shaped.shaper
        self.guard.begin(t0)
        await asyncio.to_thread(self.stage.play, plan.trace, plan.start_s, t0)
        await shaper.play(self.shaped.lane.name, plan.trace, plan.start_s, t0, plan.aside("link.jsonl"))
        if self.shaped.source is not None and models(plan.settings, alone, varies=False):
            asyncio.get_running_loop().call_later(t0 - time.monotonic() + WARM_AFTER_S, warm_model)

    async def death(self) -> tuple[str, str]:
        """Wait until a process that the sessions need, a player apart, has died: outcome and reason."""
        link = self.shaped
        while True:
            source = link.source
            if source is not None and source.child.process.returncode is not None:
                return source.lost, f"{source.name} died: {await source.child.last_word()}"
            if self.stage.died():
                return LINK_LOST, RELAY_DIED
            if link.shaper.died():
                return LINK_LOST, "the shaper process died"
            with contextlib.suppress(TestbedError):  # it died just now: the next look says so
                if (fault := await link.shaper.fault(link.lane.name)) is not None:
                    return LINK_LOST, f"the replay broke off: {fault}"
            await asyncio.sleep(_WATCH_S)

    async def judge(self, played: Sequence[Played]) -> Judged:
        """End the replay; the verdict on the link until the last session's end, and what it rests on."""
        plan = self.shaped.plan
        broken = await self._stop()
        elapsed_s = max(one.offset_s + one.elapsed_s for one in played)
        rows = _while_streaming(read_link_log(plan.aside("link.jsonl")), elapsed_s)
        computing = asyncio.create_task(asyncio.to_thread(_chunk_times, plan, played, rows))
        found = await self.guard.end(max((row.delay_ms for row in rows), default=0.0))
        chunks = await computing  # before the path is probed, whose clock nobody else may hold up
        stage = await self._stage_report(broken)
        if found.fault and not broken:
            broken.append(f"nobody can tell what passed the lane: {found.fault}")
        probe, faults = (None, []) if broken else await self._probe_again(broken)
        evidence = Evidence(
            rows=rows,
            elapsed_s=elapsed_s,
            settings=plan.settings,
            path=found.path,
            chunks=chunks,
            payload_bytes=payload_bytes(played),
            calls=[one.call for one in played if one.call is not None],
            quic=[one.quic for one in played if one.quic is not None],
            changes=found.words(),
            probe_faults=faults,
            wanted_share=max(one.wanted_share for one in played),
            broken=broken,
        )
        return Judged(judge(evidence), _rests_on(evidence, found, stage, probe) | _shared(plan, played))

    async def _stop(self) -> list[str]:
        """End the replay; what of the link broke while it was in use, in words."""
        try:
            await self.shaped.shaper.stop(self.shaped.lane.name)
            await asyncio.to_thread(self.stage.rest)
        except TestbedError as error:
            return [str(error)]
        return []

    async def _stage_report(self, broken: list[str]) -> StageReport | None:
        """What the delay stage did; what of it was not as asked joins `broken`."""
        if self.stage.died():
            broken.append(RELAY_DIED)
            return None
        try:
            report = await asyncio.to_thread(self.stage.report)
        except TestbedError as error:
            broken.append(str(error))
            return None
        broken += [*report.faults(), *unasked_media(report.media, self.shaped.plan.settings)]
        return report

    async def _probe_again(self, broken: list[str]) -> tuple[PathProbe | None, list[str]]:
        """The path as it is now, after the session, and what of it is not as asked."""
        try:
            return await self.shaped.probed()
        except (TestbedError, OSError) as error:  # an interface may be down, or take no full frame
            broken.append(f"after the session the path cannot be probed: {error}")
            return None, []


def _while_streaming(rows: Sequence[LinkRow], elapsed_s: float) -> list[LinkRow]:
    """The link rows up to the last session's end: what came after it proves nothing."""
    return [row for row in rows if row.start_s + row.duration_s <= elapsed_s + 1.0]


def _shared(plan: LanePlan, played: Sequence[Played]) -> dict[str, Any]:
    """What each got, where there were several."""
    members = [member for one in played for member in one.members]
    return {"together": sharing(members, plan.trace, plan.start_s)} if len(members) > 1 else {}


def _chunk_times(plan: LanePlan, played: Sequence[Played], rows: Sequence[LinkRow]) -> list[ChunkTime]:
    """What the lane's chunks took, and by the model should have taken."""
    varies = any(row.delay_ms or row.loss_pct for row in rows)
    alone = len(played) == 1 and bool(played[0].chunks)
    if not models(plan.settings, alone, varies) or played[0].own_pace or played[0].quic is not None:
        return [time_ for one in played for time_ in chunk_times(one.chunks, one.offset_s)]
    return modelled_times(played[0].chunks, plan.trace, plan.start_s, plan.settings)


def _rests_on(
    evidence: Evidence, found: LaneFindings, stage: StageReport | None, probe: PathProbe | None
) -> dict[str, Any]:
    """What a verdict rests on, for the record."""
    return {
        "delay_stage": {} if stage is None else dataclasses.asdict(stage),
        **found.record(),
        "probe_at_end": None if probe is None else dataclasses.asdict(probe),
        "expected": [
            [one.chunk, one.expected_ttfb_s, one.expected_download_s]
            for one in evidence.chunks
            if one.expected_ttfb_s is not None
        ],
    }

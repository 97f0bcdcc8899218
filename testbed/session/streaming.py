"""Stream one video over one lane: origin, player, link and record, from start to verdict."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import platform
import signal
import time
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from player.decide import RESET_DEADLINE_S
from player.manifest import LinkSection, Manifest, VideoSection
from player.policy import BY_FALLBACK
from player.real.manifest import package_version
from player.real.session import INTERRUPTED, ORIGIN_LOST
from player.record import FINISHED, ChunkRow, EndRow, RecordWriter
from player.sections import link_section, trace_section
from testbed.link.delay_stage import StageReport
from testbed.link.lane import BOTTLENECK, ORIGIN_PORT, SERVER_IP, Lane
from testbed.link.log import LinkRow, read_link_log
from testbed.link.probe import PathProbe, probe_path
from testbed.link.shaper import burst_bytes
from testbed.link.shaper_client import ShaperClient
from testbed.link.tbf import TokenBucket
from testbed.machine.readings import Reading, read_machine
from testbed.process.child import START_TIMEOUT_S, Child
from testbed.process.errors import TestbedError
from testbed.server.resources import url_name
from testbed.session.session_plan import LOG_ENDINGS, Server, SessionPlan, SessionResult, Watcher
from testbed.verdict.evidence import ChunkTime, Evidence
from testbed.verdict.lane_guard import Found, LaneGuard, chunk_times, modelled_times, models, warm_model
from testbed.verdict.selfcheck import Verdict, judge
from traces.files import settle

PLAYER_DIED = "player-died"
LINK_LOST = "link-lost"
"""The shaper or the relay died: there is no emulated link any more."""

RELAY_DIED = "the delay stage's relay process died"

LANES_AT_ONCE = "lanes_at_once"
"""Where a manifest says how many lanes streamed side by side when its session began."""

_PLAYER_START_TIMEOUT_S = RESET_DEADLINE_S + START_TIMEOUT_S
"""A policy's slow `reset` is the player's to deal with: it has the fallback."""
_PROBE_TRIES = 3
_WATCH_S = 0.25


class LaneSession:
    """One session on one lane. `start`, then `probe`, then `stream`, then `close`."""

    listens = True
    """Whether it hears who changes something in its lane; without that only the counters tell."""

    def __init__(
        self, plan: SessionPlan, lane: Lane, shaper: ShaperClient, index: int, server: Server | None = None
    ) -> None:
        self.plan = plan
        self._server = server
        self.lane = lane
        self.index = index
        self._shaper = shaper
        self._children: list[Child] = []
        self._player: Child | None = None
        self._origin: Child | None = None
        self._capture: Child | None = None
        self._origin_says: dict[str, Any] = {}
        self._manifest: dict[str, Any] = {}
        self._bucket: TokenBucket | None = None
        self._probe: PathProbe | None = None
        self._guard: LaneGuard | None = None
        self._chunks: list[ChunkRow] = []
        self._path: dict[str, Any] = {}
        self._t0 = 0.0
        self._wanted_share = 0.0

    async def start(self) -> None:
        """Shape the link at the trace's mean and start the origin.

        Raises:
            TestbedError: something did not start.
        """
        plan = self.plan
        limit = plan.settings.queue_limit_bytes(plan.trace)
        mean = plan.trace.mean_mbps
        self._bucket = self.lane.bucket()
        self._bucket.create(mean, burst_bytes(mean), limit)
        for path in self.leftovers():  # of a run that was killed: the origin's log is appended to
            path.unlink(missing_ok=True)
        if models(plan.settings, alone=True, varies=False):
            await asyncio.to_thread(warm_model)  # now, when nothing is measured
        self._origin = await self._child(
            "origin",
            "server",
            "testbed.origin",
            *("--host", SERVER_IP, "--port", str(ORIGIN_PORT), "--json"),
            *("--cc", plan.settings.congestion_control, "--video", plan.video_spec),
            *("--log", str(self._aside("origin.jsonl"))),
        )
        self._origin_says = await self._origin.first_line()

    async def probe(self) -> None:
        """Probe the path with scapy, before any video.

        Raises:
            TestbedError: it is not as asked, after several tries.
        """
        self._probe, faults = await self._probed()
        if faults:
            raise TestbedError(
                f"the path of lane {self.lane.name} is not as asked: {'; '.join(faults)}."
                " Is the machine busy? `python testbed/fidelity.py` tells what it holds"
            )

    async def _probed(self) -> tuple[PathProbe, list[str]]:
        """A probe of the path and its faults: of several tries the first without any, or the last.

        Raises:
            TestbedError: the bucket cannot be changed.
        """
        assert self._bucket is not None
        settings = self.plan.settings
        async with self._shaper.probing:
            for _ in range(_PROBE_TRIES):
                probe = await asyncio.to_thread(probe_path, self.lane, self._bucket)
                faults = probe.faults(settings.rtt_ms, settings.jitter_ms, settings.loss.kind != "none")
                if not faults:
                    break
        return probe, faults

    async def ready(self) -> None:
        """Hand the link to the shaper and start the player, which reads the MPD over the link.

        Raises:
            TestbedError: something did not start.
        """
        plan = self.plan
        await self._attach_link()
        if plan.pcap:
            capture = await self._child(
                "capture", "player", "testbed.link.capture", str(self._aside("pcap")), "player-0"
            )
            await capture.first_line()
            self._capture = capture
        url = f"http://{SERVER_IP}:{ORIGIN_PORT}/{url_name(plan.video)}/manifest.mpd"
        self._player = await self._child(
            f"player ({plan.policy})",
            "player",
            "player",
            *(url, "--policy", plan.policy, "--chunks", str(plan.video.chunks), "--seed", str(plan.seed)),
            *("--qoe", plan.qoe.kind, "--mu", repr(plan.qoe.mu), "--smooth", repr(plan.qoe.smooth)),
            *("--decision-deadline-s", repr(plan.decision_deadline_s), "--stream"),
            variables=None if self._server is None else self._server.environment,
        )
        self._manifest = (await self._player.first_line(_PLAYER_START_TIMEOUT_S))["manifest"]
        self._path = await asyncio.to_thread(self._path_in_force)
        await self._watch_link()

    async def _attach_link(self) -> None:
        """Hand the link to the shaper."""
        trace = self.plan.trace
        limit = self.plan.settings.queue_limit_bytes(trace)
        router = self.lane.pid("router")
        await self._shaper.attach(self.lane.name, router, BOTTLENECK, limit, trace.mean_mbps)

    async def _watch_link(self) -> None:
        """From now on nobody else may change anything in the lane."""
        assert self._bucket is not None
        self._guard = LaneGuard(self.lane, self._bucket, self._shaper.netlink_port, self.listens)
        await self._guard.listen()

    async def _child(
        self, what: str, role: str, module: str, *arguments: str, variables: Mapping[str, str] | None = None
    ) -> Child:
        name, pid = f"lane {self.lane.name}: {what}", self.lane.pid(role)
        child = await Child.start(name, pid, "-m", module, *arguments, variables=variables)
        self._children.append(child)
        return child

    def interrupt(self) -> None:
        """Let the player end its session now."""
        if self._player is not None:
            self._player.signal(signal.SIGINT)

    def kill_player(self) -> None:
        """Do not wait any longer for a player that was interrupted."""
        if self._player is not None:
            self._player.signal(signal.SIGKILL)

    async def stream(self, t0: float, watcher: Watcher) -> SessionResult:
        """Play from monotonic time `t0` on; the record is complete when this returns.

        Raises:
            TestbedError: the replay cannot begin, or the lane's counters cannot be read before it does.
            OSError: the record cannot be written.
        """
        plan, player = self.plan, self._player
        assert player is not None and player.process.stdin is not None
        self._t0 = t0
        before = self._machine()
        await self._play_link(t0)
        with RecordWriter(plan.record, self._whole_manifest()) as writer:
            try:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it died: see `_follow`
                    player.process.stdin.write((json.dumps({"start_s": t0}) + "\n").encode())
                    await player.process.stdin.drain()
                end = await self._unless_broken(self._follow(player, writer, watcher))
                change = self._machine().since(before)
                machine, self._wanted_share = dataclasses.asdict(change), change.wanted_share
                verdict, found = await self._judge_link(end)
                link = {**dataclasses.asdict(verdict), **found, "machine": machine}
                end = dataclasses.replace(end, valid=verdict.valid, link=link)
                await self._finish_logs()
                writer.finish(end)
            except BaseException:
                writer.abandon()
                raise
        watcher.end(self.index, end)
        notes = () if self._server is None else tuple(self._server.notes)
        return SessionResult(plan, tuple(self._chunks), end, verdict, notes)

    def _machine(self) -> Reading:
        """What the machine's processors have done so far, and how long those of the link waited for one."""
        stage = self.lane.delay_stage
        return read_machine([("shaper", self._shaper.pid), ("relay", None if stage is None else stage.pid)])

    async def _play_link(self, t0: float) -> None:
        """Begin the replay at monotonic time `t0`."""
        plan = self.plan
        assert self._guard is not None and self.lane.delay_stage is not None
        await asyncio.to_thread(self.lane.delay_stage.play, plan.trace, plan.start_s, t0)
        await self._shaper.play(self.lane.name, plan.trace, plan.start_s, t0, self._aside("link.jsonl"))
        await self._guard.begin(t0)

    async def _judge_link(self, end: EndRow) -> tuple[Verdict, dict[str, Any]]:
        """End the replay; the verdict on the lane until the session's end, and what it rests on."""
        broken = await self._stop_link()
        rows = self._while_streaming(read_link_log(self._aside("link.jsonl")), end)
        found = await self._found(rows)
        stage = await self._stage_report(broken)
        if found.fault and not broken:
            broken.append(f"nobody can tell what passed the lane: {found.fault}")
        probe, faults = (None, []) if broken else await self._probe_again(broken)
        evidence = Evidence(
            rows=rows,
            elapsed_s=end.elapsed_s,
            settings=self.plan.settings,
            path=found.path,
            chunks=await asyncio.to_thread(self._chunk_times, rows),
            payload_bytes=self._payload_bytes(end),
            changes=found.words(),
            probe_faults=faults,
            wanted_share=self._wanted_share,
        )
        verdict = judge(evidence)
        if broken:
            verdict = dataclasses.replace(verdict, valid=False, reasons=(*verdict.reasons, *broken))
        return verdict, {
            "delay_stage": {} if stage is None else dataclasses.asdict(stage),
            **found.record(),
            "probe_at_end": None if probe is None else dataclasses.asdict(probe),
            "expected": [
                [one.chunk, one.expected_ttfb_s, one.expected_download_s]
                for one in evidence.chunks
                if one.expected_ttfb_s is not None
            ],
        }

    async def _found(self, rows: Sequence[LinkRow]) -> Found:
        """What the hosts' counters and the watch tell."""
        assert self._guard is not None
        return await self._guard.end(max((row.delay_ms for row in rows), default=0.0))

    async def _probe_again(self, broken: list[str]) -> tuple[PathProbe | None, list[str]]:
        """The path as it is now, after the session, and what of it is not as asked."""
        try:
            return await self._probed()
        except (TestbedError, OSError) as error:  # an interface may be down, or take no full frame
            broken.append(f"after the session the path cannot be probed: {error}")
            return None, []

    @property
    def _alone(self) -> bool:
        """Whether the lane has no other player."""
        return True

    def _chunk_times(self, rows: Sequence[LinkRow]) -> list[ChunkTime]:
        """What the lane's chunks took, and by the model should have taken."""
        plan = self.plan
        varies = any(row.delay_ms or row.loss_pct for row in rows)
        if not models(plan.settings, self._alone, varies):
            return chunk_times(self._chunks)
        return modelled_times(self._chunks, plan.trace, plan.start_s, plan.settings)

    def _payload_bytes(self, end: EndRow) -> int | None:
        """What the lane's chunks hold; None where more than that was asked for."""
        if end.outcome != FINISHED or any(row.retries for row in self._chunks):
            return None
        return sum(row.size_bytes for row in self._chunks)

    async def _stage_report(self, broken: list[str]) -> StageReport | None:
        """What the delay stage did; what of it was not as asked joins `broken`."""
        assert self.lane.delay_stage is not None
        if self.lane.delay_stage.died():
            broken.append(RELAY_DIED)
            return None
        try:
            report = await asyncio.to_thread(self.lane.delay_stage.report)
        except TestbedError as error:
            broken.append(str(error))
            return None
        broken += report.faults()
        return report

    async def _finish_logs(self) -> None:
        """Give the session's logs their final names, complete and on disk."""
        assert self._player is not None
        said = list(self._player.said)
        if self._capture is not None:
            await self._capture.close()
            said += self._capture.said
        if said:
            self._aside("stderr.txt").write_text("\n".join(said) + "\n", encoding="utf-8")
        for ending in LOG_ENDINGS:
            if self._aside(ending).exists():
                await asyncio.to_thread(settle, self._aside(ending), self.plan.log(ending))

    async def _unless_broken(self, following: Coroutine[Any, Any, EndRow]) -> EndRow:
        """The session's end. What is known to be dead is not waited for as what is only silent."""
        end = asyncio.create_task(following)
        death = asyncio.create_task(self._death())
        try:
            await asyncio.wait([end, death], return_when=asyncio.FIRST_COMPLETED)
            if end.done():
                return end.result()
            self.interrupt()
            ended = await end
            if ended.outcome != INTERRUPTED:
                return ended
            outcome, reason = death.result()
            return dataclasses.replace(ended, outcome=outcome, reason=reason)
        finally:
            death.cancel()
            end.cancel()
            await asyncio.gather(death, end, return_exceptions=True)

    async def _death(self) -> tuple[str, str]:
        """Wait until a process that the session needs, the player apart, has died: outcome and reason."""
        assert self._origin is not None
        while True:
            if self._origin.process.returncode is not None:
                return ORIGIN_LOST, f"the origin died: {await self._origin.last_word()}"
            if self.lane.delay_stage is not None and self.lane.delay_stage.died():
                return LINK_LOST, RELAY_DIED
            if self._shaper.died():
                return LINK_LOST, "the shaper process died"
            with contextlib.suppress(TestbedError):  # it died just now: the next look says so
                if (fault := await self._shaper.fault(self.lane.name)) is not None:
                    return LINK_LOST, f"the replay broke off: {fault}"
            await asyncio.sleep(_WATCH_S)

    async def _stop_link(self) -> list[str]:
        """End the replay; what of the link broke while it was in use, in words."""
        broken = []
        try:
            await self._shaper.stop(self.lane.name)
            if self.lane.delay_stage is not None:
                await asyncio.to_thread(self.lane.delay_stage.rest)
        except TestbedError as error:
            broken.append(str(error))
        return broken

    async def _follow(self, player: Child, writer: RecordWriter, watcher: Watcher) -> EndRow:
        """Read the player's lines until its last; a player that says something else is as good as dead."""
        while (line := await self._line_of(player)) is not None:
            kind = line.pop("line")
            if kind == "state":
                watcher.state(self.index, line)
            elif kind == "chunk":
                row = ChunkRow(**line)
                self._chunks.append(row)
                writer.chunk(row)
                watcher.chunk(self.index, row)
            elif kind == "end":
                return EndRow(**line)
        return self._died(await player.last_word())

    async def _line_of(self, player: Child) -> dict[str, Any] | None:
        try:
            return await player.line()
        except TestbedError as error:
            player.said.append(str(error))
            player.signal_group(signal.SIGKILL)
            return None

    def _died(self, last_word: str) -> EndRow:
        """The end of a session whose player ended without a word: what its chunks tell."""
        chunks = self._chunks
        elapsed_s = max(time.monotonic() - self._t0, 0.0)
        startup_s = chunks[0].request_s + chunks[0].download_s if chunks else elapsed_s
        stall_s = sum(row.stall_s for row in chunks[1:])
        return EndRow(
            outcome=PLAYER_DIED,
            reason=last_word,
            chunks=len(chunks),
            startup_s=startup_s,
            stall_s=stall_s,
            played_s=max(min(elapsed_s - startup_s - stall_s, len(chunks) * self.plan.video.chunk_s), 0.0),
            elapsed_s=elapsed_s,
        )

    def _while_streaming(self, rows: Sequence[Any], end: EndRow) -> list[Any]:
        """The link rows up to the session's end: what came after it proves nothing."""
        return [row for row in rows if row.start_s + row.duration_s <= end.elapsed_s + 1.0]

    def _aside(self, ending: str) -> Path:
        """Where a file of this session is written until it is complete."""
        final = self.plan.log(ending)
        return final.with_name(f"{final.name}.partial")

    def leftovers(self) -> list[Path]:
        """Files that an unfinished session would leave."""
        return [self._aside(ending) for ending in LOG_ENDINGS]

    def _path_in_force(self) -> dict[str, Any]:
        """TCP settings and qdiscs as the kernel reports them."""
        return {"tcp": self.lane.tcp_in_force(), "qdiscs": self.lane.qdiscs()}

    def _whole_manifest(self) -> dict[str, Any]:
        plan, told = self.plan, Manifest.from_json(self._manifest) or Manifest()
        whole = dataclasses.replace(
            told,
            run_id=plan.record.parent.name,
            started_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            simulated=False,
            lane=self.lane.name,
            video=dataclasses.replace(told.video or VideoSection(), spec=plan.video_spec),
            command_line=tuple(plan.command_line),
            trace=dataclasses.replace(
                trace_section(plan.trace, plan.trace_spec, plan.start_s),
                more={"cap_mbps": plan.cap_mbps},  # null where nothing was cut
            ),
            link=self._link_section(),
            policy_server=None if self._server is None else dict(self._server.manifest),
            host=platform.platform(),
            versions={
                **(told.versions or {}),
                **{name: package_version(name) for name in ("mininet", "scapy")},
            },
        )
        return {**whole.to_json(), **plan.facts}

    def _link_section(self) -> LinkSection:
        """What the link was asked to be, and what is in force."""
        plan = self.plan
        assert self._probe is not None
        asked = link_section({**dataclasses.asdict(plan.settings), "delay_backend": plan.backend})
        return dataclasses.replace(
            asked,
            queue_limit_bytes=plan.settings.queue_limit_bytes(plan.trace),
            more={
                **asked.more,
                "offloads": "off: tx, tso, gso, gro",
                **self._path,
                "shaper_real_time": self._shaper.real_time,
                "probe": dataclasses.asdict(self._probe),
            },
        )

    async def close(self) -> None:
        """End this session's processes; safe to call twice."""
        if self._origin is not None:  # it serves until it is told to stop, whatever its input does
            self._origin.signal(signal.SIGTERM)
        if self._guard is not None:
            self._guard.close()
        children, self._children = self._children, []
        await asyncio.gather(*(child.close() for child in children))
        if self._bucket is not None:
            self._bucket.close()
            self._bucket = None


def finished(result: SessionResult) -> bool:
    """Whether the whole video was played over a link that was true, and not by the fallback alone."""
    by_fallback = all(row.by == BY_FALLBACK for row in result.chunks)
    return result.end.outcome == FINISHED and result.end.valid and not by_fallback

"""A player's process in a lane: started, told to play, followed line by line to its end."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import time
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from player.decide import RESET_DEADLINE_S
from player.qoe import LiveQoE
from player.record import FINISHED, POLICY_FAULT, ChunkRow, EndRow, RecordWriter
from player.transport.names import H1, H3, NEGOTIATED
from testbed.browser.clients import DASHJS
from testbed.lanes.link import WatchedLink
from testbed.lanes.members import VIDEO, Arrivals, Member
from testbed.lanes.plan import LOG_ENDINGS, AskedServer
from testbed.lanes.played import Played
from testbed.lanes.processes import LaneProcesses
from testbed.process.child import START_TIMEOUT_S, Child
from testbed.process.errors import STOPPED, StrictStop, TestbedError
from testbed.server.names import url_name
from testbed.session.agreement import agreement
from testbed.session.session_manifest import session_manifest
from testbed.session.session_plan import SessionPlan, SessionResult, Watcher
from testbed.session.transports import origin_url, player_variables
from testbed.verdict.evidence import QuicUse
from testbed.verdict.judge import Verdict
from traces.commands import BAD_INPUT
from traces.files import fresh, settle

PLAYER_DIED = "player-died"
PLAYER = "python -m player: "
"""How what a player refuses begins."""

_PLAYER_START_TIMEOUT_S = RESET_DEADLINE_S + START_TIMEOUT_S
"""A policy's slow `reset` is the player's to deal with: it has the fallback."""


async def _strict_stop(plan: SessionPlan, child: Child) -> StrictStop:
    """What a strict player ended with, by what it said."""
    await child.last_word()
    first = next((place for place, line in enumerate(child.said) if line.startswith(PLAYER)), None)
    if first is None:
        return StrictStop(f"{plan.policy}: its player ended")
    line = child.said[first].removeprefix(PLAYER).removesuffix(STOPPED)
    return StrictStop(line, "\n".join(child.said[first + 1 :]))


@dataclass(frozen=True)
class LoadingPlayer:
    """A player's process, which loads its policy while the link is made: `loaded`, then `ready`."""

    plan: SessionPlan
    processes: LaneProcesses
    child: Child
    index: int
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    """Its first line has come."""

    @classmethod
    async def start(
        cls, plan: SessionPlan, processes: LaneProcesses, server: AskedServer | None, index: int
    ) -> LoadingPlayer:
        """Start it.

        Args:
            server: whom its policy asks, once the session is prepared.
        """
        if plan.client == DASHJS:  # its processes are heavy, and no fork of ours
            module, player = "testbed.browser", f"dash.js ({plan.policy})"
        else:
            module, player = "player", f"player ({plan.policy})"
        live = plan.live
        folder = f"{url_name(plan.video)}{'' if live is None else '/live'}"
        url = origin_url(plan.transport, f"{folder}/manifest.mpd")
        asked = {} if server is None else server.environment
        child = await processes.start(
            player,
            "player",
            module,
            *(url, "--policy", plan.policy, "--chunks", str(plan.video.chunks), "--seed", str(plan.seed)),
            *("--qoe", plan.qoe.kind, "--mu", repr(plan.qoe.mu), "--smooth", repr(plan.qoe.smooth)),
            *("--decision-deadline-s", repr(plan.decision_deadline_s), "--stream", "--hold"),
            *("--buffer-cap-s", repr(plan.thresholds.buffer_cap_s)),
            *("--startup-s", repr(plan.thresholds.startup_s), "--resume-s", repr(plan.thresholds.resume_s)),
            *(("--abandon",) if plan.thresholds.abandon else ()),
            *("--transport", plan.transport),
            *(() if live is None else ("--live", "--latency-s", repr(live.latency_s))),
            *(("--latency-weight", repr(plan.qoe.latency)) if isinstance(plan.qoe, LiveQoE) else ()),
            *("--fallback", plan.fallback, *(("--strict",) if plan.strict else ())),
            variables={**asked, **player_variables(plan.transport)},
        )
        return cls(plan, processes, child, index)

    async def loaded(self) -> None:
        """Wait until it has loaded its policy; not twice at once, but again is at once.

        Raises:
            TestbedError: it can't, or not in time.
        """
        if not self.heard.is_set():
            await self.child.first_line(_PLAYER_START_TIMEOUT_S)
            self.heard.set()

    async def ready(self) -> LanePlayer:
        """Let it read the MPD over the link and prepare its session.

        Raises:
            TestbedError: something did not start.
            StrictStop: the policy's reset failed, and the plan is strict.
        """
        capture = None
        if self.plan.pcap:
            words = (str(self.plan.aside("pcap")), "player-0")
            capture = await self.processes.start("capture", "player", "testbed.link.capture", *words)
            await capture.first_line()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it died: the next line will tell
            await self.child.tell({"go": True})
        try:
            told = (await self.child.first_line(_PLAYER_START_TIMEOUT_S))["manifest"]
        except TestbedError:
            if self.plan.strict and self.child.process.returncode == BAD_INPUT:
                raise await _strict_stop(self.plan, self.child) from None
            raise
        return LanePlayer(self.plan, self.child, told, capture, self.index)


class LanePlayer:
    """A player that has read the MPD and waits to begin: `play`, `follow`, `finish_logs`.

    Args:
        told: the manifest as the player knows it.
        capture: who writes its packets down, if anybody.
        index: by which a `Watcher` knows it.
    """

    def __init__(
        self, plan: SessionPlan, child: Child, told: dict[str, Any], capture: Child | None, index: int
    ) -> None:
        self.plan = plan
        self.told = told
        self.index = index
        self.chunks: list[ChunkRow] = []
        self.requests: list[dict[str, Any]] = []
        """Of segments, as a client that isn't ours tells them."""
        self._protocols: dict[str, int] = {}
        """By which segments came, as such a client tells it."""
        self._datagrams: list[tuple[int, int]] = []
        """Sent and received of QUIC, as it began and as it ended."""
        self._child = child
        self._capture = capture
        self._t0 = 0.0

    def record(self, link: WatchedLink, server: AskedServer | None) -> RecordWriter:
        """Begin its record.

        Raises:
            OSError: it cannot be written.
        """
        return RecordWriter(self.plan.record, session_manifest(self.plan, self.told, link, server))

    def played(self, end: EndRow, offset_s: float, wanted_share: float) -> Played:
        """What it tells of its link."""
        finished, mine = end.outcome == FINISHED, (self._member(end, offset_s),)
        in_parts = self.plan.live is not None and self.plan.live.part_s is not None
        return Played(
            self.chunks,
            offset_s,
            end.elapsed_s,
            finished,
            wanted_share,
            members=mine,
            own_pace=in_parts,
            quic=self._quic(finished),
        )

    def _quic(self, finished: bool) -> QuicUse | None:
        """What it says of its datagrams, where it has come to rest; None of TCP."""
        if self.plan.transport != H3:
            return None
        if not finished or len(self._datagrams) != 2:
            return QuicUse(None, None)
        (sent, received), (sent_then, received_then) = self._datagrams
        return QuicUse(sent_then - sent, received_then - received)

    def _member(self, end: EndRow, offset_s: float) -> Member:
        """What it got of its link: a chunk's bytes come evenly from its first one to its last."""
        spans = tuple(
            (
                offset_s + row.request_s + min(row.ttfb_s, 0.999 * row.download_s),
                offset_s + row.request_s + row.download_s,
                float(row.size_bytes),
            )
            for row in self.chunks
        )
        whole_s = end.stall_s + end.played_s
        last_s = max((until_s for _, until_s, _ in spans), default=offset_s)
        return Member(
            kind=VIDEO,
            name=self.plan.policy,
            begin_s=offset_s,
            end_s=last_s,  # what is played after its last chunk takes nothing of the link
            arrivals=Arrivals(spans),
            record=self.plan.record.name,
            stall_ratio=end.stall_s / whole_s if whole_s > 0 else None,
            facts={"bitrate_kbps": fmean(row.bitrate_kbps for row in self.chunks) if self.chunks else None},
        )

    def result(self, end: EndRow, verdict: Verdict, notes: tuple[str, ...]) -> SessionResult:
        """What came of it."""
        told = (self.told.get("player") or {}).get("transport") or {}
        lesser = told.get(NEGOTIATED, self.plan.transport)
        if lesser != self.plan.transport:
            notes = (*notes, f"{self.plan.transport} was asked for; {lesser} was negotiated")
        return SessionResult(self.plan, tuple(self.chunks), end, verdict, notes)

    async def play(self, t0: float) -> None:
        """Let it begin at monotonic time `t0`."""
        self._t0 = t0
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it died: `follow` will tell
            await self._child.tell({"start_s": t0})

    async def follow(self, writer: RecordWriter, watcher: Watcher) -> EndRow:
        """Read the player's lines until its last; a player that says something else is as good as dead.

        Raises:
            OSError: the record cannot be written.
            StrictStop: the policy has not decided, and the plan is strict.
        """
        while (line := await self._line()) is not None:
            kind = line.pop("line")
            if kind == "state":
                watcher.state(self.index, line)
            elif kind == "chunk":
                row = ChunkRow(**line)
                self.chunks.append(row)
                writer.chunk(row)
                watcher.chunk(self.index, row)
            elif kind == "requests":
                self.requests, self._protocols = line["requests"], line["protocols"]
            elif kind == "datagrams":
                self._datagrams.append((line["sent"], line["received"]))
            elif kind == "end":
                end = self._held_against_origin(EndRow(**line))
                if end.outcome == POLICY_FAULT:
                    raise await _strict_stop(self.plan, self._child)
                return end
        return self._died(await self._child.last_word())

    def _held_against_origin(self, end: EndRow) -> EndRow:
        """The end with how far the client's requests are those that the origin has answered."""
        if self.plan.client != DASHJS or end.outcome != FINISHED:  # it tells of them when it has played
            return end
        agreed = agreement(self.requests, self.chunks, self.plan.aside("origin.jsonl"))
        spoken = {} if self.plan.transport == H1 else {"protocols": self._protocols}
        return dataclasses.replace(end, client={**dataclasses.asdict(agreed), **spoken})

    async def _line(self) -> dict[str, Any] | None:
        try:
            return await self._child.line()
        except TestbedError as error:
            self._child.said.append(str(error))
            self._child.signal_group(signal.SIGKILL)
            return None

    def _died(self, last_word: str) -> EndRow:
        """The end of a session whose player ended without a word: what its chunks tell."""
        chunks = self.chunks
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

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """Let it end its session now; its record names the signal."""
        self._child.signal(number)

    def kill(self) -> None:
        """Do not wait for it any longer."""
        self._child.signal(signal.SIGKILL)

    async def finish_logs(self) -> None:
        """Give the session's logs their final names, complete and on disk.

        Raises:
            OSError: a log cannot be written.
        """
        await self._child.finish()
        said = list(self._child.said)
        if self._capture is not None:
            await self._capture.close()
            said += self._capture.said
        if said:
            with os.fdopen(fresh(self.plan.aside("stderr.txt")), "w", encoding="utf-8") as file:
                file.write("\n".join(said) + "\n")
        for ending in LOG_ENDINGS:
            if self.plan.aside(ending).exists():
                await asyncio.to_thread(settle, self.plan.aside(ending), self.plan.log(ending))

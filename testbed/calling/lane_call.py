"""A call's two processes in a lane: started, told to begin, followed line by line to the call's end."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from player.call.policy import BY_FALLBACK
from player.call.record import DecisionRow
from player.call.scored.outcomes import call_outcomes
from player.record import FINISHED, INTERRUPTED
from testbed.calling.manifest import call_manifest
from testbed.calling.plan import CallPlan
from testbed.calling.record import CallEnd, EmulatedCallWriter, Seconds, end_row, second_row
from testbed.lanes.link import WatchedLink
from testbed.lanes.members import CALL, Arrivals, Member
from testbed.lanes.plan import LOG_ENDINGS, AskedServer
from testbed.lanes.played import Played
from testbed.lanes.processes import LaneProcesses
from testbed.link.lane import PLAYER_IP, SERVER_IP
from testbed.process.child import START_TIMEOUT_S, Child
from testbed.process.errors import StrictStop, TestbedError
from testbed.verdict.evidence import CallUse
from testbed.verdict.judge import Verdict
from traces.files import fresh, settle

SENDER, RECEIVER = "testbed.calling.ends.sender", "testbed.calling.ends.receiver"
SENDER_DIED, RECEIVER_DIED = "sender-died", "receiver-died"
"""Outcomes of calls whose process ended without a word, or was silent at the end."""

FIRST_PORT, PORTS_APART = 5004, 2
"""Of a run's first call, at both ends (RTP's, as many implementations have it)."""

_START_TIMEOUT_S = 2 * START_TIMEOUT_S
"""A policy may have a model to load."""
_LAST_WORDS_S = 3.0
"""After the call's end each process has so long to say what it did."""
_SAID_WITHIN_S = 0.2
"""What a policy's fault has put on stderr is here by then."""
_ON_THE_WAY_S = 0.3
"""So long after the sender's end, besides the round trip and the queue, packets may still come."""


@dataclass(frozen=True)
class CallResult:
    """What came of a call."""

    plan: CallPlan
    decisions: tuple[dict[str, Any], ...]
    seconds: tuple[dict[str, Any], ...]
    end: CallEnd
    verdict: Verdict
    notes: tuple[str, ...] = ()
    """What happened to the server that its policy asks."""
    beside: tuple[Any, ...] = ()
    """What came of the others on its lane."""


@dataclass(frozen=True)
class LoadingCall:
    """A call's processes, which load while the link is made: `loaded`, then `ready`."""

    plan: CallPlan
    processes: LaneProcesses
    sender: Child
    receiver: Child
    index: int
    told: dict[str, Any] = field(default_factory=dict)
    """What the sender has said of its policy."""

    @classmethod
    async def start(
        cls, plan: CallPlan, processes: LaneProcesses, server: AskedServer | None, index: int
    ) -> LoadingCall:
        """Start both.

        Args:
            server: whom its policy asks.
        """
        told = {
            "call": dataclasses.asdict(plan.call),
            "policy": plan.policy,
            "seed": plan.seed,
            "qoe": dataclasses.asdict(plan.qoe),
            "port": FIRST_PORT + PORTS_APART * index,
        }
        receives = json.dumps({**told, "here": PLAYER_IP, "there": SERVER_IP})
        sends = json.dumps({**told, "here": SERVER_IP, "there": PLAYER_IP})
        variables = None if server is None else server.environment
        receiver = await processes.start(f"receiver ({plan.policy})", "player", RECEIVER, receives)
        sender = await processes.start(
            f"sender ({plan.policy})", "server", SENDER, sends, variables=variables
        )
        return cls(plan, processes, sender, receiver, index)

    async def loaded(self) -> None:
        """Wait until both have loaded what they need.

        Raises:
            TestbedError: one can't, or not in time.
        """
        if not self.told:
            await self.receiver.first_line(_START_TIMEOUT_S)
            self.told.update(await self.sender.first_line(_START_TIMEOUT_S))

    async def ready(self) -> LaneCall:
        """Begin to capture, where that is asked.

        Raises:
            TestbedError: it does not start.
        """
        capture = None
        if self.plan.pcap:
            words = (str(self.plan.aside("pcap")), "player-0")
            capture = await self.processes.start("capture", "player", "testbed.link.capture", *words)
            await capture.first_line()
        return LaneCall(self, capture)


class LaneCall:
    """A call that waits to begin: `play`, `follow`, `finish_logs`."""

    def __init__(self, loading: LoadingCall, capture: Child | None) -> None:
        self.plan = loading.plan
        self.index = loading.index
        self._told = loading.told
        self._sender, self._receiver, self._capture = loading.sender, loading.receiver, capture
        self._t0 = 0.0
        self._decisions: list[dict[str, Any]] = []
        self._seconds = Seconds()
        self._done: dict[str, dict[str, Any]] = {}
        """The last words of each process."""
        self._broken: tuple[str, str] | None = None
        self._number = 0

    def record(self, link: WatchedLink, server: AskedServer | None) -> EmulatedCallWriter:
        """Begin its record.

        Raises:
            OSError: it cannot be written.
        """
        manifest = call_manifest(self.plan, self._told, link, server)
        return EmulatedCallWriter(self.plan.record, self.plan.call, manifest)

    async def play(self, t0: float) -> None:
        """Let it begin at monotonic time `t0`."""
        self._t0 = t0
        for child in (self._receiver, self._sender):
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it died: `follow` will tell
                await child.tell({"start_s": t0})

    async def follow(self, writer: EmulatedCallWriter, watcher: Any) -> CallEnd:
        """Read and write down both processes' lines until the call's end.

        A receiver that dies ends nothing: the sender goes on, as it would in a real call.

        Raises:
            OSError: the record cannot be written.
            StrictStop: the policy has not decided, and the plan is strict.
        """
        receiving = asyncio.create_task(self._hear("receiver", self._receiver, writer, watcher))
        try:
            await self._until_over(self._hear("sender", self._sender, writer, watcher))
            ended_s = time.monotonic() - self._t0
            await asyncio.sleep(self._on_the_way_s())
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                await self._receiver.tell({"stop": True})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORDS_S):
                    await asyncio.shield(receiving)
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)
        for row in self._seconds.rest():
            self._second(row, writer, watcher)
        return self._end(min(ended_s, self.plan.call.duration_s))

    async def _until_over(self, hearing: Any) -> None:
        """Hear the sender; one that is still silent long after the call's end has hung."""
        over_s = self._t0 + self.plan.call.duration_s + _LAST_WORDS_S - time.monotonic()
        try:
            async with asyncio.timeout(over_s):
                await hearing
        except TimeoutError:
            self._sender.signal_group(signal.SIGKILL)

    def _on_the_way_s(self) -> float:
        settings = self.plan.settings
        queue_s = settings.queue_limit_bytes(self.plan.trace) * 8 / 1e6 / max(self.plan.trace.mean_mbps, 0.1)
        return _ON_THE_WAY_S + settings.rtt_ms / 1000 + min(queue_s, 1.0)

    async def _hear(self, who: str, child: Child, writer: EmulatedCallWriter, watcher: Any) -> None:
        """A process's lines, to its last."""
        async for line in _lines(child):
            kind = line.pop("line")
            if kind == "decision":
                self._decisions.append(line)
                if self.plan.strict and line["by"] == BY_FALLBACK:
                    raise await self._strict_stop(line["reason"])
                writer.decision(line)
                watcher.decision(self.index, line)
            elif kind in ("sent", "came"):
                for row in self._seconds.add(kind, line):
                    self._second(row, writer, watcher)
            elif kind == "state":
                watcher.state(self.index, {"who": who, **line})
            elif kind == "done":
                self._done[who] = line
                return

    def _second(self, row: dict[str, Any], writer: EmulatedCallWriter, watcher: Any) -> None:
        writer.second(row)
        watcher.second(self.index, row)

    def _end(self, elapsed_s: float) -> CallEnd:
        sent, came = self._done.get("sender"), self._done.get("receiver")
        outcome, reason = FINISHED, ""
        if sent is None:
            outcome, reason = SENDER_DIED, self._last_word(self._sender)
        elif self._number:
            outcome, reason = INTERRUPTED, signal.Signals(self._number).name
        elif came is None:
            outcome, reason = RECEIVER_DIED, self._last_word(self._receiver)
        return CallEnd(outcome, reason, elapsed_s, len(self._decisions), sent or {}, came or {})

    async def _strict_stop(self, reason: str) -> StrictStop:
        """What a strict call ended with: the fault, and what its policy has printed, tracebacks among it."""
        await asyncio.sleep(_SAID_WITHIN_S)
        return StrictStop(f"{self.plan.policy}: {reason}", "\n".join(self._sender.said))

    @staticmethod
    def _last_word(child: Child) -> str:
        status = child.process.returncode
        ended = "it was silent at the end" if status is None else f"exit status {status}"
        return child.said[-1] if child.said else ended

    def played(self, end: CallEnd, offset_s: float, wanted_share: float) -> Played:
        """What it tells of its link."""
        finished, mine = end.outcome == FINISHED, (self._member(end, offset_s),)
        return Played((), offset_s, end.elapsed_s, finished, wanted_share, _use(end), mine)

    def _member(self, end: CallEnd, offset_s: float) -> Member:
        """What it got of its link."""
        call, decisions = self.plan.call, [DecisionRow(**row) for row in self._decisions]
        figures = call_outcomes(call, decisions, list(map(second_row, self._seconds.whole)), end_row(end))
        return Member(
            kind=CALL,
            name=self.plan.policy,
            begin_s=offset_s,
            end_s=offset_s + end.elapsed_s,
            arrivals=Arrivals.by_second(
                [(row["came"] or {}).get("bytes", 0) for row in self._seconds.whole], offset_s
            ),
            record=self.plan.record.name,
            stall_ratio=figures.stall_ratio,
            facts={name: getattr(figures, name) for name in ("frame_delay_p95_ms", "loss_ratio")},
        )

    def result(self, end: CallEnd, verdict: Verdict, notes: tuple[str, ...]) -> CallResult:
        """What came of it."""
        return CallResult(self.plan, tuple(self._decisions), tuple(self._seconds.whole), end, verdict, notes)

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """Let it end now; its record names the signal."""
        self._number = self._number or number
        self._sender.signal(signal.SIGINT)

    def kill(self) -> None:
        """Do not wait for it any longer."""
        for child in (self._sender, self._receiver):
            child.signal_group(signal.SIGKILL)

    async def finish_logs(self) -> None:
        """Give its logs their final names, complete and on disk.

        Raises:
            OSError: a log cannot be written.
        """
        await asyncio.gather(self._sender.finish(), self._receiver.finish())
        said = [*self._sender.said, *self._receiver.said]
        if self._capture is not None:
            await self._capture.close()
            said += self._capture.said
        if said:
            with os.fdopen(fresh(self.plan.aside("stderr.txt")), "w", encoding="utf-8") as file:
                file.write("\n".join(said) + "\n")
        for ending in LOG_ENDINGS:
            if self.plan.aside(ending).exists():
                await asyncio.to_thread(settle, self.plan.aside(ending), self.plan.log(ending))


async def _lines(child: Child) -> AsyncIterator[dict[str, Any]]:
    """What a process says; one that says something else is as good as dead."""
    while True:
        try:
            line = await child.line()
        except TestbedError as error:
            child.said.append(str(error))
            child.signal_group(signal.SIGKILL)
            return
        if line is None:
            return
        yield line


def _use(end: CallEnd) -> CallUse:
    """What both ends say that they did, as the verdict looks at it."""
    sent, came = end.sender, end.receiver
    late, reported = sent.get("late", {}), came.get("late", {})
    return CallUse(
        media_sent=sent.get("packets"),
        media_received=came.get("packets"),
        feedback_sent=came["reports_sent"] + came["requests_sent"] if came else None,
        feedback_received=sent["reports_heard"] + sent["requests_heard"] if sent else None,
        refused=sent.get("refused", 0) + came.get("refused", 0),
        strange=sent.get("strange", 0) + came.get("strange", 0),
        real_time=bool(sent.get("real_time", True) and came.get("real_time", True)),
        send_late_judged_ms=late.get("judged_ms"),
        send_late_max_ms=late.get("max_ms"),
        report_late_judged_ms=reported.get("judged_ms"),
        report_late_max_ms=reported.get("max_ms"),
    )

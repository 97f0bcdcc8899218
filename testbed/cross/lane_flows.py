"""Bulk flows as a session of their lane: started, told to begin, ended when all others have ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from dataclasses import dataclass, field
from typing import Any, ClassVar

from player.record import FINISHED, INTERRUPTED
from testbed.cross.asked import CrossFlow
from testbed.lanes.link import WatchedLink
from testbed.lanes.members import FLOW, Arrivals, Member
from testbed.lanes.plan import AskedServer, LanePlan
from testbed.lanes.played import Played
from testbed.lanes.processes import LaneProcesses
from testbed.process.child import Child
from testbed.process.errors import TestbedError
from testbed.verdict.judge import Verdict

FLOWS = "testbed.cross.flows"
FLOWS_DIED = "flows-died"
_LAST_WORDS_S = 6.0
"""After they are told to end, flows have as long as a queue takes to empty, and some."""


@dataclass(frozen=True, kw_only=True)
class CrossPlan(LanePlan):
    """The bulk flows of a lane."""

    kind: ClassVar[str] = FLOW

    flows: tuple[CrossFlow, ...]


@dataclass(frozen=True)
class CrossEnd:
    """How they ended."""

    outcome: str
    reason: str
    elapsed_s: float
    flows: tuple[dict[str, Any], ...] = ()
    """What came of each (`testbed/cross/flows.py`)."""
    valid: bool = True
    link: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CrossResult:
    """What came of them."""

    plan: CrossPlan
    end: CrossEnd
    verdict: Verdict
    notes: tuple[str, ...] = ()
    beside: tuple[Any, ...] = ()


class NoRecord:
    """Flows have none of their own: what they got stands in the records of those they disturbed."""

    def finish(self, row: Any) -> None: ...

    def abandon(self) -> None: ...

    def __enter__(self) -> NoRecord:
        return self

    def __exit__(self, *error: Any) -> None: ...


@dataclass(frozen=True)
class LoadingFlows:
    """Their process, which opens sockets while the link is made: `loaded`, then `ready`."""

    plan: CrossPlan
    child: Child
    index: int
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    async def start(cls, plan: CrossPlan, processes: LaneProcesses, index: int) -> LoadingFlows:
        """Start it."""
        flows = [
            {"cc": one.congestion_control, "begin_s": one.begin_s, "end_s": one.end_s} for one in plan.flows
        ]
        told = json.dumps({"flows": flows, "player": processes.pid("player")})
        return cls(plan, await processes.start("bulk flows", "server", FLOWS, told), index)

    async def loaded(self) -> None:
        """Wait until all sockets are open.

        Raises:
            TestbedError: they can't be.
        """
        if not self.heard.is_set():
            await self.child.first_line()
            self.heard.set()

    async def ready(self) -> LaneFlows:
        """They need no more."""
        return LaneFlows(self)


class LaneFlows:
    """Flows that wait to begin; they go on until all others on their lane have ended (`enough`)."""

    def __init__(self, loading: LoadingFlows) -> None:
        self.plan = loading.plan
        self.index = loading.index
        self._child = loading.child
        self._t0 = 0.0
        self._number = 0
        self._enough = asyncio.Event()

    def record(self, link: WatchedLink, server: AskedServer | None) -> NoRecord:
        """None."""
        return NoRecord()

    async def play(self, t0: float) -> None:
        """Let them begin at monotonic time `t0`."""
        self._t0 = t0
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it died: `follow` will tell
            await self._child.tell({"start_s": t0})

    async def enough(self) -> None:
        """Nobody is left whom they disturb."""
        self._enough.set()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            await self._child.tell({"stop": True})

    async def follow(self, writer: NoRecord, watcher: Any) -> CrossEnd:
        """Wait for the end of all."""
        hearing = asyncio.create_task(self._last_line())
        told = asyncio.create_task(self._enough.wait())
        try:
            await asyncio.wait({hearing, told}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({hearing}, timeout=_LAST_WORDS_S)
            if not hearing.done():  # it hangs
                self.kill()
            line = await hearing
        finally:
            told.cancel()
            hearing.cancel()
            await asyncio.gather(told, hearing, return_exceptions=True)
        elapsed_s = max(time.monotonic() - self._t0, 0.0)
        if line is None:
            return CrossEnd(FLOWS_DIED, await self._child.last_word(), elapsed_s)
        outcome, reason = (INTERRUPTED, signal.Signals(self._number).name) if self._number else (FINISHED, "")
        return CrossEnd(outcome, reason, elapsed_s, tuple(line["flows"]))

    async def _last_line(self) -> dict[str, Any] | None:
        with contextlib.suppress(TestbedError):
            return await self._child.line()
        return None

    def played(self, end: CrossEnd, offset_s: float, wanted_share: float) -> Played:
        """What they tell of their link."""
        members = tuple(_member(one, offset_s, number) for number, one in enumerate(end.flows, start=1))
        finished = end.outcome == FINISHED
        return Played((), offset_s, end.elapsed_s, finished, wanted_share, members=members, flows=True)

    def result(self, end: CrossEnd, verdict: Verdict, notes: tuple[str, ...]) -> CrossResult:
        """What came of them."""
        return CrossResult(self.plan, end, verdict, notes)

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """Let them end now."""
        self._number = self._number or number
        self._enough.set()
        if self._child.process.stdin is not None:
            self._child.process.stdin.write(b'{"stop": true}\n')

    def kill(self) -> None:
        """Do not wait for them any longer."""
        self._child.signal_group(signal.SIGKILL)

    async def finish_logs(self) -> None:
        """They write none."""
        await self._child.finish()


def _member(told: dict[str, Any], offset_s: float, number: int) -> Member:
    begin_s, end_s = told["begin_s"], told["end_s"]
    return Member(
        kind=FLOW,
        name=f"{told['cc']} {number}",
        begin_s=None if begin_s is None else offset_s + begin_s,
        end_s=None if end_s is None else offset_s + end_s,
        arrivals=Arrivals.by_second(told["received_bytes"], offset_s),
        facts={"retransmits": told["retransmits"], "rtt_ms": told["rtt_ms"]},
        fault=told["fault"],
    )

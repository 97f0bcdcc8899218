"""Gather what the self-check needs of a lane besides the link log, from streaming's start to its end.

`listen` when the lane is ready: snapshots, and an ear in every host. `count` before the first packet of a
session: counters. `begin`: when it begins. `end` after the last packet: all of it again, and what differs. In
all they take about 0.12 s of the processor a session, whatever its length, and wait until nothing is on its
way.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from player.record import ChunkRow
from testbed.link.lane import Lane
from testbed.link.settings import FIFO, LinkSettings
from testbed.link.tbf import TokenBucket
from testbed.process.children import taking_turns
from testbed.process.errors import TestbedError
from testbed.verdict.evidence import ChunkTime
from testbed.verdict.lane_snapshot import HostSnapshot, differences, snapshot_host
from testbed.verdict.lane_watch import LaneChange, LaneWatch
from testbed.verdict.path_counters import (
    ROLES,
    PathCounters,
    PathUse,
    on_the_way,
    path_use,
    read_hosts,
    settle,
)
from traces.trace import Trace, TraceError

QUIET_BEYOND_S = 0.06
"""A lane is at rest when nothing has moved for the delay stage's time and this: a delayed ACK waits 40 ms."""
SETTLE_S = 0.5
"""So long before a session's begin and after its end, besides, a lane may take to come to rest."""
MODELLED = "cubic"
_NICE = 5
"""Players come first; but not by much, for others of this process wait for a lock that its thread holds."""


@dataclass(frozen=True)
class LaneFindings:
    """What was found of a lane."""

    path: PathUse | None
    """None where a counter could not be read at both ends."""
    changes: tuple[LaneChange, ...]
    heard: int
    """Changes in all, also those that are not listed."""
    differences: tuple[str, ...]
    """Between the snapshots at both ends."""
    fault: str = ""
    """Why there is no path; empty where there is one."""

    def words(self) -> list[str]:
        """All that others changed: what was heard; without it, what is not as it was."""
        return [change.words() for change in self.changes] or list(self.differences)

    def record(self) -> dict[str, Any]:
        """For the session's record."""
        return {
            "path": None if self.path is None else dataclasses.asdict(self.path),
            "changes": [dataclasses.asdict(change) for change in self.changes],
            "changes_heard": self.heard,
            "differences": list(self.differences),
        }


class LaneGuard:
    """Watches one lane. `listen`, `count`, `begin`, `end`, `close`.

    Args:
        bucket: the bottleneck's, for its counters.
        shaper_port: netlink port of the shaper's first socket in a namespace: its process id.
        listens: False leaves the ears out, so that only the counters can tell.
    """

    def __init__(self, lane: Lane, bucket: TokenBucket, shaper_port: int, listens: bool = True) -> None:
        self._pids = {role: lane.pid(role) for role in ROLES}
        self._lane = lane
        self._bucket = bucket
        self._port = shaper_port
        self._listens = listens
        self._quiet_s = (lane.settings.idle_rtt_ms + lane.settings.varies_ms) / 1000 + QUIET_BEYOND_S
        self._watch: LaneWatch | None = None
        self._snapshots: dict[str, HostSnapshot] = {}
        self._before: PathCounters | None = None

    async def listen(self) -> None:
        """From now on hear who changes something. Times count from now; `begin` sets them right.

        Raises:
            TestbedError: a host cannot be looked at.
        """
        if not self._listens:
            return
        stage = self._lane.delay_stage
        ours = (self._port, os.getpid(), *stage.netlink_ports)
        self._watch = LaneWatch(self._pids, ours, time.monotonic())
        self._snapshots = await asyncio.to_thread(self._look)
        for role, snapshot in self._snapshots.items():
            self._watch.know(role, snapshot.links)
        for opened in self._watch.sockets():
            asyncio.get_running_loop().add_reader(opened.fileno(), self._watch.drain)

    def _look(self) -> dict[str, HostSnapshot]:
        return {role: snapshot_host(pid) for role, pid in self._pids.items()}

    async def count(self) -> None:
        """Count from now on, once nothing is on its way any more.

        Raises:
            TestbedError: a counter cannot be read.
        """
        self._before = await self._counters(time.monotonic() + self._quiet_s + SETTLE_S, self._quiet_s)

    def begin(self, t0: float) -> None:
        """The replay begins at monotonic time `t0`."""
        if self._watch is not None:
            self._watch.t0 = t0

    async def _counters(self, until: float, quiet_s: float) -> PathCounters:
        """All counters of one moment: nothing may have moved while they were read."""
        while True:
            hosts, settled = await settle(self._pids, quiet_s, until)
            queue = self._bucket.read()
            stage = await asyncio.to_thread(self._lane.delay_stage.report)
            settled = settled and on_the_way(read_hosts(self._pids)) == on_the_way(hosts)
            if settled or time.monotonic() >= until:
                return PathCounters(time.monotonic(), hosts, queue, stage, settled)

    async def end(self, longest_delay_ms: float = 0.0) -> LaneFindings:
        """After the session; `longest_delay_ms` is what a trace adds to the round trip at most."""
        path, fault = await self._used(self._quiet_s + longest_delay_ms / 1000)
        changes: tuple[LaneChange, ...] = ()
        differing: list[str] = []
        heard = 0
        if self._watch is not None:
            self._deafen()
            self._watch.drain()
            changes, heard = tuple(self._watch.changes), self._watch.heard
            differing = await asyncio.to_thread(self._differences)
        self.close()
        return LaneFindings(path, changes, heard, tuple(differing), fault)

    async def _used(self, quiet_s: float) -> tuple[PathUse | None, str]:
        """What passed, or why that cannot be told: a host, the queue or the delay stage is gone."""
        if self._before is None:
            return None, "nothing was counted at its begin"
        try:
            after = await self._counters(time.monotonic() + quiet_s + SETTLE_S, quiet_s)
            path = path_use(self._before, after)
        except TestbedError as error:
            return None, str(error)
        if after.stage.backend == "netem" and not self._lane.settings.feedback_delay_ms:
            path = dataclasses.replace(path, delayed=path.wan_down_rx)  # no netem on the way up to count
        return path, ""

    def _differences(self) -> list[str]:
        found = []
        for role, before in self._snapshots.items():
            try:
                now = snapshot_host(self._pids[role])
            except TestbedError as error:
                found.append(f"{error} ({role})")
                continue
            found += [f"{what} ({role})" for what in differences(before, now)]
        return found

    def _deafen(self) -> None:
        if self._watch is not None:
            for opened in self._watch.sockets():
                asyncio.get_running_loop().remove_reader(opened.fileno())

    def close(self) -> None:
        """Stop listening; safe to call twice."""
        self._deafen()
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()


def models(settings: LinkSettings, alone: bool, varies: bool) -> bool:
    """Whether the `tcp` link model knows such a link: its delay is fixed, its losses are its queue's, and
    one player has it to itself.

    Args:
        varies: the trace carries delay or loss of its own.
    """
    return (
        alone
        and not varies
        and settings.congestion_control == MODELLED
        and settings.loss.kind == "none"
        and not settings.varies_ms
        and settings.aqm == FIFO
    )


def chunk_times(rows: Sequence[ChunkRow], offset_s: float = 0.0) -> list[ChunkTime]:
    """What chunks took, with no word of what they should have."""
    return [ChunkTime(row.chunk, row.request_s + offset_s, row.ttfb_s, row.download_s) for row in rows]


def modelled_times(
    rows: Sequence[ChunkRow], trace: Trace, start_s: float, settings: LinkSettings
) -> list[ChunkTime]:
    """What chunks took, and what they take over the `tcp` link model from the same requests.

    A chunk that was asked for twice is left out, and all after it: the model's connection is another.
    """
    from player.simulated.tcp.link import TcpLink
    from testbed.simulated.record_replay import downloads_in_turn

    link = TcpLink(
        rtt_ms=settings.rtt_ms,
        queue_bytes=settings.queue_limit_bytes(trace),
        slow_start_after_idle=settings.slow_start_after_idle,
    )
    whole = [row for index, row in enumerate(rows) if not any(one.retries for one in rows[: index + 1])]
    times = chunk_times(rows)
    if not whole:
        return times
    try:
        downloads = downloads_in_turn(whole, link, trace, start_s)
    except TraceError:  # a trace that goes dark for good: the session cannot have ended well
        return times
    modelled = [
        dataclasses.replace(time_, expected_ttfb_s=due.ttfb_s, expected_download_s=due.download_s)
        for time_, due in zip(times, downloads, strict=False)
    ]
    return modelled + times[len(modelled) :]


@functools.cache
def warm_model() -> None:
    """Have the model's machine code ready when a session ends: loading it takes half a second, compiling it,
    where none is kept, many. It is done once a process, in a thread that gives way to players and that nobody
    has to wait for."""
    threading.Thread(target=_warm_model, name="model", daemon=True).start()


def _warm_model() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + _NICE)
    with taking_turns():
        from player.simulated.tcp.link import TcpLink

        TcpLink(rtt_ms=1.0).open(Trace("warm", (0.0, 1.0), (0.0, 1.0)), 1).download(1)

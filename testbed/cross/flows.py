"""Bulk TCP flows over a lane, the process that sends and receives them.

`python -m testbed.cross.flows SETTINGS`, in the server's host. SETTINGS is one JSON object: `flows`, each
with `cc`, `begin_s` and `end_s` (null: until it is told to stop), and `player`, a process id by whose
network the receiving ends are opened. What is said:

    us      {"line": "loaded"}
    parent  {"start_s": MONOTONIC}
    parent  {"stop": true}
    us      {"line": "done", "flows": [{…}, …]}

Both ends are in one process, for what is asked of it is little: to keep a sender's queue from running
empty, and to count what comes. What a sender has not handed to the network yet is kept short
(TCP_NOTSENT_LOWAT), so that a flow ends when its time is over and not when a buffer has emptied.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import selectors
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

from player.real.stdout import kept_for_us
from player.transport.tcp_info import read_tcp_info
from testbed.link.lane import PLAYER_IP, SERVER_IP
from testbed.link.namespace import network_namespace
from testbed.process.errors import TestbedError
from traces.commands import BAD_INPUT

FIRST_PORT = 6001
"""Of the first flow's server; the next ones follow."""
NOTSENT_BYTES = 32 * 1024
"""A sender is asked for more when it has less than this that it has not sent: 21 frames."""
DRAIN_S = 3.0
"""After its end a flow may have bytes on their way; a queue holds less."""
LOOK_S = 0.5
_PIECE = bytes(64 * 1024)
_LARGEST = 1 << 18
_TCP_NOTSENT_LOWAT = 25
"""<linux/tcp.h>"""


@dataclass
class Flow:
    """One flow, its sockets, and what came of it."""

    congestion_control: str
    begin_s: float
    end_s: float | None
    listening: socket.socket
    receiver: socket.socket
    sender: socket.socket | None = None
    begun: bool = False
    ending: bool = False
    over: bool = False
    began_s: float | None = None
    """Its first byte was sent, since the start; None: it never was."""
    ended_s: float | None = None
    """It sent no more from then on."""
    received: list[int] = field(default_factory=list)
    """Payload by the second in which it came."""
    retransmits: int | None = None
    rtt_ms: float | None = None
    fault: str = ""

    def came(self, at_s: float, count: int) -> None:
        """So much has come."""
        second = max(math.floor(at_s), 0)
        self.received += [0] * (second + 1 - len(self.received))
        self.received[second] += count

    def told(self) -> dict[str, Any]:
        """What came of it."""
        return {
            "cc": self.congestion_control,
            "begin_s": self.began_s,
            "end_s": self.ended_s,
            "received_bytes": self.received,
            "retransmits": self.retransmits,
            "rtt_ms": self.rtt_ms,
            "fault": self.fault,
        }


def opened_flow(told: Mapping[str, Any], number: int, player: int) -> Flow:
    """A flow whose both ends are open.

    Raises:
        TestbedError, OSError: they can't be, or there is no such congestion control.
    """
    listening = socket.create_server((SERVER_IP, FIRST_PORT + number), backlog=1)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, str(told["cc"]).encode())
    with network_namespace(player):
        receiver = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        receiver.bind((PLAYER_IP, 0))
    for opened in (listening, receiver):
        opened.setblocking(False)
    return Flow(str(told["cc"]), float(told["begin_s"]), told["end_s"], listening, receiver)


class BulkFlows:
    """All flows of a lane. `run` from its start to its end."""

    def __init__(self, flows: Sequence[Flow], words: int) -> None:
        self._flows = flows
        self._words = words
        """Descriptor on which the parent's words come."""
        self._waiting = selectors.DefaultSelector()
        self._waiting.register(words, selectors.EVENT_READ)
        self._t0 = 0.0
        self._stopped_s: float | None = None

    def run(self, t0: float) -> None:
        """Until all flows are over, or some time after the parent's word."""
        self._t0 = t0
        while not all(flow.over for flow in self._flows):
            now_s = self._now_s()
            for flow in self._flows:
                self._keep_time(flow, now_s)
            for key, _ in self._waiting.select(self._rest_s(now_s)):
                if key.fileobj == self._words:
                    self._hear()
                else:
                    self._work(key.data, key.fileobj)
            if self._stopped_s is not None and self._now_s() > self._stopped_s + DRAIN_S:
                for flow in self._flows:
                    self._close(flow)

    def _now_s(self) -> float:
        return time.monotonic() - self._t0

    def _rest_s(self, now_s: float) -> float:
        """Until a flow begins or ends, at most."""
        times = [flow.begin_s for flow in self._flows if not flow.begun]
        times += [flow.end_s for flow in self._flows if flow.end_s is not None and not flow.ending]
        return min(max(min([*times, now_s + LOOK_S]) - now_s, 0.0), LOOK_S)

    def _hear(self) -> None:
        """The parent has said something, or has gone."""
        os.read(self._words, 4096)
        self._waiting.unregister(self._words)
        self._stopped_s = self._now_s()

    def _keep_time(self, flow: Flow, now_s: float) -> None:
        if flow.over:
            return
        stopped = self._stopped_s is not None
        if not flow.begun:
            if stopped:
                self._close(flow)
            elif now_s >= flow.begin_s:
                self._begin(flow)
            return
        if not flow.ending and (stopped or (flow.end_s is not None and now_s >= flow.end_s)):
            self._end(flow, now_s)
        elif flow.ending and flow.ended_s is not None and now_s > flow.ended_s + DRAIN_S:
            self._close(flow)

    def _begin(self, flow: Flow) -> None:
        flow.begun = True
        self._waiting.register(flow.listening, selectors.EVENT_READ, flow)
        self._waiting.register(flow.receiver, selectors.EVENT_READ, flow)
        status = flow.receiver.connect_ex(flow.listening.getsockname())
        if status not in (0, errno.EINPROGRESS):
            self._fail(flow, os.strerror(status))

    def _end(self, flow: Flow, now_s: float) -> None:
        """It sends no more; what is on its way comes."""
        flow.ending, flow.ended_s = True, now_s
        if flow.sender is None:
            self._close(flow)
            return
        self._forget(flow.sender)
        info = read_tcp_info(flow.sender)
        if info is not None:
            flow.retransmits, flow.rtt_ms = info.retransmits, info.rtt_ms
        with contextlib.suppress(OSError):
            flow.sender.shutdown(socket.SHUT_WR)

    def _work(self, flow: Flow, opened: Any) -> None:
        if flow.over:  # of an event that came with its end
            return
        try:
            if opened is flow.listening:
                self._accept(flow)
            elif opened is flow.receiver:
                self._receive(flow)
            else:
                while opened.send(_PIECE):  # until there is no room
                    pass
        except BlockingIOError:
            pass
        except OSError as error:
            self._fail(flow, error.strerror or str(error))

    def _accept(self, flow: Flow) -> None:
        flow.sender, _ = flow.listening.accept()
        flow.began_s = self._now_s()
        self._forget(flow.listening)
        flow.sender.setblocking(False)
        flow.sender.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, NOTSENT_BYTES)
        self._waiting.register(flow.sender, selectors.EVENT_WRITE, flow)

    def _receive(self, flow: Flow) -> None:
        data = flow.receiver.recv(_LARGEST)
        if data:
            flow.came(self._now_s(), len(data))
        else:
            self._close(flow)

    def _fail(self, flow: Flow, why: str) -> None:
        flow.fault = why
        self._close(flow)

    def _close(self, flow: Flow) -> None:
        if flow.over:
            return
        flow.over = True
        if flow.ended_s is None and flow.began_s is not None:
            flow.ended_s = self._now_s()
        for opened in (flow.listening, flow.receiver, flow.sender):
            if opened is not None:
                self._forget(opened)
                opened.close()

    def _forget(self, opened: socket.socket) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._waiting.unregister(opened)


def main(words: Sequence[str] | None = None) -> int:
    """Run the process; returns the exit status."""
    told: dict[str, Any] = json.loads((sys.argv[1:] if words is None else words)[0])
    with kept_for_us() as out:
        try:
            flows = [opened_flow(one, place, told["player"]) for place, one in enumerate(told["flows"])]
        except (TestbedError, OSError) as error:
            print(f"bulk flows: {error}", file=sys.stderr)
            return BAD_INPUT
        _say(out, {"line": "loaded"})
        if (text := sys.stdin.readline()) and "start_s" in (said := json.loads(text)):
            BulkFlows(flows, sys.stdin.fileno()).run(float(said["start_s"]))
        _say(out, {"line": "done", "flows": [flow.told() for flow in flows]})
    return 0


def _say(out: TextIO, line: Mapping[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(line), file=out, flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""Talk to the shaper process: attach a lane's bottleneck, play a trace on it, stop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from testbed.link.bucket import AS_IS, Making
from testbed.link.packed_trace import packed
from testbed.process.children import environment
from testbed.process.errors import TestbedError
from traces.bound_processes import die_with_parent
from traces.trace import Trace

TRAINS_AT_ONCE = 2
"""Of the probes of paths: a train takes a twentieth of a second; more at once would measure each other."""

_LINE_LIMIT = 1 << 24
_STOP_TIMEOUT_S = 5.0
_ANSWER_TIMEOUT_S = 30.0


class ShaperClient:
    """The one shaper of a run. An async context manager."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._exchanges: set[asyncio.Task[dict[str, Any]]] = set()
        self._greeting: asyncio.Task[None] | None = None
        self.real_time = False
        """Whether the machine granted real-time priority; known once a command was answered."""
        self.training = asyncio.Semaphore(TRAINS_AT_ONCE)
        """Held by who times a probe's train."""

    async def __aenter__(self) -> ShaperClient:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "testbed.link.shaper",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            preexec_fn=die_with_parent,
            start_new_session=True,
            limit=_LINE_LIMIT,
            env=environment(),
        )
        self._greeting = asyncio.create_task(self._greet())
        return self

    async def _greet(self) -> None:
        """Hear that it is ready, before any command; whoever entered has done other things meanwhile."""
        async with self._turn:
            with contextlib.suppress(TestbedError):  # it is told to whoever asks it for something
                self.real_time = bool((await self._answer())["real_time"])

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        process = self._process
        assert process is not None and process.stdin is not None
        if self._greeting is not None:
            self._greeting.cancel()
        process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    @property
    def pid(self) -> int | None:
        """Of the process; None before it is started."""
        return None if self._process is None else self._process.pid

    @property
    def netlink_port(self) -> int:
        """What the kernel knows its messages by: the first netlink socket of a process in a namespace has
        the process's id."""
        assert self._process is not None
        return self._process.pid

    def died(self) -> bool:
        """Whether the process has ended on its own."""
        return self._process is not None and self._process.returncode is not None

    async def attach(
        self,
        lane: str,
        pid: int,
        interface: str,
        limit_bytes: int,
        rate_mbps: float,
        making: Making = AS_IS,
    ) -> None:
        """Take over a bucket that is on its interface, at a first rate."""
        await self._do(
            do="attach",
            lane=lane,
            pid=pid,
            interface=interface,
            limit_bytes=limit_bytes,
            rate_mbps=rate_mbps,
            making=asdict(making),
        )

    async def play(self, lane: str, trace: Trace, start_s: float, t0: float, log: Path) -> None:
        """Replay a trace from `start_s` of it on, beginning at monotonic time `t0`."""
        await self._do(do="play", lane=lane, trace=packed(trace), start_s=start_s, t0=t0, log=str(log))

    async def fault(self, lane: str) -> str | None:
        """What broke a lane's replay off; None while it goes on."""
        found: str | None = (await self._do(do="check", lane=lane))["fault"]
        return found

    async def stop(self, lane: str) -> int:
        """End the replay; how many steps its log holds."""
        return int((await self._do(do="stop", lane=lane))["rows"])

    async def _do(self, **command: Any) -> dict[str, Any]:
        """Ask and read the answer. Who is cancelled meanwhile leaves at once; the exchange goes on to its
        end all the same, or the next command would be given this one's answer.
        """
        exchange = asyncio.create_task(self._exchange(command))
        self._exchanges.add(exchange)
        exchange.add_done_callback(self._exchanged)
        return await asyncio.shield(exchange)

    def _exchanged(self, exchange: asyncio.Task[dict[str, Any]]) -> None:
        self._exchanges.discard(exchange)
        if not exchange.cancelled():
            exchange.exception()  # a fault that nobody waits for any more is no fault

    async def _exchange(self, command: dict[str, Any]) -> dict[str, Any]:
        async with self._turn:
            assert self._process is not None and self._process.stdin is not None
            self._process.stdin.write((json.dumps(command) + "\n").encode())
            try:
                await self._process.stdin.drain()
            except (BrokenPipeError, ConnectionResetError):
                raise TestbedError(
                    "the shaper process has died; its message above, if it left one, says why"
                ) from None
            return await self._answer()

    async def _answer(self) -> dict[str, Any]:
        assert self._process is not None and self._process.stdout is not None
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise TestbedError(f"the shaper process does not answer within {_ANSWER_TIMEOUT_S:g} s") from None
        if not line:
            raise TestbedError("the shaper process has died; its message above, if it left one, says why")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise TestbedError(f"shaper: {answer['error']}")
        return answer

"""Start processes of ours in lanes by forking them from one that has imported all they need (`launcher.py`).

An interpreter of its own costs a player or an origin a third of a second of a processor; a fork costs a
hundredth. Whoever will need a launcher may let it begin to import at once: `launch_ahead`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from testbed.process.children import environment
from testbed.process.errors import TestbedError
from testbed.process.launcher import MOST_BYTES
from traces.bound_processes import die_with_parent

FORKED = ("player", "testbed.origin")
"""What it forks for videos: the modules that every lane runs."""
END_WITHIN_S = 5.0
_GONE = "the process that starts those in lanes has died; its message above, if it left one, says why"


@dataclass
class _Begun:
    """A launcher's process, and our end of the socket."""

    process: subprocess.Popen[bytes]
    tells: socket.socket
    modules: tuple[str, ...]


_ahead: list[_Begun] = []
"""Begun and not taken yet."""


def _begin(modules: tuple[str, ...]) -> _Begun:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "testbed.process.launcher", *modules],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
            start_new_session=True,
            env=environment(),
        )
    return _Begun(process, ours, modules)


def launch_ahead(modules: tuple[str, ...] = FORKED) -> None:
    """Let a launcher import on another processor meanwhile; the next `Launching` of these has it."""
    if not _ahead:
        _ahead.append(_begin(modules))


def _taken(modules: tuple[str, ...]) -> _Begun:
    """The launcher of these modules that was begun ahead, or a new one."""
    for place, begun in enumerate(_ahead):
        if begun.modules == modules:
            return _ahead.pop(place)
    return _begin(modules)


class ForkedProcess:
    """A process that the launcher has forked; as much of `asyncio.subprocess.Process` as `Child` asks for."""

    def __init__(
        self,
        pid: int,
        stdin: asyncio.StreamWriter,
        stdout: asyncio.StreamReader,
        stderr: asyncio.StreamReader,
    ) -> None:
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self._status: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def returncode(self) -> int | None:
        """Its exit status, or the negative number of a signal; None while it runs."""
        return self._status.result() if self._status.done() else None

    async def wait(self) -> int:
        """Wait for its end; the same."""
        return await asyncio.shield(self._status)

    def send_signal(self, number: int) -> None:
        """To the process itself.

        Raises:
            ProcessLookupError: it has ended.
        """
        if self._status.done():
            raise ProcessLookupError(self.pid)
        os.kill(self.pid, number)

    def ended(self, status: int) -> None:
        """It has, as the launcher says."""
        if not self._status.done():
            self._status.set_result(status)


class Launching:
    """A launcher of this run's own. An async context manager; what it has forked ends with it, or before.

    Args:
        modules: that it can run.
    """

    def __init__(self, modules: tuple[str, ...] = FORKED) -> None:
        self.modules = modules
        self._begun: _Begun | None = None
        self._answers: deque[asyncio.Future[int]] = deque()
        """Who waits for the process that was asked for; the launcher answers in turn."""
        self._running: dict[int, ForkedProcess] = {}
        self._early: dict[int, int] = {}
        """Status of those that ended before they were taken over."""
        self._pipes: list[asyncio.BaseTransport] = []
        self._gone = False

    async def __aenter__(self) -> Launching:
        self._begun = _taken(self.modules)
        asyncio.get_running_loop().add_reader(self._begun.tells, self._hear)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        begun = self._begun
        assert begun is not None
        self._lost()
        begun.tells.close()
        for pipe in self._pipes:
            pipe.close()
        try:
            await asyncio.to_thread(begun.process.wait, END_WITHIN_S)
        except subprocess.TimeoutExpired:
            begun.process.kill()
            begun.process.wait()

    def died(self) -> bool:
        """Whether it has ended though nobody told it to."""
        return self._gone

    async def start(
        self, module: str, words: Sequence[str], pid: int, variables: Mapping[str, str], limit: int
    ) -> ForkedProcess:
        """Run one of its modules in the namespaces of process `pid`.

        Args:
            words: its arguments.
            variables: added to its environment.
            limit: of a line that it writes, bytes.

        Raises:
            TestbedError: the launcher is gone, or `pid` is.
        """
        order = {"module": module, "words": list(words), "pid": pid, "variables": dict(variables)}
        begun = self._begun
        if begun is None or self._gone:
            raise TestbedError(_GONE)
        with contextlib.ExitStack() as theirs:
            inner, outer = socket.socketpair()
            theirs.enter_context(inner)
            _, stdin = await asyncio.open_unix_connection(sock=outer)
            self._pipes.append(stdin.transport)
            stdout, out = await self._pipe(theirs, limit)
            stderr, err = await self._pipe(theirs, limit)
            answer = self._ask(begun.tells, json.dumps(order).encode(), (inner.fileno(), out, err))
        process = ForkedProcess(await answer, stdin, stdout, stderr)
        self._running[process.pid] = process
        if process.pid in self._early:
            process.ended(self._early.pop(process.pid))
        elif self._gone:
            process.ended(-signal.SIGKILL)
        return process

    async def _pipe(self, theirs: contextlib.ExitStack, limit: int) -> tuple[asyncio.StreamReader, int]:
        """A pipe: our end, and the descriptor of theirs, which the stack closes."""
        reads, writes = os.pipe()
        theirs.callback(os.close, writes)
        reader = asyncio.StreamReader(limit)
        pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reads, "rb", 0)
        )
        self._pipes.append(pipe)
        return reader, writes

    def _ask(self, tells: socket.socket, order: bytes, descriptors: Sequence[int]) -> asyncio.Future[int]:
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        try:
            socket.send_fds(tells, [order], descriptors)
        except (BrokenPipeError, ConnectionResetError):
            raise TestbedError(_GONE) from None
        self._answers.append(answer)
        return answer

    def _hear(self) -> None:
        """Read what the launcher has said."""
        assert self._begun is not None
        try:
            packet = self._begun.tells.recv(MOST_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except ConnectionResetError:
            packet = b""
        if packet:
            self._take(json.loads(packet))
        else:
            self._lost()

    def _take(self, said: Mapping[str, Any]) -> None:
        if "ended" in said:
            process = self._running.pop(said["ended"], None)
            if process is None:
                self._early[said["ended"]] = said["status"]
            else:
                process.ended(said["status"])
            return
        answer = self._answers.popleft()
        if answer.done():  # whoever asked has been cancelled
            if "started" in said:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(said["started"], signal.SIGKILL)
            return
        if "started" in said:
            answer.set_result(said["started"])
        else:
            answer.set_exception(TestbedError(f"a process did not start: {said['refused']}"))

    def _lost(self) -> None:
        """There is no launcher any more: what it has forked died with it."""
        assert self._begun is not None
        if self._gone:
            return
        self._gone = True
        asyncio.get_running_loop().remove_reader(self._begun.tells)
        for answer in self._answers:
            if not answer.done():
                answer.set_exception(TestbedError(_GONE))
                answer.exception()  # nobody may be waiting any more
        self._answers.clear()
        for process in self._running.values():
            process.ended(-signal.SIGKILL)
        self._running.clear()

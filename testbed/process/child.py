"""A process of ours inside a lane that talks in JSON lines."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Mapping
from typing import Any, Protocol

from testbed.process.children import environment, python_in
from testbed.process.errors import TestbedError
from traces.bound_processes import die_with_parent

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 5.0
FINISH_WITHIN_S = 0.5
"""Who ends with its input does so by then."""
LINE_LIMIT = 1 << 22
"""Of what it says, bytes."""
_STDERR_LINES = 1000


class Process(Protocol):
    """As much of `asyncio.subprocess.Process` as a child is asked for."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    @property
    def stdin(self) -> asyncio.StreamWriter | None: ...

    @property
    def stdout(self) -> asyncio.StreamReader | None: ...

    @property
    def stderr(self) -> asyncio.StreamReader | None: ...

    async def wait(self) -> int: ...

    def send_signal(self, number: int) -> None: ...


class Child:
    """A process of ours inside a lane that talks in JSON lines."""

    def __init__(self, what: str, process: Process, ends_by: signal.Signals | None = None) -> None:
        self.what = what
        self.process = process
        self._ends_by = ends_by
        self._stderr = asyncio.create_task(self._keep_stderr())
        self.said: list[str] = []
        """The lines of its stderr, up to a number, and the last."""

    @classmethod
    async def start(
        cls,
        what: str,
        pid: int,
        *arguments: str,
        variables: Mapping[str, str] | None = None,
        ends_by: signal.Signals | None = None,
    ) -> Child:
        """Run this Python in the namespaces of process `pid`.

        Args:
            variables: added to its environment.
            ends_by: what tells it to end, where the end of its input does not.
        """
        process = await asyncio.create_subprocess_exec(
            *python_in(pid, *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            preexec_fn=die_with_parent,
            start_new_session=True,
            limit=LINE_LIMIT,
            env={**environment(), **(variables or {})},
        )
        return cls(what, process, ends_by)

    async def _keep_stderr(self) -> None:
        assert self.process.stderr is not None
        with contextlib.suppress(ValueError):  # a line without end: what came before it will do
            async for line in self.process.stderr:
                if len(self.said) < _STDERR_LINES:
                    self.said.append(line.decode(errors="replace").rstrip())
                else:
                    self.said[-1] = line.decode(errors="replace").rstrip()

    async def tell(self, line: Mapping[str, Any]) -> None:
        """A line on its input.

        Raises:
            BrokenPipeError, ConnectionResetError: it is dead.
        """
        assert self.process.stdin is not None
        self.process.stdin.write((json.dumps(line) + "\n").encode())
        await self.process.stdin.drain()

    async def line(self) -> dict[str, Any] | None:
        """Its next line; None at the end of its output.

        Raises:
            TestbedError: it said something else, as a user's policy may that writes to descriptor 1.
        """
        assert self.process.stdout is not None
        text = await self.process.stdout.readline()
        if not text:
            return None
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        if not isinstance(line, dict):
            raise TestbedError(
                f"{self.what} said {text[:60]!r} among its lines; what it starts may not write to stdout"
            )
        return line

    async def first_line(self, timeout_s: float = START_TIMEOUT_S) -> dict[str, Any]:
        """Its first line.

        Raises:
            TestbedError: it ended, or said nothing for long; its last word is in the message.
        """
        try:
            async with asyncio.timeout(timeout_s):
                line = await self.line()
        except TimeoutError:
            raise TestbedError(f"{self.what} did not start within {timeout_s:g} s") from None
        if line is None:
            raise TestbedError(f"{self.what} did not start: {await self.last_word()}")
        return line

    async def last_word(self) -> str:
        """The last line of its stderr, once it has ended, else how it ended."""
        status = await self.process.wait()
        await self._rest_of_stderr()
        return self.said[-1] if self.said else f"exit status {status}"

    async def finish(self) -> None:
        """End its input and wait a moment for what it still says; `close` is for who doesn't end so."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FINISH_WITHIN_S):
                await self.process.wait()

    async def _rest_of_stderr(self) -> None:
        """Read on to the end; somebody whom it started may hold it open, so not for ever."""
        await asyncio.wait([self._stderr], timeout=STOP_TIMEOUT_S)

    def signal(self, number: int) -> None:
        """To the process itself."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def signal_group(self, number: int) -> None:
        """To it and all that it started: it leads a session of its own."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    async def close(self) -> None:
        """End its input and wait; then insist, also with what it started."""
        if self._ends_by is not None:
            self.signal(self._ends_by)
        await self.finish()
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.process.returncode is not None:
                break
            self.signal_group(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await self.process.wait()
        self.signal_group(signal.SIGKILL)
        await self._rest_of_stderr()
        self._stderr.cancel()

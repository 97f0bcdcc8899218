"""The player's side of a policy server for a load generator: thousands of sessions on one event loop.

Says on the wire what `policies/llm/serving/client.py` says, by as little work as it takes: a few lines of
HTTP/1.1 over kept connections, one request at a time on each.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from policies.llm.serving.conversation import Conversation, ServerError, StepsLost
from policies.llm.serving.protocol import DECIDE, SESSIONS, Answer
from policies.llm.task import Task

_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Connections:
    """Kept connections to a server at a socket's path; as many as requests are out at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._free: list[_Connection] = []

    async def exchange(self, method: str, target: str, body: bytes, until_s: float) -> tuple[int, bytes]:
        """Status and body of one request.

        Raises:
            ServerError: no answer by `until_s` (time.monotonic()), or none at all.
        """
        begun_s = time.monotonic()
        connection: _Connection | None = None
        try:
            async with asyncio.timeout(max(until_s - begun_s, 0.0)):
                connection = self._free.pop() if self._free else await self._connect()
                answer = await _exchange(connection, method, target, body)
        except TimeoutError:
            waited_ms = 1000.0 * (time.monotonic() - begun_s)
            raise ServerError(f"policy server {self.path}: no answer within {waited_ms:.0f} ms") from None
        except (OSError, ValueError, IndexError, asyncio.IncompleteReadError) as error:
            raise ServerError(f"policy server {self.path}: {error}") from None
        else:
            self._free.append(connection)
            connection = None
            return answer
        finally:
            if connection is not None:  # the answer may still come, and is nobody's then
                connection[1].close()

    async def _connect(self) -> _Connection:
        return await asyncio.open_unix_connection(str(self.path))

    def close(self) -> None:
        """Close those that are not in use."""
        for _, writer in self._free:
            writer.close()
        self._free = []


async def _exchange(connection: _Connection, method: str, target: str, body: bytes) -> tuple[int, bytes]:
    reader, writer = connection
    head = f"{method} {target} HTTP/1.1\r\nHost: policy-server\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    length = next(int(line[15:]) for line in lines if line.lower().startswith("content-length:"))
    return int(lines[0].split()[1]), await reader.readexactly(length)


class AsyncSession:
    """One session, as `client.RemoteSession`.

    Args:
        connections: to the server, shared with the other sessions.
        task: what is decided.
        context: the session's.
    """

    def __init__(self, connections: Connections, task: Task, context: Any) -> None:
        self._connections = connections
        self._conversation = Conversation(str(connections.path), task, context)

    async def decide(self, steps: Sequence[Any], deadline_s: float) -> Answer:
        """The answer to the last of all the session's steps.

        Raises:
            ServerError: there is none by the deadline.
        """
        until_s = time.monotonic() + deadline_s
        try:
            return await self._ask(steps, until_s)
        except StepsLost:
            return await self._ask(steps, until_s)

    async def _ask(self, steps: Sequence[Any], until_s: float) -> Answer:
        request = self._conversation.says(steps, until_s)
        status, body = await self._connections.exchange("POST", DECIDE, request, until_s)
        return self._conversation.hears(status, body, len(steps))

    async def end(self) -> None:
        """The session is over; a server that does not hear it forgets it by itself."""
        with contextlib.suppress(ServerError):
            await self._connections.exchange(
                "DELETE", f"{SESSIONS}/{self._conversation.name}", b"", time.monotonic() + 5.0
            )

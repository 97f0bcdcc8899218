"""The player's side of a policy server: blocking, and never past its deadline.

For a thread of its own (a policy's `select` runs off the event loop). One connection is kept open over a
session's decisions; a stale one is replaced once. Whatever goes wrong is a one-line `ServerError`.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import socket
import stat
import tempfile
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from policies.llm.serving.conversation import Conversation, ServerError, StepsLost
from policies.llm.serving.fields import FieldError, load_json
from policies.llm.serving.protocol import DECIDE, HEALTH, SESSIONS, Answer
from policies.llm.task import Task

SERVER_VARIABLE = "STREAMBED_LLM_SERVER"
"""Environment variable: where the server is that a run started."""
TOKEN_VARIABLE = "STREAMBED_LLM_TOKEN"
"""Environment variable: what a server asks for that listens on a network."""
SOCKET_NAME = "llm.sock"

_MOST_ANSWER_BYTES = 1 << 20
_LEAST_S = 1e-4
"""A socket's timeout of 0 would mean not to block."""
_END_WITHIN_S = 0.2
_STALE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ConnectionAbortedError)


def runtime_folder() -> Path:
    """Where this user's sockets are: in `$XDG_RUNTIME_DIR`, else in the folder of temporary files."""
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if Path(base).is_absolute():
        return Path(base) / "streambed"
    return Path(tempfile.gettempdir()) / f"streambed-{os.getuid()}"


def default_socket() -> Path:
    """Where `serve` listens unless told."""
    return runtime_folder() / SOCKET_NAME


def is_socket(path: Path) -> bool:
    """Whether a socket of this user's (or root's) is there."""
    try:
        status = path.stat()
    except OSError:
        return False
    return stat.S_ISSOCK(status.st_mode) and status.st_uid in (os.getuid(), 0)


@dataclass(frozen=True)
class Address:
    """Where a server listens: a Unix socket's path, or host and port."""

    path: str | None
    host: str = "localhost"
    port: int = 0

    @classmethod
    def of(cls, text: str) -> Address:
        """`/run/llm.sock`, `unix:/run/llm.sock` or `http://HOST:PORT`.

        Raises:
            ValueError: none of these.
        """
        if text.startswith("http://"):
            try:
                parts = urlsplit(text)
                host, port = parts.hostname, parts.port
            except ValueError:
                host, port = None, None
            if host and port and parts.path in ("", "/"):
                return cls(None, host, port)
        elif text and "://" not in text:
            return cls(str(Path(text.removeprefix("unix:")).absolute()))
        raise ValueError(f"server {text!r}: expected a socket's path or http://HOST:PORT")

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"

    def connect(self, timeout_s: float) -> socket.socket:
        """A connected socket.

        Raises:
            OSError: nobody listens, or not within the timeout.
        """
        if self.path is None:
            connected = socket.create_connection((self.host, self.port), timeout_s)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connected
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connected.settimeout(timeout_s)
            connected.connect(self.path)
        except BaseException:
            connected.close()
            raise
        return connected


class _TimedSocket:
    """As much of a socket as http.client uses; every call ends by `until_s` (time.monotonic())."""

    def __init__(self, connected: socket.socket, until_s: float) -> None:
        self._socket = connected
        self.until_s = until_s
        self._readers = 0
        self._closed = False

    def _limit(self) -> None:
        left_s = self.until_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self._socket.settimeout(max(left_s, _LEAST_S))

    def sendall(self, data: bytes) -> None:
        self._limit()  # for the whole of it, says Python
        self._socket.sendall(data)

    def receive_into(self, buffer: memoryview) -> int:
        self._limit()
        return self._socket.recv_into(buffer)

    def makefile(self, mode: str) -> io.BufferedReader:
        self._readers += 1
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """As a socket's: a file made of it reads on."""
        self._closed = True
        if not self._readers:
            self._socket.close()

    def reader_closed(self) -> None:
        self._readers -= 1
        if self._closed:
            self.close()


class _Reader(io.RawIOBase):
    def __init__(self, timed: _TimedSocket) -> None:
        self._timed = timed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._timed.receive_into(memoryview(buffer))

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._timed.reader_closed()


class Client:
    """A connection to one server. For one thread at a time.

    Raises:
        ValueError: a token that can't stand in a field of HTTP.
    """

    def __init__(self, address: Address, token: str | None = None) -> None:
        self.address = address
        self._fields = "Host: policy-server\r\nContent-Type: application/json\r\n"
        if token:
            if not token.isprintable():
                raise ValueError(f"${TOKEN_VARIABLE}: must be one line of printable signs")
            self._fields += f"Authorization: Bearer {token}\r\n"
        self._timed: _TimedSocket | None = None

    def decide(self, request: bytes, until_s: float) -> tuple[int, bytes]:
        """Status and body of the answer to a request, by `until_s` (time.monotonic()).

        Raises:
            ServerError: nobody answers, or not in time, or not in HTTP.
        """
        return self._exchange("POST", DECIDE, request, until_s)

    def health(self, until_s: float) -> dict[str, Any]:
        """What the server says of itself.

        Raises:
            ServerError: it doesn't.
        """
        status, body = self._exchange("GET", HEALTH, b"", until_s)
        try:
            facts = load_json(body)
        except FieldError as error:
            raise ServerError(f"policy server {self.address}: status {status}, {error}") from None
        if not isinstance(facts, dict):
            raise ServerError(f"policy server {self.address}: its health is {facts!r:.60}")
        return facts

    def end(self, session: str, until_s: float) -> None:
        """Tell the server that a session is over.

        Raises:
            ServerError: it does not hear it; it will forget the session by itself.
        """
        self._exchange("DELETE", f"{SESSIONS}/{session}", b"", until_s)

    def close(self) -> None:
        if self._timed is not None:
            self._timed.close()
            self._timed = None

    def _exchange(self, method: str, path: str, body: bytes, until_s: float) -> tuple[int, bytes]:
        """Status and body of one request.

        Raises:
            ServerError: nobody answers, or not in time, or not in HTTP.
        """
        began_s = time.monotonic()
        try:
            kept = self._timed is not None
            try:
                return self._once(method, path, body, until_s)
            except _STALE:
                if not kept:
                    raise
                self.close()
                return self._once(method, path, body, until_s)
        except TimeoutError:
            self.close()  # the answer may still come, and is nobody's then
            waited_ms = 1000.0 * (time.monotonic() - began_s)
            raise ServerError(f"policy server {self.address}: no answer within {waited_ms:.0f} ms") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            fault = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
            raise ServerError(f"policy server {self.address}: {fault}") from None

    def _once(self, method: str, path: str, body: bytes, until_s: float) -> tuple[int, bytes]:
        if self._timed is None:
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            self._timed = _TimedSocket(self.address.connect(max(left_s, _LEAST_S)), until_s)
        timed = self._timed
        timed.until_s = until_s
        timed.sendall(self._head(method, path, len(body)) + body)  # in one piece: a server need not wait
        response = http.client.HTTPResponse(cast(socket.socket, timed), method=method)
        try:
            response.begin()
            content = response.read(_MOST_ANSWER_BYTES)
            if response.will_close or not response.isclosed():
                self.close()
        finally:
            response.close()
        return response.status, content

    def _head(self, method: str, path: str, length: int) -> bytes:
        return f"{method} {path} HTTP/1.1\r\n{self._fields}Content-Length: {length}\r\n\r\n".encode("latin-1")


class RemoteSession:
    """One session that a server decides.

    Args:
        client: to the server.
        task: what is decided.
        context: the session's.
        deadline_s: for one decision.
    """

    def __init__(self, client: Client, task: Task, context: Any, deadline_s: float) -> None:
        self._client, self._deadline_s = client, deadline_s
        self._conversation = Conversation(str(client.address), task, context)
        self._end = weakref.finalize(self, _end, client, self._conversation.name)

    def decide(self, steps: Sequence[Any]) -> Answer:
        """The answer to the last of all the session's steps.

        Raises:
            ServerError: there is none by the deadline.
        """
        until_s = time.monotonic() + self._deadline_s
        try:
            return self._ask(steps, until_s)
        except StepsLost:
            return self._ask(steps, until_s)

    def _ask(self, steps: Sequence[Any], until_s: float) -> Answer:
        status, body = self._client.decide(self._conversation.says(steps, until_s), until_s)
        return self._conversation.hears(status, body, len(steps))

    def end(self) -> None:
        """The session is over. Happens by itself when nobody has the session any more."""
        self._end()


def _end(client: Client, session: str) -> None:
    """Tell the server, which forgets the session by itself if it does not hear this."""
    with contextlib.suppress(ServerError):
        client.end(session, time.monotonic() + _END_WITHIN_S)
    client.close()


def ask_health(address: Address, token: str | None, within_s: float) -> dict[str, Any]:
    """What a server says of itself.

    Raises:
        ServerError: nobody answers.
    """
    client = Client(address, token)
    try:
        return client.health(time.monotonic() + within_s)
    finally:
        client.close()

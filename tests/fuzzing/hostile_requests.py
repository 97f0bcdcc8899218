"""What hostile and broken clients send to a server, and how it is watched while they do.

A server may refuse with any 4xx, or close the connection. It may not answer with a 500, print a traceback, or
leave a whole request without an answer for longer than anybody waits.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.fuzzing.patience import LOOK_EVERY_S, Patience, waited_s
from tests.fuzzing.readers import PATIENCE_S

SENT_WITHIN_S = 60.0
"""A whole request; a busy machine's server may be slow to take it."""

MOST_ANSWER_BYTES = 1 << 20
HALF_SENT_FOR_S = 0.02

Send = Callable[[], socket.socket]
"""Connects to the server."""


@dataclass(frozen=True)
class HostileSend:
    """Bytes for one connection, in pieces."""

    pieces: tuple[bytes, ...]
    whole: bool = False
    """They are requests that must be answered or cut off in time; else the client just leaves."""


@dataclass
class ServerWatch:
    """What came back."""

    pid: int
    """The server's."""
    sent: int = 0
    statuses: dict[int, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


class RequestMaker:
    """Makes requests at random.

    Args:
        good: whole requests that the server answers with 200.
        paths: that mean something to it.
    """

    def __init__(self, good: Sequence[bytes], paths: Sequence[str], chance: random.Random) -> None:
        self._good, self._paths, self._chance = list(good), list(paths), chance
        self._kinds = (
            self._spoiled, self._noise, self._half, self._pipelined, self._large_head, self._encoded,
            self._framed, self._odd_line, self._fields, self._path, self._dribbled, self._good_one,
        )  # fmt: skip

    def next(self) -> HostileSend:
        """Another one."""
        return self._chance.choice(self._kinds)()

    def _one(self) -> bytes:
        return self._chance.choice(self._good)

    def _bytes(self, most: int) -> bytes:
        return self._chance.randbytes(self._chance.randrange(most))

    def _good_one(self) -> HostileSend:
        return HostileSend((self._one(),), whole=True)

    def _spoiled(self) -> HostileSend:
        text = bytearray(self._one())
        for _ in range(self._chance.randrange(1, 8)):
            place = self._chance.randrange(len(text))
            cut = self._chance.choice((0, 1, 1, 5))
            text[place : place + cut] = self._chance.choice(
                (b"", b"\0", b"\xff", b"\r\n", b'"', b"9" * 500, b"[" * 50)
            )
        return HostileSend((bytes(text),))

    def _noise(self) -> HostileSend:
        return HostileSend((self._bytes(5000),))

    def _half(self) -> HostileSend:
        one = self._one()
        return HostileSend((one[: self._chance.randrange(len(one))],))

    def _pipelined(self) -> HostileSend:
        return HostileSend((b"".join(self._one() for _ in range(self._chance.randrange(2, 40))),))

    def _large_head(self) -> HostileSend:
        many = self._chance.choice((1, 50, 200, 5000))
        fields = b"".join(
            b"X-%d: %s\r\n" % (one, b"a" * self._chance.choice((1, 9000 // many))) for one in range(many)
        )
        return HostileSend((b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n",), whole=True)

    def _encoded(self) -> HostileSend:
        word = self._chance.choice(
            (b"gzip", b"deflate", b"br", b"zstd", b"gzip, gzip", b"x", b"", b"identity")
        )
        return self._with(b"Content-Encoding: " + word)

    def _framed(self) -> HostileSend:
        line = self._chance.choice(
            (
                b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip",
                b"Transfer-Encoding: chunked, chunked",
                b"Content-Length: -1", b"Content-Length: 5, 5", b"Content-Length: 99999999999999999999",
                b"Content-Length: 1e3", b"Transfer-Encoding: \x0bchunked", b"Content-Length: 100000000",
            )
        )  # fmt: skip
        return HostileSend((self._with(line).pieces[0] + self._bytes(100),))

    def _fields(self) -> HostileSend:
        line = self._chance.choice(
            (
                b"Expect: 100-continue", b"Expect: a miracle", b"Upgrade: websocket\r\nConnection: Upgrade",
                b"Range: bytes=0-", b"Range: bytes=9999999999-", b"Range: bytes=5-1",
                b"Range: bytes=" + b"0-0," * 500,
                b"If-Range: x", b"If-Match: *", b"If-None-Match: \xff", b"Authorization: Bearer \xff\xfe",
                b"Host: \xff", b"Accept-Encoding: gzip;q=x", b"Cookie: =;=;=",
                b"Content-Type: a/b; charset=no-such",
                b"If-Modified-Since: yesterday", b"Connection: close", b"X: \x01",
            )
        )  # fmt: skip
        return HostileSend((self._with(line).pieces[0],))

    def _with(self, line: bytes) -> HostileSend:
        head, _, body = self._one().partition(b"\r\n\r\n")
        return HostileSend((head + b"\r\n" + line + b"\r\n\r\n" + body,))

    def _odd_line(self) -> HostileSend:
        method = self._chance.choice(
            (b"GET", b"POST", b"HEAD", b"DELETE", b"PUT", b"OPTIONS", b"PRI", b"get", b"\xff", b"TRACE")
        )
        version = self._chance.choice(
            (b"HTTP/1.1", b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/9.9", b"", b"FTP/1.1")
        )
        return HostileSend((method + b" " + self._somewhere() + b" " + version + b"\r\nHost: x\r\n\r\n",))

    def _path(self) -> HostileSend:
        return HostileSend((b"GET " + self._somewhere() + b" HTTP/1.1\r\nHost: x\r\n\r\n",))

    def _somewhere(self) -> bytes:
        path = self._chance.choice(self._paths).encode()
        change = self._chance.choice(
            (
                b"", b"/..", b"/../../etc/passwd", b"/%2e%2e/%2e%2e/etc/passwd", b"%00", b"?a=%ff", b"//",
                b"/\xc3\xa9",
                b"/-1", b"/99999999999999999999", b"/1e3.m4s", b"%", b"%zz", b"#", b"/.hidden", b"a" * 3000,
            )
        )  # fmt: skip
        return path + change

    def _dribbled(self) -> HostileSend:
        one = self._one()
        bounds = sorted(self._chance.randrange(len(one)) for _ in range(4))
        edges = [0, *bounds, len(one)]
        pieces = tuple(one[begin:end] for begin, end in itertools.pairwise(edges))
        return HostileSend(tuple(piece for piece in pieces if piece), whole=True)


def served(connect: Send, send: HostileSend, watch: ServerWatch) -> None:
    """Send, hear, and note what is not as it should be."""
    watch.sent += 1
    try:
        connection = connect()
    except OSError as error:
        watch.faults.append(f"no connection: {error}")
        return
    with contextlib.closing(connection):
        connection.settimeout(SENT_WITHIN_S if send.whole else HALF_SENT_FOR_S)
        with contextlib.suppress(OSError):
            for place, piece in enumerate(send.pieces):
                if place:
                    time.sleep(0.001)
                connection.sendall(piece)
        if send.whole:
            connection.settimeout(LOOK_EVERY_S)
        for status in _statuses(connection, send, watch):
            watch.statuses[status] = watch.statuses.get(status, 0) + 1
            if status == 500:
                watch.faults.append(f"status 500 after {send.pieces!r:.2000}")


def _statuses(connection: socket.socket, send: HostileSend, watch: ServerWatch) -> Iterator[int]:
    """Of the answers that come; of a whole request the first has to."""
    answer, patience = b"", Patience(PATIENCE_S, lambda: waited_s() + waited_s(watch.pid))
    try:
        while len(answer) < MOST_ANSWER_BYTES:
            piece = _piece(connection, patience) if send.whole else connection.recv(65536)
            if not piece:
                break
            answer += piece
            if send.whole and b"\r\n" in answer:
                break
    except TimeoutError:
        if send.whole:
            watch.faults.append(f"no answer within {PATIENCE_S:g} s to {send.pieces!r:.500}")
    except OSError:  # it has closed on us
        pass
    for part in answer.split(b"HTTP/1.1 ")[1:]:
        if part[:3].isdigit():
            yield int(part[:3])


def _piece(connection: socket.socket, patience: Patience) -> bytes:
    """What comes next, waited for patiently.

    Raises:
        TimeoutError: nothing came though neither we nor the server lacked a processor.
    """
    while True:
        try:
            return connection.recv(65536)
        except TimeoutError:
            if patience.over:
                raise


def attacked(
    connect: Send, maker: RequestMaker, health: bytes, seconds: float, pid: int, at_once: int = 20
) -> ServerWatch:
    """Attack for so long; every now and then its health must be told in time.

    Args:
        pid: of the server, whose first thread answers.
        at_once: connections that are held half-sent beside.
    """
    watch, held = ServerWatch(pid), list[socket.socket]()
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s and len(watch.faults) < 10:
        served(connect, maker.next(), watch)
        if watch.sent % 50 == 0:
            served(connect, HostileSend((health,), whole=True), watch)
            with contextlib.suppress(OSError):
                held.append(connect())
                held[-1].sendall(health[: len(health) // 2])
            if len(held) > at_once:
                held.pop(0).close()
    for connection in held:
        connection.close()
    return watch


def said_traceback(process: subprocess.Popen[bytes], stderr: bytes) -> list[str]:
    """Tracebacks that a server printed, and whether it lives."""
    found = [f"it has ended with {process.returncode}"] if process.returncode not in (0, -15, 143) else []
    if b"Traceback" in stderr:
        begin = stderr.index(b"Traceback")
        found.append(stderr[begin : begin + 2000].decode(errors="replace"))
    return found

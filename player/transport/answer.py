"""What a client of any protocol gives to whoever fetches: an answer at a time, its head and then its body."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from player.transport.tcp_info import TcpInfo


class Broken(OSError):
    """A connection, or an answer on its way over it, broke: another try may get it. The text is one line."""


class SaidNo(Broken):
    """A host that says at once that nobody listens, or that it is none."""


class Unusable(Exception):
    """An answer that is none by its protocol: trying again would not help. The text is one line."""


class Answer(Protocol):
    """The head of an answer, and its body as it comes."""

    @property
    def status(self) -> int: ...

    @property
    def reason(self) -> str:
        """In words; only HTTP/1.1 has some of its own."""

    @property
    def length(self) -> int | None:
        """Of the body, bytes, where its head says that."""

    @property
    def url(self) -> str:
        """Where it came from in the end."""

    def header(self, name: str) -> str | None:
        """A field of its head, whatever the case of its name."""

    def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes.

        Raises:
            Broken: it stops short.
            Unusable: what comes is no body.
        """

    def parts(self) -> AsyncIterator[tuple[bytes, bool]]:
        """The same, and whether a chunk of HTTP (RFC 9112 section 7.1) ends with the piece."""


class Carrier(Protocol):
    """A client with one connection."""

    def get(
        self, url: str, headers: Mapping[str, str], connect_s: float, read_s: float
    ) -> AbstractAsyncContextManager[Answer]:
        """Ask for something; who leaves before its end gives it up.

        Args:
            connect_s: for a new connection.
            read_s: without a byte.

        Raises:
            Broken: see there; from the body of the `with`, too.
            Unusable: see there.
        """

    @property
    def connection(self) -> TcpInfo | None:
        """The present state of our end of the connection."""

    @property
    def congestion_control(self) -> str | None:
        """Of our end; None without a connection, or where nobody says."""

    @property
    def negotiated(self) -> Mapping[str, Any] | None:
        """What both ends agreed upon, of a protocol that was asked for by name; None of HTTP/1.1."""

    @property
    def datagrams(self) -> tuple[int, int] | None:
        """Sent and received since the first connection; None of TCP."""

    async def close(self) -> None:
        """Close the connection; safe to call twice."""

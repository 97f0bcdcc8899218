"""HTTP/1.1, by aiohttp: over TCP alone, and over TLS where the address says https."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from player.faults import one_line
from player.transport.answer import Broken, SaidNo, Unusable
from player.transport.tcp_info import TcpInfo, read_tcp_info
from player.transport.trust import client_context

IDLE_CONNECTION_S = 3600.0
"""We never close an idle connection: a player with a full buffer waits, a lane waits for its start."""


@dataclass(frozen=True)
class PlainAnswer:
    """See `Answer`."""

    response: aiohttp.ClientResponse

    @property
    def status(self) -> int:
        return self.response.status

    @property
    def reason(self) -> str:
        return self.response.reason or ""

    @property
    def length(self) -> int | None:
        return self.response.content_length

    @property
    def url(self) -> str:
        return str(self.response.url)

    def header(self, name: str) -> str | None:
        return self.response.headers.get(name)

    async def pieces(self) -> AsyncIterator[bytes]:
        async for data in self.response.content.iter_any():
            yield data

    async def parts(self) -> AsyncIterator[tuple[bytes, bool]]:
        async for data, ends in self.response.content.iter_chunks():
            yield data, ends


class PlainCarrier:
    """A `Carrier`, made while an event loop runs.

    Args:
        trusted: of https, the certificate to believe, as PEM; None: the system's authorities.

    Raises:
        TransportError: a certificate that is none.
    """

    negotiated: Mapping[str, str] | None = None
    datagrams: tuple[int, int] | None = None

    def __init__(self, trusted: str | None = None) -> None:
        self._sockets: list[socket.socket] = []
        connector = aiohttp.TCPConnector(
            limit=1,
            keepalive_timeout=IDLE_CONNECTION_S,
            ttl_dns_cache=None,
            socket_factory=self._make_socket,
            ssl=True if trusted is None else client_context(trusted),
        )
        self._http = aiohttp.ClientSession(connector=connector, auto_decompress=False)

    @asynccontextmanager
    async def get(
        self, url: str, headers: Mapping[str, str], connect_s: float, read_s: float
    ) -> AsyncIterator[PlainAnswer]:
        """See `Carrier`."""
        timeout = aiohttp.ClientTimeout(total=None, connect=connect_s, sock_read=read_s)
        try:
            async with self._http.get(url, headers=headers, timeout=timeout) as response:
                yield PlainAnswer(response)
        except aiohttp.InvalidURL:
            raise Unusable("not a URL") from None
        except aiohttp.ClientResponseError as error:
            raise Unusable(f"not a usable HTTP answer: {error.message}") from None
        except Broken:
            raise
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError) as error:
            answer = _answer_no(error)  # TimeoutError is an OSError
            raise (Broken(one_line(error)) if answer is None else SaidNo(answer)) from error

    def _make_socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        """A socket as aiohttp would make it, kept so that TCP_INFO can be read from it."""
        family, kind, protocol, _, _ = address
        sock = socket.socket(family, kind, protocol)
        self._sockets = [*(each for each in self._sockets if each.fileno() >= 0), sock]
        return sock

    def _socket(self) -> socket.socket | None:
        """The connection's own: of those that were tried (IPv6, IPv4, before a break) the one still open."""
        return next((sock for sock in reversed(self._sockets) if sock.fileno() >= 0), None)

    @property
    def connection(self) -> TcpInfo | None:
        return read_tcp_info(self._socket())

    @property
    def congestion_control(self) -> str | None:
        return congestion_control_of(self._socket())

    async def close(self) -> None:
        await self._http.close()


def _answer_no(fault: Exception) -> str | None:
    """What was answered where a connection failed by an answer; None where it failed by silence."""
    if not isinstance(fault, aiohttp.ClientConnectorError):
        return None
    return said_no(fault.os_error, fault.host, fault.port)


def said_no(error: OSError, host: str, port: int | None) -> str | None:
    """What a host answers that lets nobody in; None where it says nothing."""
    if isinstance(error, ConnectionRefusedError):
        return f"connection refused; does a server listen on port {port}?"
    if isinstance(error, socket.gaierror) and error.errno == socket.EAI_NONAME:
        return f"no host is named {host}"
    return None


def congestion_control_of(sock: socket.socket | None) -> str | None:
    """What a TCP socket's kernel calls it."""
    option = getattr(socket, "TCP_CONGESTION", None)
    if sock is None or option is None:
        return None
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, option, 16).partition(b"\0")[0].decode()
    except OSError:
        return None

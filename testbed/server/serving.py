"""The origin's sockets for HTTP/2 and HTTP/3. What they need of an extra is imported when it is wanted."""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from player.transport.names import H3
from testbed.server.certificate import Certificate, server_context


@asynccontextmanager
async def serve_streams(
    transport: str,
    listening: socket.socket,
    certificate: Certificate,
    congestion_control: str,
    handler: Callable[[], Any],
) -> AsyncIterator[None]:
    """Serve over TLS on a listening socket, and with `h3` over QUIC on the UDP port of the same number.

    Args:
        congestion_control: of QUIC; TCP's is the socket's.
        handler: makes a handler of aiohttp's.

    Raises:
        OSError: the UDP port cannot be had.
    """
    from testbed.server.server_h2 import HTTP_1, HTTP_2, ChosenByAlpn

    host, port = listening.getsockname()[:2]
    quic = None
    if transport == H3:
        from testbed.server.server_h3 import listen_quic

        quic = await listen_quic(host, port, certificate, congestion_control, handler)
    try:
        context = server_context(certificate, HTTP_2, HTTP_1)
        chooser = functools.partial(ChosenByAlpn, handler)
        server = await asyncio.get_running_loop().create_server(chooser, sock=listening, ssl=context)
        async with server:
            yield
    finally:
        if quic is not None:
            quic.close()

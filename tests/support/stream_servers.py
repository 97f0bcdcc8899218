"""What tests of HTTP/2 and HTTP/3 share: the origin on loopback, and servers that break the protocols' rules.

Without the extra that they need tests are skipped and say so; under STREAMBED_REQUIRE_TRANSPORT=1 (CI) they
fail.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from player.transport.names import H3, NEEDED
from player.video.media.prepared import PreparedMedia
from player.video.video import Video
from testbed.server import application

LOCAL = "127.0.0.1"
SMALL = Video("small", 4.0, (100, 400), ((1000, 300_000), (1, 3_000_000)))


def need_transport() -> None:
    """Skip the module's tests where the extra is not installed."""
    for name in NEEDED[H3]:
        if os.environ.get("STREAMBED_REQUIRE_TRANSPORT") == "1":
            __import__(name)
        else:
            pytest.importorskip(name, reason="pip install -e '.[transport]'")


@contextlib.asynccontextmanager
async def origin(
    transport: str,
    lines: list[dict[str, Any]] | None = None,
    videos: Sequence[Video] = (SMALL,),
    prepared: Sequence[PreparedMedia] = (),
) -> AsyncIterator[tuple[str, str]]:
    """The origin: its address, and the certificate to believe."""
    from testbed.server.certificate import made_certificate

    certificate = made_certificate((LOCAL, "localhost"))
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    app = application.make_app(videos, None, (lines if lines is not None else []).append, prepared)
    serving = asyncio.create_task(
        application.serve(
            app, LOCAL, 0, lambda host, port: listening.set_result(port), stop, None, transport, certificate
        )
    )
    await asyncio.wait([serving, listening], return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        serving.result()
    try:
        scheme = "http" if transport == "h1" else "https"
        yield f"{scheme}://{LOCAL}:{listening.result()}", certificate.public
    finally:
        stop.set()
        await serving


@contextlib.asynccontextmanager
async def over_tls(protocol: Callable[[], asyncio.Protocol], *alpn: str) -> AsyncIterator[tuple[str, str]]:
    """A server of somebody else's over TLS: its address, and the certificate to believe."""
    from testbed.server.certificate import made_certificate, server_context

    certificate = made_certificate((LOCAL,))
    context = server_context(certificate, *alpn)
    server = await asyncio.get_running_loop().create_server(protocol, LOCAL, 0, ssl=context)
    async with server:
        yield f"https://{LOCAL}:{server.sockets[0].getsockname()[1]}", certificate.public


@contextlib.asynccontextmanager
async def over_quic(protocol: Any) -> AsyncIterator[tuple[str, str]]:
    """The same over QUIC; `protocol` is a `QuicConnectionProtocol`."""
    from aioquic.asyncio.server import serve
    from aioquic.tls import load_pem_private_key, load_pem_x509_certificates

    from player.transport.quic import configuration
    from testbed.server.certificate import made_certificate

    certificate = made_certificate((LOCAL,))
    settings = configuration(is_client=False)
    settings.certificate = load_pem_x509_certificates(certificate.public.encode())[0]
    settings.private_key = load_pem_private_key(certificate.key.encode())
    port = free_udp_port()
    server = await serve(LOCAL, port, configuration=settings, create_protocol=protocol)
    try:
        yield f"https://{LOCAL}:{port}", certificate.public
    finally:
        server.close()


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind((LOCAL, 0))
        return int(one.getsockname()[1])

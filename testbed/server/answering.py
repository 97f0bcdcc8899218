"""How a request is answered: by RFC 9110, with the sender's view of the connection."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from dataclasses import dataclass

from aiohttp import web

from player.real import cmsd
from player.transport.tcp_info import TcpInfo, read_tcp_info
from testbed.server.http_semantics import RangeNotSatisfiable, asked_range, precondition_failed, unchanged
from testbed.server.resources import Resource
from testbed.server.streams import CONNECTION, PROTOCOL

FIXED_HEADERS = {
    "Accept-Ranges": "bytes",
    "Cache-Control": "no-cache, no-transform",  # a cache on the way must not answer, or it is what we measure
    "Access-Control-Allow-Origin": "*",
}


@dataclass
class Progress:
    """How far the answer to one request has come."""

    sent_bytes: int = 0
    """Of its body, handed to the transport."""


PROGRESS: ContextVar[Progress] = ContextVar("progress")
"""The request in hand; aiohttp answers each one in a task, and so in a context, of its own."""


def connection_of(request: web.Request) -> TcpInfo | None:
    """What our end of the connection knows of it: TCP's kernel, or QUIC."""
    transport = request.transport
    if transport is None:
        return None
    of_quic = transport.get_extra_info(CONNECTION)
    return read_tcp_info(transport.get_extra_info("socket")) if of_quic is None else of_quic()


def protocol_of(request: web.Request) -> str:
    """By its name in ALPN (RFC 7301)."""
    transport = request.transport
    streamed = None if transport is None else transport.get_extra_info(PROTOCOL)
    return str(streamed) if streamed is not None else "http/{}.{}".format(*request.version)


def headers_of(request: web.Request) -> dict[str, str]:
    """Those that every answer has."""
    return {**FIXED_HEADERS, cmsd.HEADER: cmsd.encode(connection_of(request))}


async def answer(request: web.Request, resource: Resource) -> web.StreamResponse:
    """GET and HEAD of a resource, by RFC 9110: conditions first, then the range, then the body."""
    validators = resource.validators
    headers = {**headers_of(request), "ETag": validators.etag}
    if validators.last_modified is not None:
        headers["Last-Modified"] = validators.last_modified
    if precondition_failed(request.headers, validators):
        raise web.HTTPPreconditionFailed(text="this version is not the one in If-Match\n", headers=headers)
    if unchanged(request.headers, validators):
        return web.Response(status=304, headers=headers)
    first, count, status = 0, resource.size_bytes, 200
    if request.method == "GET":  # a range is defined for GET alone
        try:
            part = asked_range(request.headers, validators, resource.size_bytes)
        except RangeNotSatisfiable as error:
            headers["Content-Range"] = f"bytes */{resource.size_bytes}"
            raise web.HTTPRequestRangeNotSatisfiable(text=f"{error}\n", headers=headers) from None
        if part is not None:
            first, count, status = part.first, part.length, 206
            headers["Content-Range"] = f"bytes {part.first}-{part.last}/{resource.size_bytes}"
    response = web.StreamResponse(
        status=status,
        headers={**headers, "Content-Type": resource.content_type, "Content-Length": str(count)},
    )
    await response.prepare(request)
    progress = PROGRESS.get(Progress())
    if request.method == "GET":
        async with contextlib.aclosing(resource.read(first, count)) as pieces:
            async for piece in pieces:
                await response.write(piece)  # waits while the client is slow
                progress.sent_bytes += len(piece)
    await response.write_eof()
    return response

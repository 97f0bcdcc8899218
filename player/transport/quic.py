"""QUIC by aioquic as both ends use it: what is pinned, and what an end knows of its connection.

aioquic has no public view of round trips and windows; what is read of it here are names of its own, which is
why its version is pinned.
"""

from __future__ import annotations

import socket
from typing import Any

from aioquic.h3.connection import H3_ALPN
from aioquic.quic.configuration import QuicConfiguration

from player.transport.names import TransportError
from player.transport.quic_names import CONGESTION_CONTROL, DATAGRAM_BYTES
from player.transport.tcp_info import TcpInfo

WINDOW_BYTES = 1 << 24
"""Of a stream and of the connection: congestion control alone decides what is sent."""
IDLE_S = 3600.0
"""A player with a full buffer waits, a lane waits for its start."""
SOCKET_BYTES = 1 << 22
"""Of a socket's buffers: what comes while this process does something else is not lost."""
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_VERSIONS = {1: "1", 0x6B3343CF: "2"}
"""RFC 9000, RFC 9369."""


def configuration(is_client: bool, congestion_control: str = CONGESTION_CONTROL) -> QuicConfiguration:
    """What both ends of a connection are set to.

    Raises:
        TransportError: a congestion control that aioquic has not.
    """
    made = QuicConfiguration(
        is_client=is_client,
        alpn_protocols=list(H3_ALPN),
        congestion_control_algorithm=congestion_control,
        idle_timeout=IDLE_S,
        max_data=WINDOW_BYTES,
        max_stream_data=WINDOW_BYTES,
        max_datagram_size=DATAGRAM_BYTES,
    )
    return made


def trust(made: QuicConfiguration, trusted: str | None) -> None:
    """Believe a certificate (PEM); None: the system's authorities.

    Raises:
        TransportError: it is none.
    """
    if trusted is None:
        return
    from aioquic.tls import load_pem_x509_certificates

    try:
        load_pem_x509_certificates(trusted.encode())
    except ValueError as error:
        raise TransportError(f"the certificate to be trusted is none: {error}") from None
    made.load_verify_locations(cadata=trusted.encode())


def roomy(opened: socket.socket) -> None:
    """Give a UDP socket large buffers: as large as wanted where we may, else as the kernel lets us."""
    for force, plain in ((_SO_RCVBUFFORCE, socket.SO_RCVBUF), (_SO_SNDBUFFORCE, socket.SO_SNDBUF)):
        try:
            opened.setsockopt(socket.SOL_SOCKET, force, SOCKET_BYTES)
        except OSError:
            opened.setsockopt(socket.SOL_SOCKET, plain, SOCKET_BYTES)


def quic_info(quic: Any) -> TcpInfo:
    """The present state of a connection, as far as aioquic keeps it: not of what was sent again."""
    loss = quic._loss
    known = loss._rtt_initialized
    return TcpInfo(
        rtt_ms=1000.0 * loss._rtt_smoothed if known else None,
        rttvar_ms=1000.0 * loss._rtt_variance if known else None,
        min_rtt_ms=1000.0 * loss._rtt_min if known else None,
        rcv_rtt_ms=None,
        retransmits=None,
        cwnd=loss.congestion_window // DATAGRAM_BYTES,
        mss_bytes=DATAGRAM_BYTES,
        delivery_mbps=None,
    )


def unsent_bytes(quic: Any, stream_id: int) -> int:
    """Of what was written to a stream so far, how much has not been sent once."""
    stream = quic._streams.get(stream_id)
    return 0 if stream is None else int(stream.sender._buffer_stop - stream.sender.highest_offset)


def version_of(quic: Any) -> str:
    """Of a connection that stands."""
    return _VERSIONS.get(quic._version, hex(quic._version or 0))


def cipher_of(quic: Any) -> str:
    """Of a connection that stands."""
    return str(quic.tls.key_schedule.cipher_suite.name)

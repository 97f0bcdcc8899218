"""What the kernel knows of a TCP connection: Linux `struct tcp_info`, as both ends read it.

The struct (include/uapi/linux/tcp.h) only ever grows at its end, so that an older kernel fills a
shorter one: what lies beyond its end is None here, and so is a figure that the kernel has no sample
of yet (it says 0).
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Protocol

_STRUCT_BYTES = 512
"""More than any kernel fills (280 bytes in Linux 6.18); the kernel says how much it wrote."""

# Offsets in bytes into the struct, named as in the header without `tcpi_`.
_SND_MSS = 16
_RTT_US = 68
_RTTVAR_US = 72
_SND_CWND = 80
_RCV_RTT_US = 92
_TOTAL_RETRANS = 100
_MIN_RTT_US = 148
_DELIVERY_RATE_BYTES_S = 160


class HasOptions(Protocol):
    """A socket, or the stand-in for one that an asyncio transport hands out."""

    def getsockopt(self, level: int, option: int, buflen: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class TcpInfo:
    """One look at a connection. None: not known (yet)."""

    rtt_ms: float | None
    """Smoothed round-trip time of what this end sent."""
    rttvar_ms: float | None
    """Its mean deviation."""
    min_rtt_ms: float | None
    rcv_rtt_ms: float | None
    """Round-trip time as this end sees it as a receiver of data, queueing included."""
    retransmits: int | None
    """Segments that this end has sent again since the connection began."""
    cwnd: int | None
    """Congestion window in segments."""
    mss_bytes: int | None
    """Payload of one segment."""
    delivery_mbps: float | None
    """The newest delivery rate sample, 10^6 bits of payload a second."""


def read_tcp_info(sock: HasOptions | None) -> TcpInfo | None:
    """The present state of a connection.

    Returns:
        None where there is none to read: no socket, not TCP, closed, or not Linux.
    """
    option = getattr(socket, "TCP_INFO", None)
    if sock is None or option is None:
        return None
    try:
        raw = sock.getsockopt(socket.IPPROTO_TCP, option, _STRUCT_BYTES)
    except (OSError, AttributeError):  # AttributeError: an asyncio stand-in whose socket is gone
        return None
    return parse_tcp_info(raw)


def parse_tcp_info(raw: bytes) -> TcpInfo:
    """Decode `struct tcp_info` of any length."""
    delivery = _field(raw, _DELIVERY_RATE_BYTES_S, "=Q")
    return TcpInfo(
        rtt_ms=_ms(raw, _RTT_US),
        rttvar_ms=_ms(raw, _RTTVAR_US),
        min_rtt_ms=_ms(raw, _MIN_RTT_US),
        rcv_rtt_ms=_ms(raw, _RCV_RTT_US),
        retransmits=_field(raw, _TOTAL_RETRANS, "=I"),
        cwnd=_field(raw, _SND_CWND, "=I"),
        mss_bytes=_field(raw, _SND_MSS, "=I"),
        delivery_mbps=delivery * 8 / 1e6 if delivery else None,
    )


_NO_MIN_RTT_US = 0xFFFFFFFF
"""The kernel's `tcpi_min_rtt` before its first sample."""


def _field(raw: bytes, offset: int, form: str) -> int | None:
    """One integer, None beyond the end."""
    if offset + struct.calcsize(form) > len(raw):
        return None
    return int(struct.unpack_from(form, raw, offset)[0])


def _ms(raw: bytes, offset: int) -> float | None:
    """A time that the kernel keeps in microseconds; None without a sample."""
    value = _field(raw, offset, "=I")
    return value / 1000 if value and value != _NO_MIN_RTT_US else None

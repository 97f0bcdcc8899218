"""What the sender tells the player about their connection, in a `CMSD-Dynamic` header.

CTA-5006 (Common Media Server Data) defines the header as a list with one entry for each server on
the way; an entry is a quoted server name with `;key=value` parameters. Its own keys are `etp`, the
estimated throughput in kbit/s, and `rtt` in whole milliseconds. Keys of our own carry a prefix, as
the specification asks: `streambed-rtt` is the same round-trip time with microseconds,
`streambed-retransmits` the segments sent again on this connection so far.

    CMSD-Dynamic: "streambed";etp=4312;rtt=80;streambed-rtt=80.472;streambed-retransmits=3
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from player.transport.tcp_info import TcpInfo

HEADER = "CMSD-Dynamic"
SERVER = "streambed"


@dataclass(frozen=True, slots=True)
class SenderInfo:
    """The sender's view of the connection when it began to answer. None: not told."""

    rtt_ms: float | None = None
    """Smoothed round-trip time."""
    retransmits: int | None = None
    """Segments sent again since the connection began."""
    delivery_mbps: float | None = None
    """Delivery rate estimate, 10^6 bits a second."""


def encode(info: TcpInfo | None) -> str:
    """The header's value; what is unknown is left out."""
    parts = [f'"{SERVER}"']
    if info is not None and info.delivery_mbps is not None:
        parts.append(f"etp={round(info.delivery_mbps * 1000)}")
    if info is not None and info.rtt_ms is not None:
        parts.append(f"rtt={round(info.rtt_ms)}")
        parts.append(f"{SERVER}-rtt={info.rtt_ms:.3f}")
    if info is not None and info.retransmits is not None:
        parts.append(f"{SERVER}-retransmits={info.retransmits}")
    return ";".join(parts)


_ENTRY = re.compile(
    r'\s*(?:"(?P<quoted>[^"]*)"|(?P<token>[^\s";,]+))(?P<parameters>(?:\s*;[^,;"]*(?:"[^"]*")?)*)'
)


def decode(value: str | None) -> SenderInfo:
    """Read a header, ours or another server's.

    Of several servers ours is taken, else the last, which is the nearest to the player. A figure
    that is missing or is no number is None: a header is not worth ending a session for.
    """
    entries = list(_ENTRY.finditer(value or ""))
    if not entries:
        return SenderInfo()
    entry = next((e for e in entries if SERVER in (e["quoted"], e["token"])), entries[-1])
    figures: dict[str, str] = {}
    for parameter in entry["parameters"].split(";"):
        key, _, text = parameter.strip().partition("=")
        figures[key] = text.strip()
    rtt_ms = _number(figures.get(f"{SERVER}-rtt"))
    retransmits = _number(figures.get(f"{SERVER}-retransmits"))
    etp_kbps = _number(figures.get("etp"))
    return SenderInfo(
        rtt_ms=_number(figures.get("rtt")) if rtt_ms is None else rtt_ms,
        retransmits=None if retransmits is None else int(retransmits),
        delivery_mbps=None if etp_kbps is None else etp_kbps / 1000,
    )


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None

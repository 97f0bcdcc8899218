"""A call's datagrams: media from the sender, reports and repeat requests from the receiver.

Byte order is the network's. Times are microseconds since the call began; both ends are told when that was.
A media packet carries bytes of no meaning: the media model knows sizes alone.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

MAGIC = 0x5342
PAYLOAD_BYTES = 1200
"""Most that a media datagram holds, our header in it (WebRTC's packets are as long)."""
OVERHEAD_BYTES = 42
"""Ethernet (14, as tc counts), IP (20), UDP (8)."""
WIRE_BYTES = PAYLOAD_BYTES + OVERHEAD_BYTES

MOST_PACKETS = 1024
"""Of a frame: the receiver keeps a bit of each."""
MOST_REPORTED = 256
"""Packets of a report: it has to fit a datagram. What is left over comes with the next one."""
MOST_NACKED = 64
"""Packets that one request asks to repeat."""

MEDIA, REPORT, NACK = 1, 2, 3
KEY, RETRANSMISSION, PADDING = 1, 2, 4
"""Flags of a media packet."""
WANTS_KEY = 1
"""Flag of a report: the receiver can't go on without a key frame."""

LOST_US = 0xFFFFFFFF
"""A reported packet that has not come though a later one has."""

_HEADER = struct.Struct("!HBBIIIIIHH")
HEADER_BYTES = _HEADER.size
_REPORT = struct.Struct("!HBBIIIH")
_NACK = struct.Struct("!HBBH")


class PacketError(ValueError):
    """A datagram that is none of ours."""


@dataclass(frozen=True, slots=True)
class MediaHeader:
    """What stands before a media packet's bytes."""

    seq: int
    """Of all packets sent, repeated ones and padding too."""
    sent_us: int
    frame: int
    captured_us: int
    """When the frame was taken."""
    index: int
    count: int
    """Which of how many packets of the frame."""
    flags: int = 0
    repeats: int = 0
    """Of a retransmission: the `seq` that the packet was first sent with."""

    def packed(self) -> bytes:
        """The header as bytes."""
        return _HEADER.pack(
            MAGIC,
            MEDIA,
            self.flags,
            self.seq,
            self.sent_us,
            self.frame,
            self.captured_us,
            self.repeats,
            self.index,
            self.count,
        )

    @classmethod
    def of(cls, datagram: bytes) -> MediaHeader:
        """Raises:
        PacketError: it is no media packet.
        """
        if len(datagram) < HEADER_BYTES:
            raise PacketError(f"{len(datagram)} bytes; a media packet has {HEADER_BYTES} or more")
        magic, kind, flags, seq, sent, frame, captured, repeats, index, count = _HEADER.unpack_from(datagram)
        if (magic, kind) != (MAGIC, MEDIA):
            raise PacketError(f"magic {magic:#06x}, kind {kind}; no media packet")
        return cls(seq, sent, frame, captured, index, count, flags, repeats)


@dataclass(frozen=True, slots=True)
class Report:
    """The receiver's report: when packets `first_seq`, `first_seq + 1`, … came."""

    number: int
    made_us: int
    first_seq: int
    arrived_us: tuple[int, ...]
    """`LOST_US` for one that has not come."""
    flags: int = 0

    def packed(self) -> bytes:
        """The report as bytes."""
        count = len(self.arrived_us)
        head = _REPORT.pack(MAGIC, REPORT, self.flags, self.number, self.made_us, self.first_seq, count)
        return head + struct.pack(f"!{count}I", *self.arrived_us)

    @classmethod
    def of(cls, datagram: bytes) -> Report:
        """Raises:
        PacketError: it is no report, or one that is cut off.
        """
        if len(datagram) < _REPORT.size:
            raise PacketError(f"{len(datagram)} bytes; a report has {_REPORT.size} or more")
        magic, kind, flags, number, made, first, count = _REPORT.unpack_from(datagram)
        if (magic, kind) != (MAGIC, REPORT) or len(datagram) != _REPORT.size + 4 * count:
            raise PacketError(f"magic {magic:#06x}, kind {kind}, {count} packets; no report")
        arrived = struct.unpack_from(f"!{count}I", datagram, _REPORT.size)
        return cls(number, made, first, arrived, flags)


def packed_nack(seqs: Sequence[int]) -> bytes:
    """A request to repeat packets, `MOST_NACKED` at most."""
    return _NACK.pack(MAGIC, NACK, 0, len(seqs)) + struct.pack(f"!{len(seqs)}I", *seqs)


def nacked(datagram: bytes) -> tuple[int, ...]:
    """The packets that are asked for.

    Raises:
        PacketError: it is no such request, or one that is cut off.
    """
    if len(datagram) < _NACK.size:
        raise PacketError(f"{len(datagram)} bytes; a request has {_NACK.size} or more")
    magic, kind, _, count = _NACK.unpack_from(datagram)
    if (magic, kind) != (MAGIC, NACK) or len(datagram) != _NACK.size + 4 * count:
        raise PacketError(f"magic {magic:#06x}, kind {kind}, {count} packets; no request to repeat")
    return struct.unpack_from(f"!{count}I", datagram, _NACK.size)


def kind_of(datagram: bytes) -> int:
    """`MEDIA`, `REPORT`, `NACK`, or 0 for what isn't ours."""
    if len(datagram) < 4 or int.from_bytes(datagram[:2], "big") != MAGIC:
        return 0
    return datagram[2]

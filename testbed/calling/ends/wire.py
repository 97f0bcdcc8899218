"""`player/call/packets.py` as compiled code writes and reads it: the same bytes (a test holds them equal)."""

from __future__ import annotations

from typing import Any

import numpy as np

from player.call.media.receiver_state import Record, Ring
from player.call.packets import HEADER_BYTES, LOST_US, MAGIC, MEDIA, NACK, REPORT
from player.compiled.compiled import compiled

Bytes = Any
"""uint8 array."""

REPORT_HEAD_BYTES, NACK_HEAD_BYTES = 18, 6
NOT_OURS = 0

_US = 1e6
_WRAPS = 1 << 32


@compiled
def put_short(data: Bytes, at: int, value: int) -> None:
    data[at], data[at + 1] = (value >> 8) & 255, value & 255


@compiled
def put_word(data: Bytes, at: int, value: int) -> None:
    put_short(data, at, (value >> 16) & 65535)
    put_short(data, at + 2, value & 65535)


@compiled
def short(data: Bytes, at: int) -> Any:
    return np.int64(data[at]) << 8 | np.int64(data[at + 1])


@compiled
def word(data: Bytes, at: int) -> Any:
    return short(data, at) << 16 | short(data, at + 2)


@compiled
def microseconds(time_s: float) -> Any:
    """As the wire has a time."""
    return np.int64(max(np.rint(time_s * _US), 0.0)) % _WRAPS


@compiled
def kind_of(data: Bytes, length: int) -> Any:
    """`MEDIA`, `REPORT`, `NACK` of a datagram as long as it says it is; `NOT_OURS` for all else."""
    if length < 4 or short(data, 0) != MAGIC:
        return NOT_OURS
    kind = np.int64(data[2])
    whole = (
        (kind == MEDIA and length >= HEADER_BYTES)
        or (
            kind == REPORT
            and length >= REPORT_HEAD_BYTES
            and length == REPORT_HEAD_BYTES + 4 * short(data, 16)
        )
        or (kind == NACK and length >= NACK_HEAD_BYTES and length == NACK_HEAD_BYTES + 4 * short(data, 4))
    )
    return kind if whole else NOT_OURS


@compiled
def put_media(data: Bytes, packet: Record) -> int:
    """Write a packet of `sender_state.PACKET`; the datagram's length. What follows the header means
    nothing."""
    put_short(data, 0, MAGIC)
    data[2], data[3] = MEDIA, packet.flags
    put_word(data, 4, packet.seq)
    put_word(data, 8, microseconds(packet.sent_s))
    put_word(data, 12, packet.frame)
    put_word(data, 16, microseconds(packet.captured_s))
    put_word(data, 20, packet.repeats)
    put_short(data, 24, packet.index)
    put_short(data, 26, packet.count)
    return packet.size_bytes


@compiled
def take_media(data: Bytes, length: int, packet: Record) -> None:
    """Read a packet of media."""
    packet.flags = np.int64(data[3])
    packet.seq = word(data, 4)
    packet.sent_s = word(data, 8) / _US
    packet.frame = word(data, 12)
    packet.captured_s = word(data, 16) / _US
    packet.repeats = word(data, 20)
    packet.index, packet.count = short(data, 24), short(data, 26)
    packet.size_bytes = length


@compiled
def put_report(
    data: Bytes, arrivals: Ring, number: int, first: int, count: int, flags: int, made_s: float
) -> int:
    """Write a report on `count` packets from `first` on; the datagram's length."""
    put_short(data, 0, MAGIC)
    data[2], data[3] = REPORT, flags
    put_word(data, 4, number)
    put_word(data, 8, microseconds(made_s))
    put_word(data, 12, first)
    put_short(data, 16, count)
    for place in range(count):
        slot = arrivals[(first + place) & (len(arrivals) - 1)]
        at_us = microseconds(slot.at_s) if slot.seq == first + place else LOST_US
        put_word(data, REPORT_HEAD_BYTES + 4 * place, at_us)
    return REPORT_HEAD_BYTES + 4 * count


@compiled
def take_report(data: Bytes, arrivals: Ring) -> tuple[Any, Any, Any, Any, Any]:
    """Read a report: its packets into `arrivals`; (number, first, count, flags, made_s)."""
    first, count = word(data, 12), short(data, 16)
    for place in range(count):
        at_us = word(data, REPORT_HEAD_BYTES + 4 * place)
        slot = arrivals[(first + place) & (len(arrivals) - 1)]
        slot.seq = -1 if at_us == LOST_US else first + place
        slot.at_s = at_us / _US
    return word(data, 4), first, count, np.int64(data[3]), word(data, 8) / _US


@compiled
def put_nack(data: Bytes, seqs: Any, count: int) -> int:
    """Write a request to repeat the first `count` of `seqs`; the datagram's length."""
    put_short(data, 0, MAGIC)
    data[2], data[3] = NACK, 0
    put_short(data, 4, count)
    for place in range(count):
        put_word(data, NACK_HEAD_BYTES + 4 * place, seqs[place])
    return NACK_HEAD_BYTES + 4 * count

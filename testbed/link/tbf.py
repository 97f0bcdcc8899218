"""A token bucket (tc-tbf) on one interface, changed in place and read over netlink.

Changing the rate of 16 lanes at the same instant has to take microseconds, and a general library
takes a fraction of a millisecond for each (`python -m tests.netlink_benchmark` compares), so the two messages
that a replay sends are packed here. Layouts: <linux/rtnetlink.h>, <linux/pkt_sched.h>,
<linux/gen_stats.h>. A test reads them back with pyroute2.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from dataclasses import dataclass

from testbed.link.namespace import network_namespace
from testbed.process.errors import TestbedError

FRAME_BYTES = 1514
"""A full Ethernet frame as tc counts it: 1500 bytes of IP and a 14-byte header."""

DARK_BYTES_PER_S = 1
"""A dark link: at this rate a full frame takes 25 minutes."""

_RTM_NEWQDISC, _RTM_GETQDISC, _NLMSG_ERROR = 36, 38, 2
_REQUEST, _ACK, _ECHO, _EXCLUSIVE, _CREATE = 0x1, 0x4, 0x8, 0x200, 0x400
_ROOT, HANDLE = 0xFFFFFFFF, 0x10000  # 1:
_TCA_KIND, _TCA_OPTIONS, _TCA_STATS2 = 1, 2, 7
_TBF_PARMS, _TBF_RATE64, _TBF_BURST = 1, 4, 6
_STATS_BASIC, _STATS_QUEUE = 1, 3
_TBF = b"tbf\0"
_LINKLAYER_ETHERNET = 1
_TICK_NS = 64
"""The packet scheduler's tick (net/pkt_sched.h, PSCHED_SHIFT 6)."""

_TICKS_TOLERANCE = 0.002
"""The kernel divides by multiplying: its bucket is off by as much as this. (A dark link's overflows.)"""

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_TCMSG = struct.Struct("=BxxxiIII")  # family, ifindex, handle, parent, info
_RATESPEC = struct.Struct("=BBHhHI")  # cell_log, linklayer, overhead, cell_align, mpu, rate
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_MAX_U32 = 0xFFFFFFFF
_ANSWER_TIMEOUT_S = 5.0
"""The kernel answers within the send itself; silence means a kernel that speaks otherwise."""


@dataclass(frozen=True, slots=True)
class Counters:
    """What the kernel says of the qdisc, all counted since it was made."""

    sent_bytes: int
    sent_packets: int
    backlog_bytes: int
    drops: int
    rate_bytes_per_s: int
    """The rate in force."""
    limit_bytes: int = 0
    """The queue in force."""
    buffer_ticks: int = 0
    """The bucket in force, as the time that its bytes take (64 ns each)."""


def bytes_per_s(rate_mbps: float) -> int:
    """Mbit/s as the kernel wants it; 0 becomes the floor of a dark link."""
    return max(round(rate_mbps * 1e6 / 8), DARK_BYTES_PER_S)


class TokenBucket:
    """One tbf with a byte queue (its own bfifo) at the root of an interface.

    Args:
        pid: a process in the interface's namespace.
        interface: its name there.

    Raises:
        TestbedError: no such interface, or the kernel refuses (the reason is in the message).
    """

    def __init__(self, pid: int, interface: str) -> None:
        self.interface = interface
        with network_namespace(pid):
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
            try:
                self._index = socket.if_nametoindex(interface)
                self._kicker = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
                self._kicker.bind((interface, 0))
            except OSError as error:
                self._socket.close()
                raise TestbedError(f"cannot shape {interface}: {error.strerror or error}") from None
        self._socket.bind((0, 0))
        self._socket.settimeout(_ANSWER_TIMEOUT_S)
        self._sequence = 0
        self._ours = (0, 0, 0)
        self._get = _TCMSG.pack(socket.AF_UNSPEC, self._index, HANDLE, _ROOT, 0)

    def _ask(self, kind: int, flags: int, body: bytes) -> bytes:
        """Send one request and return the body of its answer (empty for a plain acknowledgement)."""
        self._sequence += 1
        length = _HEADER.size + len(body)
        self._socket.send(_HEADER.pack(length, kind, flags | _REQUEST, self._sequence, 0) + body)
        while True:
            try:
                answer = self._socket.recv(65536)
            except TimeoutError:
                raise TestbedError(f"the kernel does not answer about the tbf on {self.interface}") from None
            _, answer_kind, _, sequence, _ = _HEADER.unpack_from(answer)
            if sequence != self._sequence:
                continue
            if answer_kind == _NLMSG_ERROR:
                code = -struct.unpack_from("=i", answer, _HEADER.size)[0]
                if code:
                    raise TestbedError(f"the kernel refused a tbf on {self.interface}: {os.strerror(code)}")
                return b""
            return answer[_HEADER.size :]

    def _set(self, flags: int, rate: int, burst_bytes: int, limit_bytes: int) -> None:
        buffer_ticks = min(burst_bytes * 1_000_000_000 // rate // _TICK_NS, _MAX_U32)
        self._ours = (rate, limit_bytes, buffer_ticks)
        parms = (
            _RATESPEC.pack(0, _LINKLAYER_ETHERNET, 0, 0, 0, min(rate, _MAX_U32))
            + bytes(_RATESPEC.size)
            + struct.pack("=III", limit_bytes, buffer_ticks, 0)
        )
        options = _attribute(_TBF_PARMS, parms) + _attribute(_TBF_BURST, struct.pack("=I", burst_bytes))
        if rate > _MAX_U32:
            options += _attribute(_TBF_RATE64, struct.pack("=Q", rate))
        body = self._get + _attribute(_TCA_KIND, _TBF) + _attribute(_TCA_OPTIONS, options)
        self._ask(_RTM_NEWQDISC, flags | _ACK, body)

    def create(self, rate_mbps: float, burst_bytes: int, limit_bytes: int) -> None:
        """Put the bucket on the interface; `limit_bytes` is the queue."""
        self._set(_CREATE | _EXCLUSIVE, bytes_per_s(rate_mbps), burst_bytes, limit_bytes)

    def change(self, rate_mbps: float, burst_bytes: int, limit_bytes: int) -> None:
        """Change it in place: what is queued stays queued."""
        self._set(0, bytes_per_s(rate_mbps), burst_bytes, limit_bytes)

    def kick(self) -> None:
        """Send one 60-byte frame of no protocol through the queue.

        tbf sleeps until the head of its queue fits the *old* rate and a change does not wake it; an
        arriving frame does, even one that finds the queue full and is dropped. After a dark period
        there may be no other for seconds (TCP backs off).
        """
        try:
            self._kicker.send(_KICK)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise

    def read(self) -> Counters:
        """The kernel's counters and the rate in force.

        Raises:
            TestbedError: another qdisc stands where the tbf was.
            OSError: the kernel refuses, or the interface is gone.
        """
        answer = self._ask(_RTM_GETQDISC, _ECHO, self._get)
        fields = _attributes(answer, _TCMSG.size, len(answer))
        if answer[slice(*fields[_TCA_KIND])] != _TBF:
            raise TestbedError(f"the tbf on {self.interface} has been replaced by another qdisc")
        stats = _nested(answer, fields[_TCA_STATS2])
        options = _nested(answer, fields[_TCA_OPTIONS])
        sent_bytes, sent_packets = struct.unpack_from("=QI", answer, stats[_STATS_BASIC][0])
        _, backlog, drops, _, _ = struct.unpack_from("=IIIII", answer, stats[_STATS_QUEUE][0])
        parms = options[_TBF_PARMS][0]
        if _TBF_RATE64 in options:
            rate = struct.unpack_from("=Q", answer, options[_TBF_RATE64][0])[0]
        else:
            rate = _RATESPEC.unpack_from(answer, parms)[5]
        limit, ticks, _ = struct.unpack_from("=III", answer, parms + 2 * _RATESPEC.size)
        return Counters(sent_bytes, sent_packets, backlog, drops, rate, limit, ticks)

    def foreign(self, counters: Counters) -> str:
        """What of rate, queue and bucket, as read, is not what this object set last, in words; empty if all
        is."""
        rate, limit, ticks = self._ours
        if counters.rate_bytes_per_s != rate:
            return f"a rate of {counters.rate_bytes_per_s} bytes/s where {rate} were set"
        if counters.limit_bytes != limit:
            return f"a queue of {counters.limit_bytes} bytes where {limit} were set"
        if ticks < _MAX_U32 and abs(counters.buffer_ticks - ticks) > 2 + ticks * _TICKS_TOLERANCE:
            in_force = counters.buffer_ticks * _TICK_NS * counters.rate_bytes_per_s / 1e9
            return f"a bucket of {in_force:.0f} bytes that nobody here set"
        return ""

    def close(self) -> None:
        """Close our sockets; the qdisc stays with its interface."""
        self._socket.close()
        self._kicker.close()


_KICK = b"\xff" * 6 + b"\x02\0\0\0\0\x01" + b"\x88\xb5" + bytes(46)
"""A broadcast frame of the local experimental EtherType (IEEE 802, 88-B5)."""


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def _attributes(data: bytes, start: int, end: int) -> dict[int, tuple[int, int]]:
    """Kind -> (start, end) of the value of each attribute in data[start:end]."""
    found = {}
    while start + _ATTRIBUTE.size <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, start)
        if length < _ATTRIBUTE.size:
            break
        found[kind & 0x3FFF] = (start + _ATTRIBUTE.size, start + length)
        start += (length + 3) & ~3
    return found


def _nested(data: bytes, span: tuple[int, int]) -> dict[int, tuple[int, int]]:
    return _attributes(data, *span)

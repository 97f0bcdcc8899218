"""The kernel, as compiled code asks it: clocks, datagrams, waiting.

A real call's ends are compiled loops (`sending.py`, `receiving.py`) that never touch Python, so that neither
its interpreter lock nor a user's policy can make media late. They call libc by name; pointers are passed as
whole numbers. Layouts are those of 64-bit Linux.
"""

from __future__ import annotations

import socket
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from player.compiled.compiled import compiled

CLOCK_REALTIME, CLOCK_MONOTONIC = 0, 1
MSG_DONTWAIT = 0x40
POLLIN = 1
SO_TIMESTAMPNS = 35
"""<asm-generic/socket.h>: the kernel stamps each datagram as it arrives."""
SO_RCVBUFFORCE = 33
DATAGRAM_BYTES = 2048
"""Room for one; ours are shorter."""
BUFFER_BYTES = 8 << 20
"""What may wait in the kernel while a process is away."""

_CONTROL_BYTES = 64
_STAMP_S, _STAMP_NS = 2, 3
"""Where a control message has its timespec: 64-bit words after its length, level and type."""
_IOVEC, _IOVECS, _CONTROL, _CONTROL_LENGTH = 2, 3, 4, 5
"""Words of a struct msghdr."""

_word = types.uintp
_clock_gettime: Any = types.ExternalFunction("clock_gettime", types.int32(types.int32, _word))
_send: Any = types.ExternalFunction("send", types.intp(types.int32, _word, _word, types.int32))
_recvmsg: Any = types.ExternalFunction("recvmsg", types.intp(types.int32, _word, types.int32))
_ppoll: Any = types.ExternalFunction("ppoll", types.int32(_word, _word, _word, _word))
_read: Any = types.ExternalFunction("read", types.intp(types.int32, _word, _word))
_write: Any = types.ExternalFunction("write", types.intp(types.int32, _word, _word))


class Port(NamedTuple):
    """A socket as compiled code holds it; its arrays are pointed at by others of them, so they stay."""

    number: NDArray[np.int64]
    """(1,) its descriptor."""
    data: NDArray[np.uint8]
    """The datagram that came last."""
    out: NDArray[np.uint8]
    """The one that goes next."""
    control: NDArray[np.int64]
    vector: NDArray[np.uint64]
    header: NDArray[np.uint64]
    polled: NDArray[np.int32]
    """Two of struct pollfd: the socket, and an eventfd by which others of the process wake it."""
    woken: NDArray[np.uint64]
    time: NDArray[np.int64]
    """A timespec, for whatever needs one."""
    offset_ns: NDArray[np.int64]
    """(1,) of the wall clock, which stamps, over the monotonic one."""


def port_of(opened: socket.socket, wakes: int = -1) -> Port:
    """A UDP socket that is connected, its datagrams stamped; `wakes`: an eventfd that ends a `wait`."""
    opened.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    try:
        opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
    except PermissionError:  # not root, in a test
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    data, control = np.zeros(DATAGRAM_BYTES, np.uint8), np.zeros(_CONTROL_BYTES // 8, np.int64)
    vector = np.array([data.ctypes.data, DATAGRAM_BYTES], np.uint64)
    header = np.zeros(7, np.uint64)
    header[_IOVEC], header[_IOVECS], header[_CONTROL] = vector.ctypes.data, 1, control.ctypes.data
    polled = np.array([opened.fileno(), POLLIN, wakes, POLLIN], np.int32)
    number, offset = np.array([opened.fileno()]), np.zeros(1, np.int64)
    out, time = np.zeros(DATAGRAM_BYTES, np.uint8), np.zeros(2, np.int64)
    return Port(number, data, out, control, vector, header, polled, np.zeros(1, np.uint64), time, offset)


@compiled
def clock_ns(port: Port, clock: int) -> Any:
    """What a clock says."""
    _clock_gettime(np.int32(clock), port.time.ctypes.data)
    return port.time[0] * 1000000000 + port.time[1]


@compiled
def know_clocks(port: Port) -> Any:
    """The monotonic time in ns, and how far the wall clock is ahead; of two readings the quicker."""
    best = np.int64(1) << np.int64(62)
    now = np.int64(0)
    for _ in range(2):
        before = clock_ns(port, CLOCK_MONOTONIC)
        wall = clock_ns(port, CLOCK_REALTIME)
        now = clock_ns(port, CLOCK_MONOTONIC)
        if now - before < best:
            best = now - before
            port.offset_ns[0] = wall - (before + now) // 2
    return now


@compiled
def put_out(port: Port, length: int) -> bool:
    """Send the first bytes of `port.out`; whether the kernel took them. An error that an earlier datagram met
    is told once, so it is tried again once."""
    for _ in range(2):
        sent = _send(np.int32(port.number[0]), port.out.ctypes.data, length, np.int32(MSG_DONTWAIT))
        if sent == length:
            return True
    return False


@compiled
def take_in(port: Port) -> tuple[int, int]:
    """The next datagram that has come, into `port.data`: its length, and when it came in monotonic ns.
    Length -1: there is none."""
    port.header[_CONTROL_LENGTH] = np.uint64(_CONTROL_BYTES)
    length = _recvmsg(np.int32(port.number[0]), port.header.ctypes.data, np.int32(MSG_DONTWAIT))
    if length < 0:
        return -1, 0
    stamp = port.control[_STAMP_S] * 1000000000 + port.control[_STAMP_NS]
    return length, stamp - port.offset_ns[0]


@compiled
def wait(port: Port, rest_s: float) -> None:
    """Until something comes, somebody wakes it, or so long; to the resolution of the kernel's timers."""
    rest_ns = np.int64(max(rest_s, 0.0) * 1e9)
    port.time[0], port.time[1] = rest_ns // 1000000000, rest_ns % 1000000000
    _ppoll(port.polled.ctypes.data, np.uint64(2), port.time.ctypes.data, np.uint64(0))
    if port.polled[3] >> 16:  # what came of it stands in the upper half
        _read(port.polled[2], port.woken.ctypes.data, np.uint64(8))


@compiled
def notify(port: Port, descriptor: int) -> None:
    """Add one to an eventfd."""
    port.time[0] = 1
    _write(np.int32(descriptor), port.time.ctypes.data, np.uint64(8))

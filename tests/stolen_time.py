"""Take a machine's processors away for moments, as a hypervisor does that lends them to others.

    sudo python -m tests.stolen_time --share 5 --seconds 60

A quiet machine can't show what stolen time does to a link, and a busy process can't either: it yields to
interrupts and to whoever runs in real time. This one sends itself datagrams over the loopback, and a
filter in the kernel (bpf(2)) spins on each for as many milliseconds as the datagram says. It spins in a
softirq: on that processor no process runs meanwhile, no packet leaves and no queue is served. Moments come
at random, on each processor by itself.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import platform
import random
import socket
import struct
import sys
import time
from collections.abc import Iterator, Sequence

from traces.bound_processes import die_with_parent

_BPF_SYSCALL = {"x86_64": 321, "aarch64": 280}
_MAP_CREATE, _MAP_UPDATE, _PROG_LOAD = 0, 2, 5
"""<linux/bpf.h>: commands."""
_PROG_ARRAY, _SOCKET_FILTER = 3, 1
_TAIL_CALL, _KTIME_NS = 12, 5
"""<linux/bpf.h>: helpers."""
_SO_ATTACH_BPF = 50
_CB = 48
"""Offset of `cb` in struct __sk_buff."""

LONGEST_MS = 30
"""The kernel follows at most 33 tail calls, each of a millisecond."""
SHORTEST_MS = 1

_LOOKS, _SPINS = 300, 400
"""Within a millisecond the clock is read at most this often, three times what it takes where a reading is
25 ns (with too few a moment ends early); the verifier follows every turn of a loop."""
_MS_NS = 1_000_000


def _op(code: int, dst: int = 0, src: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("=BBhi", code, src << 4 | dst, offset, value)


def _bpf(command: int, attributes: bytes) -> int:
    """One bpf(2) call; raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(attributes.ljust(144, b"\0"))
    answer = libc.syscall(_BPF_SYSCALL[platform.machine()], command, buffer, len(buffer) - 1)
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(answer)


def _load(instructions: bytes) -> int:
    """A socket filter's descriptor."""
    code = ctypes.create_string_buffer(instructions)
    licence = ctypes.create_string_buffer(b"GPL")
    count = len(instructions) // 8
    attributes = struct.pack(
        "=IIQQ", _SOCKET_FILTER, count, ctypes.addressof(code), ctypes.addressof(licence)
    )
    return _bpf(_PROG_LOAD, attributes)


def _tail_call(jumps: int) -> bytes:
    """Go on in the program that map `jumps` holds at 0 (r6 holds the context)."""
    return (
        _op(0xBF, 1, 6)  # r1 = r6
        + _op(0x18, 2, 1, 0, jumps)  # r2 = the map
        + _op(0)
        + _op(0xB7, 3)  # r3 = 0
        + _op(0x85, value=_TAIL_CALL)
    )


_END = _op(0xB7, 0, value=0) + _op(0x95)
"""r0 = 0 (nothing of the packet is kept); exit"""


def _spinning(jumps: int) -> bytes:
    """Spin for a millisecond, then again, until `cb[0]` milliseconds have passed."""
    inner = _op(0x85, value=_KTIME_NS) + _op(0x07, 8, value=1) + _op(0xA5, 8, offset=-3, value=_SPINS)
    look = (
        _op(0xB7, 8, value=0)  # r8 = 0
        + inner
        + _op(0x1F, 0, 7)  # r0 -= r7
        + _op(0x25, 0, offset=2, value=_MS_NS)  # a millisecond is over: leave the loop
        + _op(0x07, 9, value=1)  # r9 += 1
    )
    back = -(len(look) // 8 + 1)
    return (
        _op(0xBF, 6, 1)  # r6 = context
        + _op(0x85, value=_KTIME_NS)
        + _op(0xBF, 7, 0)  # r7 = begun
        + _op(0xB7, 9, value=0)  # r9 = 0
        + look
        + _op(0xA5, 9, offset=back, value=_LOOKS)
        + _op(0x61, 2, 6, _CB)  # r2 = cb[0]
        + _op(0x07, 2, value=-1)
        + _op(0x63, 6, 2, _CB)  # cb[0] = r2
        + _op(0x15, 2, offset=5)  # none left: end
        + _tail_call(jumps)
        + _END
    )


def _entering(jumps: int) -> bytes:
    """Read how many milliseconds the datagram (UDP header first) asks for, and begin to spin."""
    return (
        _op(0xBF, 6, 1)
        + _op(0x30, value=8)  # r0 = first byte after the UDP header
        + _op(0x63, 6, 0, _CB)
        + _tail_call(jumps)
        + _END
    )


@contextlib.contextmanager
def taker() -> Iterator[socket.socket]:
    """A socket that takes its processor away for as many ms as the byte says that is sent over it.

    Raises:
        OSError: this kernel has no such filters, or we are not root.
    """
    jumps = _bpf(_MAP_CREATE, struct.pack("=IIII", _PROG_ARRAY, 4, 4, 1))
    spin, enter = _load(_spinning(jumps)), _load(_entering(jumps))
    key, value = ctypes.c_uint32(0), ctypes.c_uint32(spin)
    _bpf(_MAP_UPDATE, struct.pack("=IIQQQ", jumps, 0, ctypes.addressof(key), ctypes.addressof(value), 0))
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiving,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending,
    ):
        receiving.bind(("127.0.0.1", 0))
        receiving.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_BPF, enter)
        sending.connect(receiving.getsockname())
        try:
            yield sending
        finally:
            for descriptor in (jumps, spin, enter):
                os.close(descriptor)


def take(processor: int, share: float, mean_ms: float, seconds: float, seed: int) -> float:
    """Take `share` of a processor away, in moments of `mean_ms` in the mean; what was taken, as a share."""
    os.sched_setaffinity(0, {processor})
    draw = random.Random(seed)
    begun, taken_s = time.monotonic(), 0.0
    with taker() as sending:
        while (now := time.monotonic()) - begun < seconds:
            length_ms = min(max(round(draw.expovariate(1 / mean_ms)), SHORTEST_MS), LONGEST_MS)
            sending.send(bytes([length_ms]))
            taken_s += time.monotonic() - now
            time.sleep(draw.expovariate(share / (1 - share) / (mean_ms / 1000)))
    return taken_s / (time.monotonic() - begun)


def main(arguments: Sequence[str] | None = None) -> int:
    command = argparse.ArgumentParser(description="Take the processors away for moments.")
    command.add_argument("--share", type=float, default=5.0, help="per cent of each processor (default: 5)")
    command.add_argument("--mean-ms", type=float, default=5.0, help="of a moment (default: 5)")
    command.add_argument("--seconds", type=float, default=60.0)
    command.add_argument("--seed", type=int, default=1)
    args = command.parse_args(arguments)
    for name, least, most in (
        ("share", 0.1, 90.0),
        ("mean_ms", SHORTEST_MS, LONGEST_MS),
        ("seconds", 0.0, 1e6),
    ):
        if not least <= getattr(args, name) <= most:
            command.error(
                f"--{name.replace('_', '-')} {getattr(args, name):g}: expected {least:g} to {most:g}"
            )
    if os.geteuid() != 0:
        command.error("this loads a program into the kernel: run it as root, with sudo")
    for number in sorted(os.sched_getaffinity(0)):
        if os.fork() == 0:
            die_with_parent()
            taken = take(number, args.share / 100, args.mean_ms, args.seconds, args.seed + number)
            print(f"processor {number}: {100 * taken:.1f} % taken", flush=True)
            os._exit(0)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())

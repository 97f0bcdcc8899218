"""Enter another process's network namespace for a moment.

A socket belongs for good to the namespace in which it was made, so one process can hold sockets in
many lanes: enter, open, come back. (`os.setns` exists from Python 3.12 on only.)
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.process.errors import TestbedError

CLONE_NEWNET = 0x40000000
"""<linux/sched.h>"""

_libc = ctypes.CDLL(None, use_errno=True)


def _set_namespace(descriptor: int, what: str) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        error = os.strerror(ctypes.get_errno())
        raise TestbedError(f"cannot enter {what}: {error}; run as root")


@contextmanager
def network_namespace(pid: int) -> Iterator[None]:
    """The calling thread lives in process `pid`'s network namespace inside the block.

    Raises:
        TestbedError: the process is gone or we may not enter.
    """
    own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        target = os.open(Path(f"/proc/{pid}/ns/net"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        os.close(own)
        raise TestbedError(f"cannot open the network namespace of process {pid}: {error.strerror}") from None
    try:
        _set_namespace(target, f"the network namespace of process {pid}")
        try:
            yield
        finally:
            _set_namespace(own, "our own network namespace again")
    finally:
        os.close(target)
        os.close(own)

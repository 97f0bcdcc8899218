"""A process that is forked from this one, with as much of `subprocess.Popen` as `apart.py` asks for.

What is imported here is there, too, on the same pages of memory. Threads are not: nobody may hold a lock
while it is forked.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

STANDARD_INPUT, STANDARD_OUTPUT, STANDARD_ERROR = 0, 1, 2


class ForkedProcess:
    """Begins at once.

    Args:
        work: what it does; returns its exit status.
        begin: its first words.

    Raises:
        OSError: the machine has no room for one more.
    """

    def __init__(self, work: Callable[[], int], begin: Callable[[], None]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        gc.collect()
        gc.freeze()  # a collection would write into every page that is shared
        self._status: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            _become(work, begin)
        self._ends = os.pidfd_open(self.pid)

    def poll(self) -> int | None:
        """Its exit status, or the negative number of a signal; None while it runs."""
        if self._status is None and select.select([self._ends], [], [], 0.0)[0]:
            self._take()
        return self._status

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, so many seconds at most; the same.

        Raises:
            subprocess.TimeoutExpired: it runs still.
        """
        if self._status is None:
            if not select.select([self._ends], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("forked", timeout or 0.0)
            self._take()
        assert self._status is not None
        return self._status

    def kill(self) -> None:
        """End it now, if it runs."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def _take(self) -> None:
        """What it ended with; nobody has to look for its end any more."""
        self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self._ends)


def _become(work: Callable[[], int], begin: Callable[[], None]) -> NoReturn:
    """What the process does, from its first instruction to its last."""
    status = 1
    try:
        begin()
        nowhere = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nowhere, STANDARD_INPUT)
        os.close(nowhere)
        os.dup2(STANDARD_ERROR, STANDARD_OUTPUT)  # what it might print is no answer
        status = work()
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)

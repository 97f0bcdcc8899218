"""Processes that live no longer than who started them, however that one dies.

The kernel is asked to kill a child the moment its parent is gone (prctl(2), PR_SET_PDEATHSIG). Asked too
late, when the parent is gone already, it does nothing; so whoever asks looks afterwards whose child it is.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import popen_spawn_posix, spawn, util
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

_PR_SET_PDEATHSIG = 1
"""<linux/prctl.h>"""

_libc = ctypes.CDLL(None, use_errno=True)

_forking = os.getpid()


def _note_who_forks() -> None:
    global _forking
    _forking = os.getpid()


os.register_at_fork(before=_note_who_forks)


def die_with_parent() -> None:
    """For `preexec_fn`: the kernel kills this child the moment its parent is gone.

    So even `kill -9` of a run leaves nothing of ours: no process, hence no namespace, no interface, no
    qdisc. (What a user's policy starts by itself is the policy's to bind; a run that ends in order ends
    that too.)
    """
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = _parent()
    if parent is not None and os.getppid() != parent:  # it died before the call
        os._exit(1)


def _parent() -> int | None:
    """Who started this process, as far as it knows: it was forked, or is a worker of a pool."""
    if os.getpid() != _forking:
        return _forking
    spawner = multiprocessing.parent_process()
    return None if spawner is None else spawner.pid


_FIRST_WORDS = (
    "import ctypes,os,signal; os.setsid(); signal.signal(signal.SIGINT,signal.SIG_IGN); "
    f"ctypes.CDLL(None).prctl({_PR_SET_PDEATHSIG},{int(signal.SIGKILL)}); "
    "os.getppid()=={parent} or os._exit(1); "
)
"""What a worker does before it imports anything: with us it may take seconds until it is asked to work."""

_launching = threading.Lock()


class _BoundPopen(popen_spawn_posix.Popen):
    """Starts a worker with our first words before those of multiprocessing."""

    def _launch(self, process_obj: Any) -> None:
        usual = spawn.get_command_line

        def bound(**handles: Any) -> list[str]:
            words = usual(**handles)
            program = words.index("-c") + 1
            words[program] = _FIRST_WORDS.format(parent=os.getpid()) + words[program]
            return words

        with _launching:
            spawn.get_command_line = bound
            try:
                super()._launch(process_obj)  # type: ignore[misc]
            finally:
                spawn.get_command_line = usual
        self._notice_its_end()

    def _notice_its_end(self) -> None:
        """By the process itself: multiprocessing waits for a pipe to close, which a process that the worker
        has started may hold open for ever."""
        with contextlib.suppress(OSError):  # a kernel without such descriptors
            self.sentinel = os.pidfd_open(self.pid)
            util.Finalize(self, os.close, (self.sentinel,))


class _BoundProcess(SpawnProcess):
    def run(self) -> None:
        """As ever; but the end waits for no thread and no process that the work has left behind."""
        super().run()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # closed, or nobody reads it any more
                stream.flush()
        os._exit(0)

    @staticmethod
    def _Popen(process_obj: Any) -> _BoundPopen:  # multiprocessing's name
        return _BoundPopen(process_obj)


class _BoundContext(SpawnContext):
    """Makes such processes and remembers them."""

    def __init__(self) -> None:
        super().__init__()
        self._made: list[_BoundProcess] = []

    def Process(self, *args: Any, **options: Any) -> _BoundProcess:  # type: ignore[override]
        made = _BoundProcess(*args, **options)
        self._made.append(made)
        return made

    def end_groups(self) -> None:
        """Kill what workers have started and left, and the workers."""
        for process in self._made:
            with contextlib.suppress(OSError):
                os.killpg(process.pid or _NOBODY, signal.SIGKILL)


_NOBODY = 2**22 + 1
"""Beyond the largest number that Linux gives a process."""


@contextlib.contextmanager
def worker_pool(processes: int, begin: Callable[[], None] | None = None) -> Iterator[ProcessPoolExecutor]:
    """New processes that work for this one, hear no Ctrl-C, and die with it from their first instruction on.

    On the way out what they have not begun is dropped; what they are at is waited for, but not where this
    process was told to end: then they are killed. What they have started and not ended goes with them.

    Args:
        begin: called in each before its first work.
    """
    context = _BoundContext()
    pool = ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(begin,))
    try:
        yield pool
    except BrokenProcessPool:
        context.end_groups()
        raise
    except Exception:
        raise
    except BaseException:
        _kill(pool)
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        context.end_groups()


def _begin(begin: Callable[[], None] | None) -> None:
    die_with_parent()
    if begin is not None:
        begin()


def _kill(pool: ProcessPoolExecutor) -> None:
    for process in list((pool._processes or {}).values()):
        process.kill()

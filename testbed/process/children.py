"""Processes that we start: they die with us, however we die, and Ctrl-C does not reach them."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The project: on every child's path, wherever the user stands."""

_libc = ctypes.CDLL(None, use_errno=True)

SHAPER_PRIORITY = 20
RELAY_PRIORITY = 10
FILLER_PRIORITY = 5
CALL_PRIORITY = 5
"""SCHED_FIFO: a rate change and a due frame go before any player or server, in this order; and before what
fills the links while they are measured, or a call's two ends."""


def python_in(pid: int, *arguments: str) -> list[str]:
    """Command line of this Python in the namespaces of process `pid`.

    `-P`: a `player.py` where the user happens to stand must not shadow ours.
    """
    return ["mnexec", "-a", str(pid), sys.executable, "-P", *arguments]


def environment() -> dict[str, str]:
    """A child's environment: ours, with the project first on its path."""
    theirs = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{theirs}" if theirs else str(ROOT)}


def allow_many_files() -> None:
    """Raise our soft limit of open files to the hard one: every lane takes a dozen."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


_MCL_CURRENT, _MCL_FUTURE = 1, 2
"""<sys/mman.h>"""
_PR_SET_TIMERSLACK = 29
"""<linux/prctl.h>; who runs in real time has none anyway."""


def undisturbed() -> None:
    """Nothing of our own may come between a deadline and its work: pages stay in memory (where that is
    granted), what lives now is not looked at by the garbage collector again, which stays off, and timers
    come when they are set to."""
    _libc.mlockall(_MCL_CURRENT | _MCL_FUTURE)
    _libc.prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    gc.collect()
    gc.freeze()
    gc.disable()


TURN_S = 0.0005
"""A tenth of Python's own."""


@contextmanager
def taking_turns() -> Iterator[None]:
    """While this thread computes, another one gets its turn ten times as soon as else: who starts processes
    or talks with them asks for it every moment."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(TURN_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


_SHORT_WAIT_S = 0.01
_MOST_OF = 0.99


def to_wait_s(rest_s: float | None) -> float | None:
    """What to give select() when a deadline is `rest_s` away (None: there is none).

    The kernel may let a select() sleep 0.1 % longer than asked. So a long wait is ended a little early, and
    its rest waited for again.
    """
    return rest_s if rest_s is None or rest_s < _SHORT_WAIT_S else rest_s * _MOST_OF


def real_time(priority: int) -> bool:
    """Ask for SCHED_FIFO; False where the machine does not grant it (we then run as we are)."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError:
        return False
    return True

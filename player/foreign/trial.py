"""Somebody's code is tried in a copy of this process first, so that one that ends the program ends the copy.

`os._exit(0)`, or a library written in C that calls `exit`, can't be caught: the program would be gone,
without a word and with exit status 0.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
import warnings
from collections.abc import Callable
from typing import NoReturn

from player.foreign.shown_output import ShownOutput, write_there
from traces.bound_processes import die_with_parent

LONGEST_ANSWER = 4000
"""Characters that come back; a pipe holds more, and nobody reads before the copy has ended."""


class EndedHere(Exception):
    """The code has ended the copy; the message says how."""


def tried(call: Callable[[], str], *, silent: bool) -> str:
    """What a call gives, made in a copy of this process that is gone afterwards, with all that it started.

    Args:
        call: may raise: what then comes back is empty. Of its text `LONGEST_ANSWER` characters come back.
        silent: what the copy prints is dropped.

    Raises:
        EndedHere: the copy ended within the call.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.flush()  # or the copy would print it, too
    with ShownOutput() as shown:
        return _tried(call, os.devnull if silent else shown.place)


def _tried(call: Callable[[], str], output: str) -> str:
    """See `tried`; the copy's output goes to `output`."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads are not wanted there
        copy = os.fork()
    if copy == 0:
        _be_the_copy(call, writer, output)
    os.close(writer)
    try:
        status = _end_of(copy)
        os.set_blocking(reader, False)  # what it started may hold the other end
        with contextlib.suppress(BlockingIOError):
            answer = os.read(reader, 1 << 16)
            if answer:
                return str(pickle.loads(answer))
    finally:
        os.close(reader)
    raise EndedHere(_how(status))


def _be_the_copy(call: Callable[[], str], writer: int, output: str) -> NoReturn:
    try:
        os.setsid()
        die_with_parent()
        write_there(output)
        answer = ""
        with contextlib.suppress(BaseException):  # the session, or the program itself, will meet it again
            answer = call()
        os.write(writer, pickle.dumps(answer[:LONGEST_ANSWER]))
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
    finally:
        os._exit(0)


def _end_of(copy: int) -> int:
    """Wait for the copy; its status. What it has started ends with it; it ends where we are interrupted."""
    try:
        os.waitid(os.P_PID, copy, os.WEXITED | os.WNOWAIT)
    finally:
        for kill in (os.killpg, os.kill):  # interrupted at once, it may lead no group yet
            with contextlib.suppress(OSError):
                kill(copy, signal.SIGKILL)
        status = os.waitpid(copy, 0)[1]
    return status


def _how(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"exit status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"

"""Standard output kept for our own lines: whatever else writes to it lands on stderr.

`contextlib.redirect_stdout` catches what Python prints. A policy may also call `os.system`, start a
child or use a library written in C, and these write to descriptor 1.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

STDOUT, STDERR = 1, 2


@contextlib.contextmanager
def kept_for_us() -> Iterator[TextIO]:
    """Standard output as a file; within, `sys.stdout` and descriptor 1 lead to stderr.

    Flush what you write to it. Where `sys.stdout` is not descriptor 1 (a test that captures it, a
    program that replaced it) that file is what is yielded.

    Raises:
        OSError: what is written last cannot be written (BrokenPipeError, a full disk).
    """
    if sys.stdout is not None:
        sys.stdout.flush()
    with (
        _ours() as out,
        _descriptor_on_stderr(),
        contextlib.redirect_stdout(sys.stderr),
    ):
        yield out


@contextlib.contextmanager
def _ours() -> Iterator[TextIO]:
    present = sys.stdout
    if present is None:  # started with a closed descriptor
        with Path(os.devnull).open("w") as nowhere:
            yield nowhere
        return
    if not _is_descriptor(present):
        yield present
        return
    out = os.fdopen(os.dup(STDOUT), "w", encoding=present.encoding, errors=present.errors)
    try:
        yield out
    except BaseException:
        with contextlib.suppress(OSError):  # what could not be written is the error that is under way
            out.close()
        raise
    out.close()


def _is_descriptor(file: TextIO) -> bool:
    try:
        return file.fileno() == STDOUT
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def _descriptor_on_stderr() -> Iterator[None]:
    try:
        before = os.dup(STDOUT)
    except OSError:  # there is no descriptor 1 that anybody could write to
        yield
        return
    try:
        _lead_to_stderr()
        yield
    finally:
        ctypes.CDLL(None).fflush(None)  # what C code has printed and not yet written
        os.dup2(before, STDOUT)
        os.close(before)


def _lead_to_stderr() -> None:
    try:
        os.dup2(STDERR, STDOUT)
    except OSError:  # no stderr either
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, STDOUT)
        os.close(nowhere)

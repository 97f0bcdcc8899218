"""Signals that end a command as Ctrl-C does, so that it takes down what it has set up."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType


class Terminated(KeyboardInterrupt):
    """A signal other than SIGINT has come.

    Args:
        number: the signal's.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated(number)


@contextlib.contextmanager
def terminated_by(*numbers: int) -> Iterator[None]:
    """Raise `Terminated` in the main thread when one of these signals comes; after it they act as before."""
    before = {number: signal.signal(number, _terminate) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def exit_status(interrupt: KeyboardInterrupt) -> int:
    """128 + the signal's number, as shells have it."""
    return 128 + (interrupt.number if isinstance(interrupt, Terminated) else signal.SIGINT)

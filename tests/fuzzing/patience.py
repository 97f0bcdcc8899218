"""How long something may take before it counts as hanging, however busy the machine is.

What is counted is time in which it ran or slept. Time in which it could have run, and others had the
processors, is nobody's fault: the kernel counts it, thread by thread.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

LOOK_EVERY_S = 0.1


class TooSlow(BaseException):
    """It took longer than anybody waits."""


def waited_s(pid: int | str = "self") -> float:
    """How long a process's first thread has waited for a processor so far; 0 where the kernel doesn't say.

    The second figure of /proc/PID/schedstat, in ns (Documentation/scheduler/sched-stats of Linux).
    """
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


class Patience:
    """Begins when it is made.

    Args:
        most_s: it has.
        waited: seconds in which those that are waited for have waited for a processor.
        now: the time, s.
    """

    def __init__(
        self,
        most_s: float,
        waited: Callable[[], float] = waited_s,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.most_s = most_s
        self._waited, self._now = waited, now
        self._begun_s = now() - waited()

    @property
    def over(self) -> bool:
        """Whether it has come to an end."""
        return self._now() - self._waited() - self._begun_s > self.most_s


@contextlib.contextmanager
def patient(most_s: float) -> Iterator[None]:
    """For what the main thread does within it.

    Raises:
        TooSlow: it ran and slept longer than that.
    """
    patience = Patience(most_s)

    def look(number: int, frame: FrameType | None) -> None:
        if patience.over:
            raise TooSlow(f"longer than {most_s:g} s of running and sleeping")

    before = signal.signal(signal.SIGALRM, look)
    every_s = min(LOOK_EVERY_S, most_s)
    signal.setitimer(signal.ITIMER_REAL, every_s, every_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

"""Work that must not take much of the machine, however large what it looks at has become."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

SHARE = 0.01
"""Of a core, for each thing that is done again and again."""

T = TypeVar("T")


class Sparing:
    """Does a piece of work when it is due; the longer it took, the later it is due again."""

    def __init__(self, work: Callable[[], T], clock: Callable[[], float] = time.monotonic) -> None:
        self._work, self._clock = work, clock
        self._due_s = -float("inf")

    @property
    def due(self) -> bool:
        return self._clock() >= self._due_s

    def do(self) -> None:
        """Do it now."""
        begun_s = self._clock()
        try:
            self._work()
        finally:
            now_s = self._clock()
            self._due_s = now_s + (now_s - begun_s) / SHARE

"""How long this process has spent on machine code, which is made once and is nobody's decision."""

from __future__ import annotations

import sys
import time
from typing import Any

KIND = "numba:compiler_lock"
"""What numba reports while it compiles a function, or loads one that was kept."""


class _Stopwatch:
    """Heard by numba as a listener: adds up what lies between the outermost start and its end."""

    def __init__(self) -> None:
        self.spent_s = 0.0
        self.heard = False
        """Whether numba knows of us."""
        self._depth = 0
        self._begun_s = 0.0

    def notify(self, event: Any) -> None:
        if event.is_start:
            if self._depth == 0:
                self._begun_s = time.perf_counter()
            self._depth += 1
            return
        self._depth -= 1
        if self._depth == 0:
            self.spent_s += time.perf_counter() - self._begun_s


_STOPWATCH = _Stopwatch()


def compiling_s() -> float:
    """Of this process, since it was first asked with numba loaded; 0 as long as nobody has loaded numba.

    Two answers tell what lies between them.
    """
    if not _STOPWATCH.heard and "numba.core.event" in sys.modules:
        _listen()
    return _STOPWATCH.spent_s


def _listen() -> None:
    from numba.core import event

    class Heard(event.Listener):
        """numba takes none but its own kind."""

        def on_start(self, event: Any) -> None:
            _STOPWATCH.notify(event)

        def on_end(self, event: Any) -> None:
            _STOPWATCH.notify(event)

    event.register(KIND, Heard())
    _STOPWATCH.heard = True

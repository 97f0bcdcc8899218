"""How late a real-time timer of this machine is, and how many others want its processors meanwhile."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from testbed.machine.readings import MachineChange, read_machine, read_running
from testbed.process.children import SHAPER_PRIORITY, real_time

STEP_S = 0.001
"""As often as a busy relay or shaper has something due."""
LOOK_S = 0.02
"""How often it is asked who wants a processor: a tenth of a millisecond's work each time."""


@dataclass(frozen=True)
class Lateness:
    """Wake-ups on absolute deadlines, a millisecond apart; in milliseconds."""

    p50_ms: float
    p99_ms: float
    max_ms: float
    real_time: bool
    """Whether SCHED_FIFO was granted, as the shaper and the relay ask for it."""


@dataclass(frozen=True)
class Look:
    """A short look at the machine while nothing of ours works."""

    lateness: Lateness
    change: MachineChange
    others: float
    """Threads that wanted a processor meanwhile, in the mean."""


def lateness_of(late_s: Sequence[float], granted: bool) -> Lateness:
    """Quantiles (nearest rank) of wake-ups that came so many seconds late; one at least."""
    ordered = sorted(round(late * 1e3, 3) for late in late_s)
    p50_ms, p99_ms = (ordered[math.ceil(share * len(ordered)) - 1] for share in (0.5, 0.99))
    return Lateness(p50_ms, p99_ms, ordered[-1], granted)


def _wake_up(seconds: float, late_s: list[float], granted: list[bool]) -> None:
    """Sleep from deadline to deadline. One that passed while we were away counts as late as we came."""
    granted.append(real_time(SHAPER_PRIORITY))
    begun = time.monotonic()
    for step in range(1, max(round(seconds / STEP_S), 1) + 1):
        deadline = begun + step * STEP_S
        rest = deadline - time.monotonic()
        if rest > 0:
            time.sleep(rest)
        late_s.append(max(time.monotonic() - deadline, 0.0))


def look(seconds: float) -> Look:
    """Look at the machine for so long. The calling process should do nothing else.

    The timer runs in a thread of its own, the only one that is made real-time.
    """
    late_s: list[float] = []
    granted: list[bool] = []
    waking = threading.Thread(target=_wake_up, args=(seconds, late_s, granted), daemon=True)
    before = read_machine()
    waking.start()
    wanting = []
    while waking.is_alive():
        if (running := read_running()) is not None:
            wanting.append(max(running - 1, 0))  # who asks is running too
        waking.join(LOOK_S)
    change = read_machine().since(before)
    others = sum(wanting) / len(wanting) if wanting else 0.0
    return Look(lateness_of(late_s, granted[0]), change, round(others, 2))

"""Keep a processor busy for a share of the time: `python -m testbed.machine.load SHARE`, until killed."""

from __future__ import annotations

import sys
import time

SESSION_LOAD = 0.05
"""Processors that a session keeps busy in the mean: measured 0.037 while it plays (processor time of all
its processes, 4G, RobustMPC, 22 chunks less 2 chunks), and 1.3 s to make it, of usually 200 s."""

PERIOD_S = 0.02
"""As short as a player's own work."""


def burn(share: float) -> None:
    """Work and rest in turn, for ever."""
    while True:
        begun = time.perf_counter()
        while time.perf_counter() - begun < share * PERIOD_S:
            pass
        time.sleep((1.0 - share) * PERIOD_S)


if __name__ == "__main__":
    burn(float(sys.argv[1]))

"""What a job's time tells of other jobs: not the start, which each process has once.

The first session of a policy in a process imports what they need and touches all of it for the first
time. A forecast for thousands of sessions that was learned from it would be off by a factor of many.
"""

from __future__ import annotations

import time

from player.compiled.compiling import compiling_s

LITTLE_BESIDE_S = 30.0
"""A first job that takes longer tells something: the start is little beside it."""
SPREAD_OVER = 8
"""So does one of so many sessions."""

_used: set[tuple[str, str]] = set()
"""Policy and link of what this process has computed."""


def working_s() -> float:
    """A clock that stands still while machine code is made."""
    return time.perf_counter() - compiling_s()


def telling_s(policy: str, link: str, took_s: float, sessions: int) -> float:
    """What a job took, in seconds; 0 where it is this process's first with its policy and link, and short.

    Args:
        took_s: by `working_s`.
        sessions: in the job.
    """
    first = (policy, link) not in _used
    _used.add((policy, link))
    return 0.0 if first and sessions < SPREAD_OVER and took_s < LITTLE_BESIDE_S else took_s

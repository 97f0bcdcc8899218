"""The seed of a call, the same of an emulated and a simulated one: both have the same frames then."""

from __future__ import annotations

import hashlib
from bisect import bisect_right

from traces.trace import Trace


def call_seed(run_seed: int, trace: Trace, start_s: float) -> int:
    """Of sizes, jitter, loss and the policy: the same for all policies over this start, and other draws over
    each other one.

    Args:
        run_seed: as asked for.
        start_s: where in the trace the call begins; between two points of it as at the earlier one.
    """
    return seed_at(run_seed, trace, bisect_right(trace.time_s, start_s % trace.duration_s))


def seed_at(run_seed: int, trace: Trace, index: int) -> int:
    """The same of a start as simulators count them (`testbed/simulated/starts.py`)."""
    text = f"{run_seed}/{trace.sha256}/{index}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")

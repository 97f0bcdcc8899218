"""Share the sessions of a batch among threads: compiled code holds no interpreter lock."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_POOLS: dict[tuple[int, int], ThreadPoolExecutor] = {}
"""By process and size: after a fork the child has none of its parent's threads."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def share(call: Callable[[int, int], Any], items: int, threads: int, smallest: int = 1) -> list[Any]:
    """`call(begin, end)` over parts of `range(items)`, at the same time.

    Args:
        threads: so many parts at most; the calling thread takes the first.
        smallest: no part is smaller than this, as handing one over costs some 20 microseconds.

    Returns:
        the answers, first part first. An error of a part is raised here.
    """
    parts = max(min(threads, items // max(smallest, 1)), 1)
    edges = [items * part // parts for part in range(parts + 1)]
    if parts == 1:
        return [call(0, items)]
    key = os.getpid(), parts - 1
    if key not in _POOLS:
        _POOLS[key] = ThreadPoolExecutor(parts - 1, thread_name_prefix="streambed-batch")
    others = [_POOLS[key].submit(call, edges[part], edges[part + 1]) for part in range(1, parts)]
    return [call(0, edges[1]), *(other.result() for other in others)]

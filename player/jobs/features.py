"""What is learned from: a scheduler's view as a graph of numbers. Pure functions of an observation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from player.compiled.compiled import compiled
from player.jobs.observation import JobsObservation

NODE_FEATURES = 5
TASKS, WORK_MS = 200.0, 1e5
"""Of tasks and of work that are 1, as in Decima's published code."""


@dataclass(frozen=True)
class JobsGraph:
    """n stages of a jobs; e edges."""

    x: NDArray[np.float32]
    """(n, 5): executors that its job may get now, over all; 1 in the job that gives them, else -1; the job's
    executors, over all; tasks not begun / 200; the same times the newest duration, / 100 s."""
    job: NDArray[np.int64]
    """(n,)"""
    edges: NDArray[np.int64]
    """(e, 2) parent, child."""
    level: NDArray[np.int64]
    """(n,) edges of the longest way to a stage without children."""
    ready: NDArray[np.bool_]
    """(n,)"""
    caps: NDArray[np.int64]
    """(a,) executors that a job may get now."""
    executors: int


def caps_of(seen: JobsObservation) -> NDArray[np.int64]:
    """(a,) executors that each job may get now: those that are free, and no more than there are in all."""
    caps = np.minimum(np.maximum(seen.executors - seen.supply, 0), seen.free)
    if seen.source >= 0:
        caps[seen.source] = seen.free
    return np.asarray(caps)


def graph_of(seen: JobsObservation) -> JobsGraph:
    """The graph."""
    caps = caps_of(seen)
    x = np.empty((len(seen.job), NODE_FEATURES), np.float32)
    x[:, 0] = caps[seen.job] / seen.executors
    x[:, 1] = np.where(seen.job == seen.source, 1.0, -1.0)
    x[:, 2] = seen.supply[seen.job] / seen.executors
    x[:, 3] = seen.left / TASKS
    x[:, 4] = seen.left * seen.duration_ms / WORK_MS
    return JobsGraph(x, seen.job, seen.edges, levels(len(x), seen.edges), seen.ready, caps, seen.executors)


@compiled
def levels(nodes: int, edges: NDArray[np.int64]) -> NDArray[np.int64]:
    """(nodes,) edges of the longest way to a node without children."""
    found = np.zeros(nodes, np.int64)
    changed = True
    while changed:
        changed = False
        for place in range(len(edges)):
            wanted = found[edges[place, 1]] + 1
            if found[edges[place, 0]] < wanted:
                found[edges[place, 0]] = wanted
                changed = True
    return found

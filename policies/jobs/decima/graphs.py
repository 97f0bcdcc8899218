"""Many graphs as one: stages and jobs of all stand behind each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from player.jobs.features import JobsGraph

Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Graphs:
    """B graphs; n stages, a jobs, e edges in all."""

    x: NDArray[np.float32]  # (n, 5)
    job: Whole  # (n,) place among all jobs
    of_node: Whole  # (n,) graph
    of_job: Whole  # (a,) graph
    edges: Whole  # (e, 2) places among all stages
    level: Whole  # (n,)
    ready: Whole  # (r,) places of those that are schedulable
    caps: Whole  # (a,)
    first_node: Whole  # (B,)
    executors: int

    def __len__(self) -> int:
        return len(self.first_node)


def joined(graphs: Sequence[JobsGraph]) -> Graphs:
    """All as one."""
    nodes = np.cumsum([0] + [len(graph.x) for graph in graphs])
    jobs = np.cumsum([0] + [len(graph.caps) for graph in graphs])
    every = range(len(graphs))
    return Graphs(
        np.concatenate([graph.x for graph in graphs]),
        np.concatenate([graph.job + jobs[place] for place, graph in enumerate(graphs)]),
        np.repeat(every, np.diff(nodes)),
        np.repeat(every, np.diff(jobs)),
        np.concatenate([graph.edges + nodes[place] for place, graph in enumerate(graphs)]),
        np.concatenate([graph.level for graph in graphs]),
        np.concatenate([np.flatnonzero(graph.ready) + nodes[place] for place, graph in enumerate(graphs)]),
        np.concatenate([graph.caps for graph in graphs]),
        nodes[:-1],
        graphs[0].executors,
    )

"""Many graphs as one, and the net in torch, to learn from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from player.jobs.features import JobsGraph
from policies.jobs.decima.graphs import joined
from policies.jobs.decima.net import Weights
from policies.jobs.decima.shape import CHOICES, JOB_FEATURES, PARTS, SLOPE


@dataclass(frozen=True)
class Step:
    """A decision: what was seen, and what was chosen."""

    graph: JobsGraph
    stage: int
    count: int
    """Executors, 1 or more."""


@dataclass(frozen=True)
class Batch:
    """B decisions, n stages, a jobs in all."""

    x: torch.Tensor  # (n, 5)
    job: torch.Tensor  # (n,)
    graph_of_node: torch.Tensor  # (n,)
    graph_of_job: torch.Tensor  # (a,)
    edges: torch.Tensor  # (e, 2)
    level: torch.Tensor  # (n,)
    ready: torch.Tensor  # (r,) places of those that are schedulable
    stage: torch.Tensor  # (B,) place of the chosen one among all nodes
    count: torch.Tensor  # (B,)
    caps: torch.Tensor  # (B,) of the chosen stage's job
    executors: int

    def __len__(self) -> int:
        return len(self.stage)


def batch_of(steps: Sequence[Step]) -> Batch:
    """All in one graph."""
    graphs = joined([step.graph for step in steps])
    stages = graphs.first_node + np.array([step.stage for step in steps])
    whole = (graphs.job, graphs.of_node, graphs.of_job, graphs.edges, graphs.level, graphs.ready, stages)
    job, of_node, of_job, edges, level, ready, stage = map(torch.from_numpy, whole)
    return Batch(
        torch.from_numpy(graphs.x),
        job,
        of_node,
        of_job,
        edges,
        level,
        ready,
        stage,
        torch.tensor([step.count for step in steps]),
        torch.from_numpy(np.maximum(graphs.caps[graphs.job[stages]], 1)),
        graphs.executors,
    )


class Net(torch.nn.Module):
    """The net, with the weights of `policies/jobs/decima/net.py`."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.parts = torch.nn.ModuleDict()
        for name, sizes in PARTS.items():
            self.parts[f"{name}_part"] = torch.nn.ModuleList(
                torch.nn.Linear(inputs, outputs) for inputs, outputs in pairwise(sizes)
            )
            for layer, linear in enumerate(self.parts[f"{name}_part"]):
                linear.weight.data = torch.from_numpy(weights[f"{name}.{layer}.weight"].copy())
                linear.bias.data = torch.from_numpy(weights[f"{name}.{layer}.bias"].copy())

    def weights(self) -> Weights:
        """As numpy has them."""
        return {
            f"{name}.{layer}.{kind}": getattr(linear, kind).detach().numpy().copy()
            for name, layers in ((key.removesuffix("_part"), part) for key, part in self.parts.items())
            for layer, linear in enumerate(layers)
            for kind in ("weight", "bias")
        }

    def _part(self, name: str, values: torch.Tensor) -> torch.Tensor:
        layers = self.parts[f"{name}_part"]
        for linear in layers[:-1]:
            values = linear(values)
            values = torch.tanh(values) if name in CHOICES else torch.nn.functional.leaky_relu(values, SLOPE)
        last: torch.Tensor = layers[-1](values)
        return last

    def forward(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """(B,) logarithms of the choices' probabilities, (B,) entropies."""
        nodes = self._nodes(batch)
        of_jobs = torch.zeros(len(batch.graph_of_job), nodes.shape[1])
        of_jobs = of_jobs.index_add(0, batch.job, self._part("job", torch.cat([batch.x, nodes], 1)))
        of_all = torch.zeros(len(batch), nodes.shape[1])
        of_all = of_all.index_add(0, batch.graph_of_job, self._part("all", of_jobs))
        stage_log, stage_entropy = self._stages(batch, nodes, of_jobs, of_all)
        count_log, count_entropy = self._counts(batch, of_jobs, of_all)
        return stage_log + count_log, stage_entropy + count_entropy

    def _nodes(self, batch: Batch) -> torch.Tensor:
        prepared = self._part("prepare", batch.x)
        lowest = (batch.level == 0).nonzero()[:, 0]
        nodes = torch.zeros_like(prepared).index_copy(0, lowest, self._part("update", prepared[lowest]))
        for level in range(1, int(batch.level.max()) + 1):
            edges = batch.edges[batch.level[batch.edges[:, 0]] == level]
            rows = (batch.level == level).nonzero()[:, 0]
            summed = torch.zeros_like(prepared).index_add(
                0, edges[:, 0], self._part("message", nodes[edges[:, 1]])
            )
            nodes = nodes.index_copy(0, rows, prepared[rows] + self._part("update", summed[rows]))
        return nodes

    def _stages(
        self, batch: Batch, nodes: torch.Tensor, of_jobs: torch.Tensor, of_all: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        rows = batch.ready
        graph = batch.graph_of_node[rows]
        inputs = torch.cat([batch.x[rows], nodes[rows], of_jobs[batch.job[rows]], of_all[graph]], 1)
        scores = self._part("stage", inputs)[:, 0]
        most = torch.full((len(batch),), -torch.inf).scatter_reduce(0, graph, scores.detach(), "amax")
        powers = (scores - most[graph]).exp()
        total = torch.zeros(len(batch)).index_add(0, graph, powers)
        logs = scores - most[graph] - total.log()[graph]
        entropy = torch.zeros(len(batch)).index_add(0, graph, -logs * logs.exp())
        chosen = rows == batch.stage[graph]
        return torch.zeros(len(batch)).index_add(0, graph[chosen], logs[chosen]), entropy

    def _counts(
        self, batch: Batch, of_jobs: torch.Tensor, of_all: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Only as many rows as there are counts to choose from."""
        rows = torch.repeat_interleave(torch.arange(len(batch)), batch.caps)
        first = batch.caps.cumsum(0) - batch.caps
        counts = torch.arange(len(rows)) - first[rows]
        base = torch.cat([batch.x[batch.stage, :JOB_FEATURES], of_jobs[batch.job[batch.stage]], of_all], 1)
        layers = self.parts["count_part"]
        # what all counts of a decision have in common is computed once
        head = torch.nn.functional.linear(base, layers[0].weight[:, :-1], layers[0].bias)
        shares = counts.float() / batch.executors
        values = torch.tanh(head[rows] + shares[:, None] * layers[0].weight[:, -1])
        scores = layers[2](torch.tanh(layers[1](values)))[:, 0]
        most = torch.full((len(batch),), -torch.inf).scatter_reduce(0, rows, scores.detach(), "amax")
        total = torch.zeros(len(batch)).index_add(0, rows, (scores - most[rows]).exp())
        logs = scores - most[rows] - total.log()[rows]
        entropy = torch.zeros(len(batch)).index_add(0, rows, -logs * logs.exp())
        places = first + torch.minimum(batch.count, batch.caps) - 1
        return logs[places], entropy

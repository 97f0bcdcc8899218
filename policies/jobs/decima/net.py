"""The net computed with numpy, many graphs at a time."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from policies.jobs.decima.graphs import Graphs, Whole
from policies.jobs.decima.shape import CHOICES, JOB_FEATURES, LAYERS, PARTS, SLOPE

Numbers = NDArray[np.float32]
Weights = dict[str, Numbers]


@dataclass(frozen=True)
class Embedded:
    """What the net makes of graphs."""

    nodes: Numbers  # (n, WIDTH)
    jobs: Numbers  # (a, WIDTH)
    every: Numbers  # (B, WIDTH)


def fresh_weights(seed: int) -> Weights:
    """Weights that have learned nothing: uniform, as torch begins with them; biases 0."""
    random = np.random.default_rng(seed)
    made: Weights = {}
    for name, sizes in PARTS.items():
        for layer, (inputs, outputs) in enumerate(pairwise(sizes)):
            bound = inputs**-0.5
            drawn = random.uniform(-bound, bound, (outputs, inputs))
            made[f"{name}.{layer}.weight"] = drawn.astype(np.float32)
            made[f"{name}.{layer}.bias"] = np.zeros(outputs, np.float32)
    return made


def _part(weights: Weights, name: str, values: Numbers) -> Numbers:
    """(n, outputs) of one part."""
    for layer in range(LAYERS):
        values = values @ weights[f"{name}.{layer}.weight"].T + weights[f"{name}.{layer}.bias"]
        if layer < LAYERS - 1:
            values = np.tanh(values) if name in CHOICES else np.maximum(values, np.float32(SLOPE) * values)
    return values


def _summed(values: Numbers, places: Whole, rows: int) -> Numbers:
    """(rows, columns) sums of the values that belong to each row."""
    found = np.zeros((rows, values.shape[1]), np.float32)
    np.add.at(found, places, values)
    return found


def embedded(weights: Weights, graphs: Graphs) -> Embedded:
    """Stages, jobs and graphs: a stage hears of those that wait for it, the last ones first."""
    prepared = _part(weights, "prepare", graphs.x)
    nodes = np.zeros_like(prepared)
    lowest = np.flatnonzero(graphs.level == 0)
    nodes[lowest] = _part(weights, "update", prepared[lowest])
    level_of_edge = graphs.level[graphs.edges[:, 0]]
    for level in range(1, int(graphs.level.max(initial=0)) + 1):
        edges = graphs.edges[level_of_edge == level]
        rows = np.flatnonzero(graphs.level == level)
        summed = _summed(_part(weights, "message", nodes[edges[:, 1]]), edges[:, 0], len(nodes))
        nodes[rows] = prepared[rows] + _part(weights, "update", summed[rows])
    of_nodes = _part(weights, "job", np.concatenate([graphs.x, nodes], axis=1))
    jobs = _summed(of_nodes, graphs.job, len(graphs.caps))
    return Embedded(nodes, jobs, _summed(_part(weights, "all", jobs), graphs.of_job, len(graphs)))


def stage_scores(weights: Weights, graphs: Graphs, made: Embedded) -> Numbers:
    """(r,) of the schedulable stages, `graphs.ready`."""
    rows = graphs.ready
    parts = [graphs.x[rows], made.nodes[rows], made.jobs[graphs.job[rows]], made.every[graphs.of_node[rows]]]
    return _part(weights, "stage", np.concatenate(parts, axis=1))[:, 0]


def count_scores(weights: Weights, graphs: Graphs, made: Embedded, stages: Whole) -> tuple[Numbers, Whole]:
    """Of 1, 2, … executors for each graph's chosen stage, as many as its job may get.

    Returns:
        (scores, graph of each).
    """
    jobs = graphs.job[stages]
    caps = np.maximum(graphs.caps[jobs], 1)
    rows = np.repeat(np.arange(len(graphs)), caps)
    counts = np.arange(len(rows)) - np.repeat(np.cumsum(caps) - caps, caps)
    base = np.concatenate([graphs.x[stages, :JOB_FEATURES], made.jobs[jobs], made.every], axis=1)
    # what all counts of a decision have in common is computed once
    first = weights["count.0.weight"]
    head = base @ first[:, :-1].T + weights["count.0.bias"]
    shares = (counts / graphs.executors).astype(np.float32)
    values = np.tanh(head[rows] + shares[:, None] * first[:, -1])
    values = np.tanh(values @ weights["count.1.weight"].T + weights["count.1.bias"])
    return (values @ weights["count.2.weight"].T + weights["count.2.bias"])[:, 0], rows


def chosen(
    weights: Weights, graphs: Graphs, random: np.random.Generator | None, median: bool = False
) -> tuple[Whole, Whole]:
    """Each graph's stage, as a place in that graph, and how many executors; drawn where there is a generator,
    else the best; with `median` so many executors that more are as likely as fewer."""
    made = embedded(weights, graphs)
    stages = graphs.ready[
        _one_each(stage_scores(weights, graphs, made), graphs.of_node[graphs.ready], len(graphs), random)
    ]
    scores, rows = count_scores(weights, graphs, made, stages)
    places = _medians(scores, rows, len(graphs)) if median else _one_each(scores, rows, len(graphs), random)
    counts = 1 + places - np.searchsorted(rows, np.arange(len(graphs)))
    return stages - graphs.first_node, counts


def _one_each(scores: Numbers, of: Whole, graphs: int, random: np.random.Generator | None) -> Whole:
    """(graphs,) a place among the scores of each, which stand together in order: by their softmax, or the
    best."""
    if random is not None:  # the largest of scores with Gumbel noise is drawn by their softmax
        scores = scores - np.log(-np.log(random.random(len(scores)))).astype(np.float32)
    order = np.lexsort((scores, of))
    return order[np.searchsorted(of, np.arange(graphs), side="right") - 1]


def _medians(scores: Numbers, of: Whole, graphs: int) -> Whole:
    """(graphs,) the place among the scores of each, which stand together in order, where half of their
    softmax is reached."""
    first = np.searchsorted(of, np.arange(graphs))
    chances = np.exp((scores - np.maximum.reduceat(scores, first)[of]).astype(np.float64))
    reached = np.cumsum(chances)
    before = reached[first] - chances[first]
    totals = np.add.reduceat(chances, first)
    return np.asarray(np.searchsorted(reached, before + totals / 2.0))

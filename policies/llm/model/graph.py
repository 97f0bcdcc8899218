"""The network of a graph: what each node, its group and the whole are, wherever in the table they stand.

Messages go from child to parent, the lowest level first, as in Decima (Mao et al., SIGCOMM 2019); a group is
the sum over its nodes, the whole the sum over its groups. Plain torch: rows without a node are left out, and
what is added up is gathered and summed by index.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from policies.llm.modality import CHILD, GRAPH_COLUMNS, GROUP, LEVEL, MOST_LEVEL, OPEN, THERE

GRAPH_WIDTH = 32
LEAST_ROWS = 4
"""A product of fewer rows may add up in another order (`engine/alike.py`)."""


class Embedded(NamedTuple):
    """What graphs come to: n nodes of N graphs."""

    rows: torch.Tensor
    """(n,) each node's row of N times the table's rows."""
    graph: torch.Tensor
    """(n,) its graph."""
    open: torch.Tensor
    """(n,) whether it may be chosen."""
    nodes: torch.Tensor
    """(n, attributes of its own + 2 x GRAPH_WIDTH) its own, what it has heard, its group."""
    whole: torch.Tensor
    """(N, GRAPH_WIDTH)."""


class Graphs(nn.Module):
    """Embeds tables of nodes.

    Args:
        shape: (rows, attributes) of a table.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        own = shape[1] - GRAPH_COLUMNS
        self.prepare, self.message, self.update = _net(own), _net(GRAPH_WIDTH), _net(GRAPH_WIDTH)
        self.of_group, self.of_whole = _net(own + GRAPH_WIDTH), _net(GRAPH_WIDTH)

    def forward(self, tables: torch.Tensor) -> Embedded:
        """(N, rows, attributes) to what they are; in full precision, for much is added up."""
        with torch.autocast(tables.device.type, enabled=False):
            return self._embedded(tables)

    def _embedded(self, tables: torch.Tensor) -> Embedded:
        count, height = tables.shape[:2]
        rows = (tables[..., THERE] > 0.5).flatten().nonzero()[:, 0]
        graph = rows // height
        table = tables.flatten(0, 1)[rows]
        own = table[:, GRAPH_COLUMNS:]
        prepared, children = padded_rows(self.prepare, own), _children(table, rows, height, count)
        heard = self._heard(prepared, children, _levels(table))
        of_nodes = padded_rows(self.of_group, torch.cat((own, heard), 1))
        group = graph * height + table[:, GROUP].round().clamp(0, height - 1).long()
        names, place = group.unique(return_inverse=True)
        groups = of_nodes.new_zeros(len(names), GRAPH_WIDTH).index_add(0, place, of_nodes)
        whole = groups.new_zeros(count, GRAPH_WIDTH)
        whole = whole.index_add(0, names // height, padded_rows(self.of_whole, groups))
        nodes = torch.cat((own, heard, groups[place]), 1)
        return Embedded(rows, graph, table[:, OPEN] > 0.5, nodes, whole)

    def _heard(self, prepared: torch.Tensor, children: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        """(n, GRAPH_WIDTH) what nodes have heard of those below them.

        Args:
            children: (n, CHILDREN) places among the nodes; n where there is none.
        """
        nodes = prepared
        said = functional.pad(padded_rows(self.message, prepared), (0, 0, 0, 1))  # the last says nothing
        for higher in range(1, int(level.max()) + 1 if len(level) else 0):
            rows = (level == higher).nonzero()[:, 0]
            if not len(rows):
                continue
            told = functional.embedding(children[rows], said).sum(1)
            now = prepared[rows] + padded_rows(self.update, told)
            nodes = nodes.index_copy(0, rows, now)
            said = said.index_copy(0, rows, padded_rows(self.message, now))
        return nodes


class WholeGraph(nn.Module):
    """A graph's sum over all, then fully connected."""

    def __init__(self, shape: tuple[int, ...], hidden: int) -> None:
        super().__init__()
        self.shape = shape
        self.graphs = Graphs(shape)
        self.body = nn.Sequential(nn.Linear(GRAPH_WIDTH, hidden), nn.GELU())

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        whole = self.graphs(values.reshape(-1, *self.shape)).whole
        return self.body(whole)  # (N, hidden)


def _net(inputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, GRAPH_WIDTH), nn.GELU(), nn.Linear(GRAPH_WIDTH, GRAPH_WIDTH))


def padded_rows(net: nn.Module, values: torch.Tensor) -> torch.Tensor:
    """A net's rows, the same whatever stands beside them."""
    lacking = LEAST_ROWS - len(values)
    if lacking <= 0:
        return net(values)
    return net(functional.pad(values, (0, 0, 0, lacking)))[: len(values)]


def _levels(table: torch.Tensor) -> torch.Tensor:
    """(n,)"""
    return table[:, LEVEL].round().clamp(0, MOST_LEVEL).long()


def _children(table: torch.Tensor, rows: torch.Tensor, height: int, count: int) -> torch.Tensor:
    """(n, CHILDREN) places of nodes' children among the n nodes; n for none, and for a row without a node."""
    place = rows.new_full((count * height + 1,), len(rows))
    place[rows] = torch.arange(len(rows), device=rows.device)
    wanted = table[:, CHILD:GRAPH_COLUMNS].round().long()
    wanted = torch.where((wanted >= 1) & (wanted <= height), wanted, 0)
    first = (rows // height * height).unsqueeze(1)
    return place[torch.where(wanted > 0, first + wanted - 1, count * height)]

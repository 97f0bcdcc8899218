"""The network that points at a node of a graph, and says which share it should be given."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from policies.llm.head import ABSENT, StageAndShare
from policies.llm.modality import GRAPH, GRAPH_COLUMNS, OPTIONS, Modality, places
from policies.llm.model.graph import GRAPH_WIDTH, Graphs, padded_rows

KEY_WIDTH = 64
SHARE_WIDTH = 32


class StageAndShares(nn.Module):
    """Scores the open nodes of a step: the scaled product of what the state asks and what each node is (as
    Vinyals et al., NeurIPS 2015); and, were it that node's, each share, by a net of state, node and share (as
    Decima's parallelism limits).

    (…, model width) states and (…, step width) inputs to (…, rows x (1 + shares)). The same in any order of
    the nodes.
    """

    def __init__(self, head: StageAndShare, modalities: Sequence[Modality], model_width: int) -> None:
        super().__init__()
        known = {each.name: each for each in modalities}
        graph, shares = known[head.graph], known[head.shares]
        if graph.kind != GRAPH or graph.shape[0] != head.rows:
            raise ValueError(f"a stage of {graph}; expected a graph of {head.rows} rows")
        if shares.kind != OPTIONS or shares.shape[0] != head.options:
            raise ValueError(f"a share of {shares}; expected {head.options} options")
        self.head, self.shapes = head, (graph.shape, shares.shape)
        self.places = places(modalities)
        self.graphs = Graphs(graph.shape)
        of_node = graph.shape[1] - GRAPH_COLUMNS + 2 * GRAPH_WIDTH
        self.key = nn.Sequential(nn.Linear(of_node, KEY_WIDTH), nn.GELU(), nn.Linear(KEY_WIDTH, KEY_WIDTH))
        self.query = nn.Linear(model_width, KEY_WIDTH)
        self.share_of_node = nn.Linear(of_node, SHARE_WIDTH)
        self.share_of_state = nn.Linear(model_width, SHARE_WIDTH)
        self.share_itself = nn.Linear(shares.shape[1], SHARE_WIDTH)
        self.share = nn.Sequential(
            nn.GELU(), nn.Linear(SHARE_WIDTH, SHARE_WIDTH), nn.GELU(), nn.Linear(SHARE_WIDTH, 1)
        )

    def forward(self, states: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        before, flat, vectors = states.shape[:-1], states.flatten(0, -2), steps.flatten(0, -2)
        tables = vectors[:, self.places[self.head.graph]].unflatten(-1, self.shapes[0])
        options = vectors[:, self.places[self.head.shares]].unflatten(-1, self.shapes[1])
        found = self.graphs(tables)
        rows, graph, nodes = found.rows[found.open], found.graph[found.open], found.nodes[found.open]
        keys = padded_rows(self.key, nodes)
        stage = (keys * self.query(flat)[graph]).sum(-1) / KEY_WIDTH**0.5  # (r,)
        hidden = padded_rows(self.share_of_node, nodes) + self.share_of_state(flat)[graph]
        mixed = hidden.unsqueeze(1) + self.share_itself(options)[graph]  # (r, shares, SHARE_WIDTH)
        hidden, last = padded_rows(self.share[:-1], mixed.flatten(0, 1)), self.share[-1]
        share = (hidden * last.weight).sum(-1) + last.bias  # a product with one column depends on its rows
        share = share.view(len(rows), self.head.options)
        share = share.masked_fill(options[graph][..., 0] <= 0.0, ABSENT)
        every = share.new_full((len(flat) * self.head.rows, 1 + self.head.options), ABSENT)
        every = every.index_copy(0, rows, torch.cat((stage.unsqueeze(1), share), 1))
        return every.view(*before, self.head.width)


def stage_and_share_loss(head: StageAndShare, outputs: torch.Tensor, taught: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the node and of the share that it was given, over the steps that count.

    Args:
        taught: (…, 2) the node's row, below 0 where nothing is taught; the share's number, below 0 where the
            node is given none.
    """
    table = outputs.reshape(-1, head.rows, 1 + head.options)
    row, share = taught.reshape(-1, 2).round().long().unbind(-1)
    counts = row >= 0
    table, row, share = table[counts], row[counts], share[counts]
    of_row = functional.cross_entropy(table[..., 0], row, reduction="sum")
    shares = table[torch.arange(len(row), device=row.device), row, 1:]
    of_share = functional.cross_entropy(shares[share >= 0], share[share >= 0], reduction="sum")
    return (of_row + of_share) / max(len(row), 1)

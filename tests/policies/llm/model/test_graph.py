"""The network of a graph and the head that points into it: order, rows without a node, loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from policies.llm.head import ABSENT, StageAndShare, from_json, to_json
from policies.llm.modality import (
    CHILD,
    GRAPH,
    GRAPH_COLUMNS,
    GROUP,
    LEVEL,
    OPEN,
    OPTIONS,
    THERE,
    Modality,
    places,
)
from policies.llm.model import heads
from policies.llm.model.encoder import Encoder
from policies.llm.model.graph import Graphs, WholeGraph

ROWS, OWN, SHARES = 12, 3, 4
MODALITIES = (
    Modality("graph", GRAPH, (ROWS, GRAPH_COLUMNS + OWN)),
    Modality("shares", OPTIONS, (SHARES, 2)),
)
HEAD = StageAndShare("graph", ROWS, "shares", SHARES)
EDGES = ((0, 2), (1, 2), (2, 3), (5, 6))
"""Parent, child."""
LEVELS, GROUPS, OPENS = (2, 2, 1, 0, 0, 1, 0), (0, 0, 0, 0, 1, 2, 2), (1, 1, 0, 0, 1, 1, 0)


def table(places_of_nodes: Any, rows: int = ROWS, seed: int = 0) -> torch.Tensor:
    """(rows, attributes) of seven nodes that stand in these rows."""
    own = torch.from_numpy(np.random.default_rng(seed).normal(size=(len(LEVELS), OWN)).astype(np.float32))
    made = torch.zeros(rows, GRAPH_COLUMNS + OWN)
    for node, row in enumerate(places_of_nodes):
        made[row, [THERE, OPEN, GROUP, LEVEL]] = torch.tensor(
            [1.0, OPENS[node], GROUPS[node], LEVELS[node]], dtype=torch.float32
        )
        made[row, GRAPH_COLUMNS:] = own[node]
        children = [places_of_nodes[child] for parent, child in EDGES if parent == node]
        for slot, child in enumerate(children):
            made[row, CHILD + slot] = 1.0 + child
    return made


def vectors(tables: torch.Tensor) -> torch.Tensor:
    shares = torch.tensor([[1.0, 0.1], [0.0, 0.0], [1.0, 0.5], [1.0, 1.0]])
    return torch.cat((tables.flatten(1), shares.flatten().expand(len(tables), -1)), 1)


@pytest.fixture
def head() -> torch.nn.Module:
    torch.manual_seed(1)
    return heads.network(HEAD, MODALITIES, 8)


def test_nodes_are_the_same_in_any_rows_and_in_any_table(head: Any) -> None:
    torch.manual_seed(2)
    plain, moved = list(range(7)), [9, 3, 11, 0, 5, 7, 2]
    net = WholeGraph((ROWS, GRAPH_COLUMNS + OWN), 16)
    state = torch.randn(1, 8)
    with torch.no_grad():
        one, two = net(table(plain)[None]), net(table(moved)[None])
        assert two == pytest.approx(one, abs=1e-5)
        larger = Graphs((20, GRAPH_COLUMNS + OWN))
        larger.load_state_dict(net.graphs.state_dict())
        assert larger(table(moved, 20)[None]).whole == pytest.approx(
            net.graphs(table(plain)[None]).whole, abs=1e-5
        )
        first = head(state, vectors(table(plain)[None])).view(ROWS, 1 + SHARES)
        second = head(state, vectors(table(moved)[None])).view(ROWS, 1 + SHARES)
    assert second[moved] == pytest.approx(first[plain], abs=1e-4)
    others = [row for row in range(ROWS) if row not in moved]
    assert (second[others] == ABSENT).all()


def test_who_may_not_be_chosen_and_what_may_not_be_given_has_no_score(head: Any) -> None:
    with torch.no_grad():
        found = head(torch.randn(2, 8), vectors(torch.stack([table(range(7)), table(range(7), seed=4)])))
    scores = found.view(2, ROWS, 1 + SHARES)
    opens = torch.tensor([node < 7 and OPENS[node] == 1 for node in range(ROWS)])
    assert ((scores[..., 0] > ABSENT) == opens).all()
    assert (scores[:, opens][..., 2] == ABSENT).all() and (scores[:, opens][..., [1, 3, 4]] > ABSENT).all()
    assert not torch.equal(scores[0], scores[1])


def test_a_parent_hears_of_its_children_s_children_and_nobody_of_parents() -> None:
    torch.manual_seed(3)
    net = Graphs((ROWS, GRAPH_COLUMNS + OWN))
    heard = slice(OWN, OWN + 32)
    with torch.no_grad():
        before = net(table(range(7))[None]).nodes[:, heard]
        changed = table(range(7))
        changed[3, GRAPH_COLUMNS] += 1.0
        after = net(changed[None]).nodes[:, heard]
    differs = (before - after).abs().amax(1) > 1e-6
    assert differs.tolist() == [True, True, True, True, False, False, False]
    with torch.no_grad():
        changed = table(range(7))
        changed[0, GRAPH_COLUMNS] += 1.0
        after = net(changed[None]).nodes[:, heard]
    assert ((before - after).abs().amax(1) > 1e-6).tolist() == [True] + [False] * 6


def test_graphs_of_a_batch_don_t_know_each_other_and_none_is_none(head: Any) -> None:
    torch.manual_seed(4)
    net = WholeGraph((ROWS, GRAPH_COLUMNS + OWN), 16)
    tables = torch.stack([table(range(7)), torch.zeros(ROWS, GRAPH_COLUMNS + OWN), table(range(5, 12))])
    with torch.no_grad():
        together = net(tables)
        alone = torch.cat([net(each[None]) for each in tables])
        nothing = head(torch.randn(1, 8), vectors(tables[1:2]))
    assert together == pytest.approx(alone, abs=1e-5)
    assert (nothing == ABSENT).all()


def test_the_encoder_leaves_graphs_as_they_are() -> None:
    encoder = Encoder(MODALITIES, 8, 1, 16)
    steps = vectors(torch.stack([table(np.random.default_rng(n).permutation(ROWS)[:7]) for n in range(20)]))
    encoder.scale_to(steps)
    graph = places(MODALITIES)["graph"]
    assert (encoder.mean[graph] == 0.0).all() and (encoder.deviation[graph] == 1.0).all()
    assert encoder(steps).shape == (20, 1, 8)


def test_whatever_the_numbers_are_something_comes_out(head: Any) -> None:
    torch.manual_seed(5)
    steps = 30.0 * torch.randn(6, sum(each.size for each in MODALITIES))
    with torch.no_grad():
        assert Encoder(MODALITIES, 8, 1, 16)(steps).isfinite().all()
        assert head(torch.randn(6, 8), steps).isfinite().all()


def test_the_loss_is_of_the_node_and_of_its_share() -> None:
    outputs = torch.full((1, 3, ROWS, 1 + SHARES), ABSENT)
    outputs[..., 1, :] = torch.tensor([1.0, 0.0, 2.0, 0.0, 0.0])
    outputs[..., 4, :] = torch.tensor([0.0, 3.0, 0.0, 0.0, 0.0])
    flat = outputs.flatten(2)
    taught = torch.tensor([[[1.0, 1.0], [4.0, -1.0], [-1.0, -1.0]]])
    of_row = np.log(1 + np.exp(1.0)) + np.log(1 + np.exp(1.0)) - 1.0
    of_share = np.log(3 + np.exp(2.0)) - 2.0
    assert heads.loss(HEAD, flat, taught).item() == pytest.approx((of_row + of_share) / 2, rel=1e-5)
    assert heads.loss(HEAD, flat, torch.full((1, 3, 2), -1.0)).item() == 0.0


def test_it_learns_which_node_is_the_one(head: Any) -> None:
    """The node whose first number is the largest, and the last share."""
    seen = vectors(torch.stack([table(range(7), seed=seed) for seed in range(64)]))
    own = seen[:, : ROWS * (GRAPH_COLUMNS + OWN)].view(64, ROWS, -1)
    wanted = own[..., GRAPH_COLUMNS].masked_fill(own[..., OPEN] < 0.5, -9.0).argmax(1)
    taught = torch.stack((wanted.float(), torch.full((64,), 3.0)), 1)
    optimizer, state = torch.optim.Adam(head.parameters(), 0.01), torch.zeros(64, 8)
    for _ in range(60):
        loss = heads.loss(HEAD, head(state, seen), taught)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3


def test_a_head_and_a_graph_that_don_t_fit_are_refused() -> None:
    assert from_json(to_json(HEAD)) == HEAD and HEAD.width == ROWS * (1 + SHARES)
    with pytest.raises(ValueError, match="expected a graph of 9 rows"):
        heads.network(StageAndShare("graph", 9, "shares", SHARES), MODALITIES, 8)
    with pytest.raises(ValueError, match="expected 5 options"):
        heads.network(StageAndShare("graph", ROWS, "shares", 5), MODALITIES, 8)
    with pytest.raises(ValueError, match="and 1 or more of its own"):
        Modality("graph", GRAPH, (4, GRAPH_COLUMNS))

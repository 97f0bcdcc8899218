"""A small classification tree, grown best split first: Breiman et al., CART, 1984, with Gini's impurity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

LEAVES = 32
LEAST_SHARE = 0.002
"""Of the examples, in a leaf."""
THRESHOLDS = 128
"""Tried for an input, at its quantiles."""


@dataclass(frozen=True)
class Branch:
    """A question, or an answer where there is no question."""

    answer: int
    """The most frequent one here."""
    share: float
    """Of the examples here that have it."""
    examples: int
    given: int = -1
    """The input that is asked for; -1 for an answer."""
    threshold: float = 0.0
    below: int = -1
    """The branch for inputs up to the threshold; …"""
    above: int = -1
    """… for those above it."""


@dataclass(frozen=True)
class Tree:
    """Branches, the first the root."""

    names: tuple[str, ...]
    branches: tuple[Branch, ...]

    @property
    def leaves(self) -> int:
        return sum(each.given < 0 for each in self.branches)

    def checked(self) -> Tree:
        """Itself.

        Raises:
            ValueError: it is no tree: a question of no input, or one that leads back.
        """
        last = len(self.branches)
        for place, branch in enumerate(self.branches):
            ways = (branch.below, branch.above)
            asks = branch.given >= 0
            if asks and not (branch.given < len(self.names) and all(place < way < last for way in ways)):
                raise ValueError(f"branch {place} leads to no other of the tree's {last}")
        if not last:
            raise ValueError("a tree without branches")
        return self

    def path(self, inputs: NDArray[np.float64]) -> list[int]:
        """The branches that (inputs,) lead through, the last an answer."""
        found = [0]
        while (branch := self.branches[found[-1]]).given >= 0:
            found.append(branch.below if inputs[branch.given] <= branch.threshold else branch.above)
        return found

    def answer(self, inputs: NDArray[np.float64]) -> int:
        """What it says for (inputs,)."""
        return self.branches[self.path(inputs)[-1]].answer

    def reasons(self, inputs: NDArray[np.float64]) -> tuple[str, ...]:
        """The way through it in words: for each input asked for, within what it lies."""
        bounds: dict[int, list[float]] = {}
        path = self.path(inputs)
        for here, after in pairwise(path):
            branch = self.branches[here]
            low_high = bounds.setdefault(branch.given, [-np.inf, np.inf])
            if after == branch.below:
                low_high[1] = min(low_high[1], branch.threshold)
            else:
                low_high[0] = max(low_high[0], branch.threshold)
        return tuple(_within(self.names[given], *bound) for given, bound in bounds.items())


def _within(name: str, low: float, high: float) -> str:
    if np.isinf(low):
        return f"{name} <= {high:.4g}"
    return f"{name} > {low:.4g}" if np.isinf(high) else f"{low:.4g} < {name} <= {high:.4g}"


@dataclass
class _Leaf:
    """Examples that come here, and the best question to ask of them."""

    rows: NDArray[np.int64]
    gain: float = 0.0
    given: int = -1
    threshold: float = 0.0


def grow(
    names: Sequence[str], inputs: NDArray[np.float64], answers: NDArray[np.int64], leaves: int = LEAVES
) -> Tree:
    """A tree of at most so many answers.

    Args:
        inputs: (examples, inputs).
        answers: (examples,) what should be said, any whole numbers.
    """
    known, taught = np.unique(answers, return_inverse=True)
    least = max(int(LEAST_SHARE * len(answers)), 1)
    nodes = [_split(np.arange(len(answers)), inputs, taught, len(known), least)]
    children: dict[int, tuple[int, int]] = {}
    while len(nodes) - len(children) < leaves:
        open_ = [place for place in range(len(nodes)) if place not in children]
        best = max(open_, key=lambda place: nodes[place].gain)
        node = nodes[best]
        if node.gain <= 0.0:
            break
        below = inputs[node.rows, node.given] <= node.threshold
        children[best] = len(nodes), len(nodes) + 1
        nodes += [_split(node.rows[part], inputs, taught, len(known), least) for part in (below, ~below)]
    return Tree(tuple(names), _branches(nodes, children, taught, known))


def _branches(
    nodes: Sequence[_Leaf],
    children: dict[int, tuple[int, int]],
    taught: NDArray[np.int64],
    known: NDArray[np.int64],
) -> tuple[Branch, ...]:
    found = []
    for place, node in enumerate(nodes):
        counts = np.bincount(taught[node.rows])
        answer = int(known[counts.argmax()]), float(counts.max() / len(node.rows)), len(node.rows)
        if place in children:
            found.append(Branch(*answer, node.given, node.threshold, *children[place]))
        else:
            found.append(Branch(*answer))
    return tuple(found)


def _split(
    rows: NDArray[np.int64],
    inputs: NDArray[np.float64],
    taught: NDArray[np.int64],
    classes: int,
    least: int,
) -> _Leaf:
    """The question that takes most of Gini's impurity, times examples, away."""
    leaf = _Leaf(rows)
    if len(rows) < 2 * least:
        return leaf
    each = np.eye(classes)[taught[rows]]  # (rows, classes)
    total = each.sum(axis=0)
    impurity = len(rows) - (total**2).sum() / len(rows)
    for given in range(inputs.shape[1]):
        values = inputs[rows, given]
        order = np.argsort(values, kind="stable")
        ordered, counts = values[order], np.cumsum(each[order], axis=0)
        ends = np.flatnonzero(ordered[:-1] < ordered[1:])
        ends = ends[(ends + 1 >= least) & (len(rows) - ends - 1 >= least)]
        if not len(ends):
            continue
        ends = ends[np.unique(np.linspace(0, len(ends) - 1, min(len(ends), THRESHOLDS)).astype(np.int64))]
        low, size = counts[ends], (ends + 1).astype(float)
        left = size - (low**2).sum(axis=1) / size
        right = (len(rows) - size) - ((total - low) ** 2).sum(axis=1) / (len(rows) - size)
        gains = impurity - left - right
        best = int(gains.argmax())
        if gains[best] > leaf.gain + 1e-9:
            end = ends[best]
            leaf.gain, leaf.given = float(gains[best]), given
            leaf.threshold = float((ordered[end] + ordered[end + 1]) / 2.0)
    return leaf

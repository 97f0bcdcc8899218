"""Kinds of input that a task may have, and a task's list of them.

A task describes one decision step as a list of modalities; their values, flattened and joined in that
order, are the step's vector. Another task needs another list and another head, not another model: the
encoder (`encoder.py`) has one small network for each kind. A new kind is one more
name here and one more network there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

SCALAR = "scalar"
"""Numbers that stand beside each other: shape (numbers,)."""
SERIES = "series"
"""What happened, or will, in this order: shape (channels, length)."""
OPTIONS = "options"
"""What may be answered, each with the same attributes: shape (options, attributes)."""
IMAGE = "image"
"""What lies where, over a plane: shape (channels, height, width)."""
GRAPH = "graph"
"""Things and how they depend on each other: shape (nodes, attributes); nodes in any order, and rows without
one anywhere. A node's first attributes, `GRAPH_COLUMNS`, are whole numbers that say how it hangs together
with others, the rest is what it is."""

(THERE, OPEN, GROUP, LEVEL, CHILD) = range(5)
"""Columns of a graph's row: 1 where there is a node; 1 where it may be chosen; a number that it shares with
its group; edges of the longest way to a node without children; then its children's rows, from 1 on."""
CHILDREN = 3
"""Of a node at most; 0 where there is none."""
GRAPH_COLUMNS = CHILD + CHILDREN
MOST_LEVEL = 15
"""Higher ones count as this, and hear of those below it alone."""

DIMENSIONS = {SCALAR: 1, SERIES: 2, OPTIONS: 2, IMAGE: 3, GRAPH: 2}


@dataclass(frozen=True)
class Modality:
    """One kind of input with its shape.

    Raises:
        ValueError: an unknown kind, or a shape that is not of that kind.
    """

    name: str
    kind: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.kind not in DIMENSIONS:
            raise ValueError(f"modality {self.name}: kind {self.kind!r}; there are {', '.join(DIMENSIONS)}")
        if len(self.shape) != DIMENSIONS[self.kind] or min(self.shape, default=0) < 1:
            raise ValueError(
                f"modality {self.name}: shape {self.shape}; a {self.kind} has {DIMENSIONS[self.kind]} "
                "dimensions of 1 or more"
            )
        if self.kind == GRAPH and self.shape[1] <= GRAPH_COLUMNS:
            raise ValueError(
                f"modality {self.name}: {self.shape[1]} attributes; a node has {GRAPH_COLUMNS} that say how"
                " it hangs together, and 1 or more of its own"
            )

    @property
    def size(self) -> int:
        """Numbers in the flattened vector."""
        return prod(self.shape)

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "kind": self.kind, "shape": list(self.shape)}

    @classmethod
    def from_json(cls, held: dict[str, Any]) -> Modality:
        """Raises KeyError, TypeError or ValueError for what is no modality."""
        return cls(str(held["name"]), str(held["kind"]), tuple(int(each) for each in held["shape"]))


def width(modalities: Sequence[Modality]) -> int:
    """Length of a step's vector."""
    return sum(each.size for each in modalities)


def places(modalities: Sequence[Modality]) -> dict[str, slice]:
    """Where each modality lies in a step's vector."""
    found, begin = {}, 0
    for each in modalities:
        found[each.name] = slice(begin, begin + each.size)
        begin += each.size
    return found

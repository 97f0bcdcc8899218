"""What a task may answer, as numbers: the kinds of output that a model can have.

`model/heads.py` has the network of each kind and what it learns by.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

ABSENT = -1e9
"""The output of a pointer's place that has no option."""

LEAST_LOG_SPREAD, MOST_LOG_SPREAD = -7.0, 7.0
"""A regression's spreads count within these, as logarithms."""


@dataclass(frozen=True)
class Choice:
    """One of a fixed number of answers; the output is a logit for each."""

    options: int

    @property
    def width(self) -> int:
        return self.options


@dataclass(frozen=True)
class Pointer:
    """One of the options that a step brings, as many as it has; the output is a logit for each place.

    The modality is of the kind `options`. Its first attribute says whether there is an option in that place
    (above 0) or none (0); a place without one is never taken.
    """

    modality: str
    options: int
    """Places."""

    @property
    def width(self) -> int:
        return self.options


@dataclass(frozen=True)
class Regression:
    """Numbers, each with a spread; the output is all means, then the logarithms of all deviations."""

    numbers: int

    @property
    def width(self) -> int:
        return 2 * self.numbers


@dataclass(frozen=True)
class Trajectory:
    """What numbers will be at each of the next moments; the output is moment by moment."""

    moments: int
    numbers: int

    @property
    def width(self) -> int:
        return self.moments * self.numbers


@dataclass(frozen=True)
class StageAndShare:
    """A node that a step brings, and then one of the shares that it may be given; the output is, for each row
    of the graph, the node's logit and one for each share, were it that node's.

    `graph` is a modality of that kind, with as many `rows`; rows whose node may not be chosen have no logit.
    `shares` is one of the kind `options`, of which what `Pointer` says of options holds.
    """

    graph: str
    rows: int
    shares: str
    options: int

    @property
    def width(self) -> int:
        return self.rows * (1 + self.options)


Head = Choice | Pointer | Regression | Trajectory | StageAndShare
KINDS: dict[str, type[Head]] = {
    "choice": Choice,
    "pointer": Pointer,
    "regression": Regression,
    "trajectory": Trajectory,
    "stage_and_share": StageAndShare,
}


def to_json(head: Head) -> dict[str, Any]:
    """As an adapter's configuration holds it."""
    (kind,) = (name for name, made in KINDS.items() if isinstance(head, made))
    return {"kind": kind, **asdict(head)}


def from_json(held: dict[str, Any]) -> Head:
    """Raises KeyError, TypeError or ValueError for what is no head."""
    sizes = {name: value for name, value in held.items() if name != "kind"}
    head = KINDS[held["kind"]](**sizes)
    if any(isinstance(size, int) and size < 1 for size in sizes.values()):
        raise ValueError(f"head {held}: sizes must be 1 or more")
    return head

"""What `simulate.py` has to know of a task: what there is to play, how, and what of it is shown."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from analysis.tasks.figures import TaskFigures
from player.registry import Kind
from player.tasks.record import RecordKind, TaskEnd


@dataclass(frozen=True)
class Playable:
    """A sequence of jobs, or a video with its viewers."""

    name: str
    spec: str
    """As typed."""
    family: str
    sha256: str
    content: Any


class Task(Protocol):
    """A task."""

    kind: Kind
    records: RecordKind[Any]
    figures: TaskFigures
    default_policy: str
    errors: tuple[type[Exception], ...]
    """What can't be had, in a sentence."""

    def playables(self, args: argparse.Namespace) -> list[Playable]:
        """All that the command line names, in order."""

    def facts(self, args: argparse.Namespace) -> Mapping[str, Any]:
        """What the manifest says of how it is played."""

    def play(
        self, playables: Sequence[Playable], facts: Mapping[str, Any], policy: Any, seed: int
    ) -> Iterator[tuple[Sequence[Any], TaskEnd]]:
        """Play each by a policy: the record's lines, as soon as they are there."""

"""One session to stream, what came of it, and who it talks to while it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from player.buffer import USUAL_THRESHOLDS, BufferThresholds
from player.defaults import FALLBACK
from player.policy import ServerCommand
from player.qoe import QoE
from player.record import ChunkRow, EndRow
from player.video.video import Video
from testbed.link.settings import LinkSettings
from testbed.verdict.judge import Verdict
from traces.files import partial_of
from traces.trace import Trace
from traces.versions import CodeVersion, code_version, typed_in

LOGS = "logs"
"""Folder beside the records: link logs, origin logs, captures, what players said."""
LANES_AT_ONCE = "lanes_at_once"
"""Where a manifest says how many lanes streamed side by side when its session began."""

LOG_ENDINGS = ("link.jsonl", "origin.jsonl", "pcap", "stderr.txt")


@dataclass(frozen=True)
class SessionPlan:
    """One session to stream."""

    policy: str
    trace: Trace
    trace_spec: str
    start_s: float
    video: Video
    """Cut to the chunks to be streamed."""
    video_spec: str
    settings: LinkSettings
    backend: str
    qoe: QoE
    seed: int
    decision_deadline_s: float
    record: Path
    command_line: tuple[str, ...]
    thresholds: BufferThresholds = USUAL_THRESHOLDS
    """When its player asks for more, and when it plays."""
    cap_mbps: float | None = None
    pcap: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    """What the manifest says besides."""
    server: ServerCommand | None = None
    """Which the policy asks."""
    fallback: str = FALLBACK
    """The spec of who decides where the policy can't."""
    strict: bool = False
    """Nobody: the policy's first fault stops everything."""
    directory: str = field(default_factory=typed_in)
    """Where the command was typed."""
    code: CodeVersion = field(default_factory=code_version)
    """The tree that planned it."""

    @property
    def name(self) -> str:
        """The record's name without its ending."""
        return self.record.name.removesuffix(".jsonl")

    def log(self, ending: str) -> Path:
        """A file that belongs to this session: the folder of records itself holds only records."""
        return self.record.parent / LOGS / f"{self.name}.{ending}"

    def aside(self, ending: str) -> Path:
        """Where such a file is written until it is complete."""
        return partial_of(self.log(ending))

    def leftovers(self) -> list[Path]:
        """Files that an unfinished session would leave."""
        return [self.aside(ending) for ending in LOG_ENDINGS]


@dataclass(frozen=True)
class SessionResult:
    """What came of it."""

    plan: SessionPlan
    chunks: tuple[ChunkRow, ...]
    end: EndRow
    verdict: Verdict
    notes: tuple[str, ...] = ()
    """What happened to the server that its policy asks."""


def names_of(plans: Sequence[SessionPlan]) -> list[str]:
    """What a person calls each session: its policy, as it was asked for; where several sessions have one
    policy, its record (`bba`, `bba-2`)."""
    times = Counter(plan.policy for plan in plans)
    return [plan.name if times[plan.policy] > 1 else plan.policy for plan in plans]


class AskedServer(Protocol):
    """As much as a session needs to know of the server that its policy asks (`policy_server.py`)."""

    @property
    def environment(self) -> Mapping[str, str]:
        """What tells a player where it is."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """What a record says of it."""

    @property
    def notes(self) -> Sequence[str]:
        """What happened to it, in words."""


class Watcher(Protocol):
    """Who is shown the sessions while they run; `index` tells them apart."""

    def state(self, index: int, state: dict[str, Any]) -> None:
        """A glance at a player, about four times a second."""

    def chunk(self, index: int, row: ChunkRow) -> None:
        """A chunk is in."""

    def end(self, index: int, row: EndRow) -> None:
        """A session is over."""

"""What is planned of any session on a lane, whatever it plays: its files, its link, its trace."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from player.policy import ServerCommand
from testbed.link.settings import LinkSettings
from testbed.machine.load import SESSION_LOAD
from testbed.machine.readings import MachineReading
from traces.files import partial_of
from traces.trace import Trace
from traces.versions import CodeVersion, code_version, typed_in

LOGS = "logs"
"""Folder beside the records: link logs, origin logs, captures, what players said."""
LANES_AT_ONCE = "lanes_at_once"
"""Where a manifest says how many lanes streamed side by side when its session began."""

LOG_ENDINGS = ("link.jsonl", "origin.jsonl", "pcap", "stderr.txt")


@dataclass(frozen=True, kw_only=True)
class LanePlan:
    """One session on a lane."""

    kind: ClassVar[str] = ""
    """`video`, `call` or `flow`."""

    policy: str
    trace: Trace
    trace_spec: str
    start_s: float
    settings: LinkSettings
    backend: str
    seed: int
    record: Path
    command_line: tuple[str, ...]
    cap_mbps: float | None = None
    pcap: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    """What the manifest says besides."""
    server: ServerCommand | None = None
    """Which the policy asks."""
    strict: bool = False
    """The policy's first fault stops everything."""
    beside: tuple[LanePlan, ...] = ()
    """Who else is on its lane."""
    offset_s: float | None = None
    """Begins so long after the lane's first session; None: as its place among them says."""
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


def names_of(plans: Sequence[LanePlan]) -> list[str]:
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


@dataclass(frozen=True, kw_only=True)
class LanesPlan:
    """All sessions of a run, a lane each."""

    sessions: tuple[Any, ...]
    """`LanePlan`s, one a lane; who else is on its lane stands in it (`beside`)."""
    out: Path
    named: bool
    """Whether the user named the folder; else it is ours to remove when nothing came of the run."""
    device: str = "auto"
    """For the servers that policies ask."""
    left_out: tuple[str, ...] = ()
    """Why policies that nobody asked for by name are not among them."""
    notes: tuple[str, ...] = ()
    """What a person should know before."""
    lanes: int | None = None
    """How many stream at once; None for as many as the machine holds."""
    retries: int = 0
    """How often a session whose link was not true is streamed again."""
    begun: MachineReading | None = None
    """The machine when planning began; None for nobody who wants to know how busy it has been since."""
    lane_load: float = SESSION_LOAD
    """Processors that a lane keeps busy in the mean."""

    @property
    def servers(self) -> tuple[ServerCommand, ...]:
        """What has to be started for the policies."""
        return tuple(dict.fromkeys(one.server for one in self.all_sessions if one.server is not None))

    @property
    def all_sessions(self) -> tuple[Any, ...]:
        """Those of all lanes, each lane's together."""
        return tuple(each for one in self.sessions for each in (one, *one.beside))


def how_asked(args: argparse.Namespace) -> dict[str, Any]:
    """The part of a `LanesPlan` that the options of how to run say."""
    named = args.out is not None
    return {"named": named, "device": args.device, "lanes": args.lanes, "retries": args.retry_invalid}

"""Sessions of two clients that had the same to do: policy, trace, start, video and link."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from analysis.outcomes import spoken_of
from analysis.sessions import SessionRecord, load_sessions
from player.record import FINISHED
from policies.explain.replayed import PlayedSession, played_session
from testbed.process.errors import TestbedError
from traces.words import counted

OURS = "python"
"""The client of records that name none."""
LINK = (
    *("rtt_ms", "jitter_ms", "media_delay_ms", "media_jitter_ms", "grant_ms", "loss", "queue_limit_bytes"),
    *("congestion_control", "slow_start_after_idle", "aqm"),
)
"""What of a link both had to have alike."""


@dataclass(frozen=True)
class ClientSession:
    """A session of one client."""

    read: SessionRecord

    @cached_property
    def played(self) -> PlayedSession:
        """With the observations of its decisions.

        Raises:
            RecordError: it doesn't say what was streamed.
        """
        return played_session(Path(self.read.path))

    @property
    def client(self) -> str:
        told = self.read.told.player
        return (told.client if told else None) or OURS

    @property
    def task(self) -> Hashable:
        """What there was to do."""
        trace, video, link = (self.read.section(name) for name in ("trace", "video", "link"))
        return (
            self.read.policy,
            str(trace.get("sha256")),
            float(trace.get("start_s") or 0.0),
            (str(video.get("name")), int(video.get("chunks") or 0), float(video.get("chunk_s") or 0.0)),
            tuple(str(link.get(name)) for name in LINK),
            spoken_of(self.read.section("player")),
        )


@dataclass(frozen=True)
class ClientPair:
    """Ours, and the other client's."""

    ours: ClientSession
    theirs: ClientSession

    @property
    def policy(self) -> str:
        return self.ours.read.policy

    @property
    def trace(self) -> str:
        found = self.ours.read.trace
        return found.name if found else "network"


@dataclass(frozen=True)
class FoundPairs:
    """The pairs, and what was put aside."""

    pairs: tuple[ClientPair, ...]
    client: str
    """The other one."""
    version: str
    invalid: int
    unfinished: int
    alone: int
    """Sessions that the other client doesn't have."""

    @property
    def policies(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(pair.policy for pair in self.pairs))

    def __str__(self) -> str:
        traces = len({pair.trace for pair in self.pairs})
        return (
            f"{counted(len(self.pairs), 'pair')} of sessions over {counted(traces, 'trace')}, our player's"
            f" and {self.client} {self.version}'s; left out: {self.invalid} of untrue links,"
            f" {self.unfinished} unfinished, {self.alone} without its like"
        )


def find_pairs(places: Sequence[Path]) -> FoundPairs:
    """Read the sessions, and pair them.

    Raises:
        TestbedError: there is one client only, or more than two, a session twice, or no pair.
        AnalysisError, RecordError, OSError: what cannot be read.
    """
    read = load_sessions(places)
    whole = [ClientSession(one) for one in read.taken if one.end.outcome == FINISHED]
    clients = sorted({one.client for one in whole} - {OURS})
    if len(clients) != 1 or not any(one.client == OURS for one in whole):
        there = ", ".join(sorted({one.client for one in whole})) or "none that finished"
        raise TestbedError(
            f"sessions of our player and of one other client make pairs; here are: {there}"
            " (testbed/run.py --player dashjs makes those of dash.js)"
        )
    by_task: dict[Hashable, dict[str, ClientSession]] = defaultdict(dict)
    for one in whole:
        if one.client in by_task[one.task]:
            raise TestbedError(
                f"{one.read.path} and {by_task[one.task][one.client].read.path} are the same session played"
                " twice; name folders that hold it once"
            )
        by_task[one.task][one.client] = one
    pairs = tuple(
        ClientPair(both[OURS], both[clients[0]])
        for both in by_task.values()
        if len(both) == len((OURS, *clients))
    )
    if not pairs:
        raise TestbedError(
            f"no session of our player has its like among {clients[0]}'s: same policy, trace, start, video,"
            " chunks and link"
        )
    told = pairs[0].theirs.read.section("player")
    return FoundPairs(
        pairs,
        clients[0],
        str(told.get("client_version", "")),
        len(read.left_out),
        len(read.taken) - len(whole),
        len(whole) - 2 * len(pairs),
    )

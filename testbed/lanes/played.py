"""What one session of a lane tells of its link."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from player.record import ChunkRow
from testbed.lanes.members import Member
from testbed.verdict.evidence import CallUse, QuicUse


@dataclass(frozen=True)
class Played:
    """One session's part of what passed a link."""

    chunks: Sequence[ChunkRow]
    """Of a video."""
    offset_s: float
    """When it began, since the lane's first player did."""
    elapsed_s: float
    """From its begin to its end."""
    finished: bool
    """Whether it played its whole video."""
    wanted_share: float
    """Of its time in which some process wanted a processor and had none, 0 to 1."""
    call: CallUse | None = None
    """Of a call."""
    members: tuple[Member, ...] = ()
    """What it got of the link: a video or a call, or each of several flows."""
    own_pace: bool = False
    """Its chunks came as they were made, whatever the link could carry."""
    quic: QuicUse | None = None
    """Of a video over QUIC."""
    flows: bool = False
    """They are bulk flows, of whose bytes only they themselves know."""


def payload_bytes(played: Sequence[Played]) -> int | None:
    """What the chunks of all hold; None where more than that passed, or was asked for."""
    if not all(one.finished and one.call is None and not one.flows for one in played):
        return None
    rows = [row for one in played for row in one.chunks]
    return None if any(row.retries for row in rows) else sum(row.size_bytes for row in rows)

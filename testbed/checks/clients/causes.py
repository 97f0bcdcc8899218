"""Why a policy chose otherwise in the other client: it is asked again, with parts of what ours saw.

Sessions part by and by: another download time makes another buffer, that another level, and so on. So of
each chunk whose levels differ by more than one it is asked what the policy would have chosen *there*, at that
point of the other client's session, had it seen one part of what it saw in ours: the buffer, the speed at
which chunks came, the round trips, the levels so far. The first that brings its choice to within a level of
ours is the cause. Parts are tried from single ones to several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from player.observation import Observation, PastChunk
from player.policy import BY_POLICY, Policy
from player.record import ChunkRow
from player.registry import load_policy
from policies.explain.replayed import PlayedSession
from testbed.checks.clients.pairs import ClientPair

BUFFER = "buffer"
SPEED = "download speeds"
ROUND_TRIPS = "round trips"
LEVELS = "levels before"
SEVERAL = "buffer and download speeds"
HISTORY = "all of the history"
TOGETHER = "all together"
MEMORY = "what the policy remembers"
ANOTHER = "another decided"
AGAIN = "it answers otherwise when asked again"
CAUSES = (BUFFER, SPEED, ROUND_TRIPS, LEVELS, SEVERAL, HISTORY, TOGETHER, MEMORY, ANOTHER, AGAIN)
"""In the order in which they are tried, but for the last three."""

BY_MODEL = ("llm", "light")
NEAR = 1
"""Levels apart that need no cause."""
Mixed = Callable[[Observation, Observation], Observation]
"""(ours, theirs): theirs with a part of ours."""


@dataclass(frozen=True)
class PartedChoice:
    """A chunk that the two clients have in levels more than one apart."""

    chunk: int
    ours: int
    theirs: int
    cause: str


def _with_buffer(ours: Observation, theirs: Observation) -> Observation:
    return replace(theirs, buffer_s=ours.buffer_s)


def _with_history(
    part: Callable[[PastChunk, PastChunk], PastChunk], ours: Observation, theirs: Observation
) -> Observation:
    """Theirs, each past chunk made of both."""
    return replace(theirs, history=tuple(map(part, ours.history, theirs.history)))


def _speed_of(ours: PastChunk, theirs: PastChunk) -> PastChunk:
    """Their chunk, as fast as ours came."""
    if ours.throughput_mbps <= 0:
        return theirs
    took_s = 8e-6 * theirs.size_bytes / ours.throughput_mbps
    return replace(theirs, throughput_mbps=ours.throughput_mbps, download_s=took_s)


def _round_trip_of(ours: PastChunk, theirs: PastChunk) -> PastChunk:
    return replace(theirs, rtt_ms=ours.rtt_ms)


def _level_of(ours: PastChunk, theirs: PastChunk) -> PastChunk:
    """Our level and size, at the speed of theirs."""
    if theirs.throughput_mbps <= 0:
        return theirs
    took_s = 8e-6 * ours.size_bytes / theirs.throughput_mbps
    return replace(theirs, level=ours.level, size_bytes=ours.size_bytes, download_s=took_s)


def _buffer_and_speed(ours: Observation, theirs: Observation) -> Observation:
    return _with_buffer(ours, _with_history(_speed_of, ours, theirs))


def _all_but_buffer(ours: Observation, theirs: Observation) -> Observation:
    return replace(ours, buffer_s=theirs.buffer_s)


def _ours(ours: Observation, theirs: Observation) -> Observation:
    return ours


TRIED: dict[str, Mixed] = {
    BUFFER: _with_buffer,
    SPEED: lambda ours, theirs: _with_history(_speed_of, ours, theirs),
    ROUND_TRIPS: lambda ours, theirs: _with_history(_round_trip_of, ours, theirs),
    LEVELS: lambda ours, theirs: _with_history(_level_of, ours, theirs),
    SEVERAL: _buffer_and_speed,
    HISTORY: _all_but_buffer,
    TOGETHER: _ours,
}
"""Where even all that was seen in ours does not bring the policy near, it went by what it remembers of the
other client's session."""


def parted(pair: ClientPair, policy: Policy | None = None) -> Iterator[PartedChoice]:
    """The chunks of a pair that are more than a level apart, each with its cause.

    Args:
        policy: who decided (default: made of the record's spec).

    Raises:
        RecordError: a record doesn't hold what the decisions were made of.
        PolicyError: there is no such policy here.
    """
    rows = list(zip(pair.ours.read.chunks, pair.theirs.read.chunks, strict=False))
    far = [row for row in rows if abs(row[0].level - row[1].level) > NEAR]
    if not far:
        return
    decider = policy or load_policy(pair.policy).policy
    for ours, theirs in far:
        cause = _cause(pair, ours, theirs, decider)
        yield PartedChoice(ours.chunk, ours.level, theirs.level, cause)


def _cause(pair: ClientPair, ours: ChunkRow, theirs: ChunkRow, policy: Policy) -> str:
    if any(row.by not in (BY_POLICY, *BY_MODEL) for row in (ours, theirs)):
        return ANOTHER
    session = pair.theirs.played
    seen = (pair.ours.played.observations[ours.chunk], session.observations[ours.chunk])
    if _asked(policy, session, session.observations[ours.chunk]) != theirs.level:
        return AGAIN
    for cause, mixed in TRIED.items():
        if abs(_asked(policy, session, mixed(*seen)) - ours.level) <= NEAR:
            return cause
    return MEMORY


def _asked(policy: Policy, session: PlayedSession, last: Observation) -> int:
    """The level that a policy chooses by `last` after all that came before it in a session."""
    policy.reset(session.video, session.record.told.seed or 0, session.qoe)
    for seen in session.observations[: last.chunk]:
        policy.select(seen)
    answer = policy.select(last)
    return answer if isinstance(answer, int) else answer.level


def counted_causes(choices: Sequence[PartedChoice]) -> dict[str, int]:
    """How many choices each cause has; only those that there are."""
    found = {cause: sum(one.cause == cause for one in choices) for cause in CAUSES}
    return {cause: count for cause, count in found.items() if count}

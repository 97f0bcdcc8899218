"""Sessions over a real network, which nothing pairs: what each watched and stalled, in which block of time.

Networks change with the hour, so policies are compared within blocks of time that all of them streamed in. A
block begins on the clock and lasts as long as asked for, or longer: it takes the next ones in until it holds
two sessions of each policy, for from one nobody learns how much sessions vary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from analysis.outcomes import CUT_SHORT, NOT_ITS_OWN, LeftOut
from analysis.sessions import (
    AnalysisError,
    SessionRecord,
    of_policies,
    read_each,
)
from player.qoe import QoE, Scored, Scoring, scored_words, summarise
from player.record import INTERRUPTED, RecordError, by_fallback_alone, read_record

WITH_TRACE = "it ran over a trace: `python -m analysis compare` pairs it"
NOTHING_PLAYED = "it ended before two chunks were in or anything was played"
NO_TIME = "its manifest does not say when it began"

LEAST_SESSIONS = 2
"""Of each policy in a block."""


@dataclass(frozen=True)
class Stream:
    """A session over a real network."""

    record: str
    policy: str
    began_s: float
    """Since the epoch."""
    video: str
    stall_s: float
    played_s: float
    bitrate_mbps: float
    """Mean over all chunks but the first."""
    qoe: float
    """Mean over the same chunks."""
    counted_chunks: int
    ladder_kbps: tuple[int, ...]
    scored: QoE
    """What `qoe` is scored by."""
    switches: int = 0

    @property
    def watched_s(self) -> float:
        """Stalls included, startup not."""
        return self.stall_s + self.played_s


@dataclass(frozen=True)
class FoundStreams:
    """What was found in some places."""

    taken: tuple[Stream, ...]
    left_out: tuple[LeftOut, ...]
    unreadable: tuple[str, ...]

    @property
    def scored(self) -> list[Scored]:
        """What the sessions are scored by, once a video."""
        return list(dict.fromkeys((one.video, one.ladder_kbps, one.scored) for one in self.taken))

    @property
    def weights(self) -> str:
        """The same in words."""
        return scored_words(self.scored)


@dataclass(frozen=True)
class TimeBlock:
    """Sessions of all policies that began in one stretch of time."""

    begin_s: float
    end_s: float
    """Since the epoch; the block's last session began before it."""
    streams: dict[str, tuple[Stream, ...]]
    """Of each policy, two or more."""


def read_streams(
    places: Sequence[Path], scoring: Scoring, policies: Sequence[str] = (), *, interrupted: bool = False
) -> FoundStreams:
    """Read the sessions of folders and record files that ran over a real network.

    Args:
        scoring: what they are scored by.
        policies: only these (as they were asked for); all if empty.
        interrupted: count sessions that somebody cut short, too.

    Raises:
        AnalysisError: nothing to read in a place, a record of another version, a policy that no record has,
            no session that counts.
        OSError: a place that cannot be read.
    """

    def stream(path: Path) -> Stream | LeftOut:
        return stream_of(SessionRecord(read_record(path)), scoring, interrupted=interrupted)

    read, faults = read_each(places, stream)
    wanted = of_policies(read, policies)
    taken = tuple(one for one in wanted if isinstance(one, Stream))
    left_out = tuple(one for one in wanted if isinstance(one, LeftOut))
    if not taken:
        why = Counter(one.reason for one in left_out)
        reasons = "; ".join(f"{count} left out, {reason}" for reason, count in why.items())
        raise AnalysisError(f"no session over a real network counts: {reasons or faults[0][1]}")
    return FoundStreams(taken, left_out, tuple(fault for _, fault in faults))


def stream_of(session: SessionRecord, scoring: Scoring, *, interrupted: bool = False) -> Stream | LeftOut:
    """One session's stream, or why it is not counted.

    Args:
        interrupted: count it, too, if somebody cut it short.

    Raises:
        RecordError: a ladder that the QoE cannot score.
    """

    def left_out(reason: str) -> LeftOut:
        return LeftOut(session.path, session.policy, None, reason)

    end, began_s = session.end, _began_s(session.told.started_at)
    if session.trace is not None:
        return left_out(WITH_TRACE)
    if by_fallback_alone({row.by for row in session.chunks}):
        return left_out(NOT_ITS_OWN)
    if end.outcome == INTERRUPTED and not interrupted:
        return left_out(CUT_SHORT)
    if began_s is None:
        return left_out(NO_TIME)
    try:
        scored = scoring.on_video(session.told.video, session.record.ladder_kbps)
        found = summarise(session.chunks, end, session.record.ladder_kbps, scored)
    except ValueError as error:
        raise RecordError(f"{session.path}: {error}") from None
    if found.qoe is None or found.bitrate_mbps is None or end.played_s <= 0:
        return left_out(NOTHING_PLAYED)
    video = session.told.video
    return Stream(
        record=session.path,
        policy=session.policy,
        began_s=began_s,
        video=(video.name if video else None) or "?",
        stall_s=end.stall_s,
        played_s=end.played_s,
        bitrate_mbps=found.bitrate_mbps,
        qoe=found.qoe,
        counted_chunks=found.chunks - 1,
        ladder_kbps=tuple(session.record.ladder_kbps),
        scored=scored,
        switches=found.switches,
    )


def _began_s(text: str | None) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp() if text else None
    except ValueError:
        return None


def blocks_of(streams: Sequence[Stream], hours: float) -> list[TimeBlock]:
    """Blocks in order of time, each with two sessions or more of every policy; none where there are too few.

    What is left over at the end joins the last block, so that every session is in one.
    """
    policies = dict.fromkeys(one.policy for one in streams)
    length_s = 3600.0 * hours
    parts: dict[int, list[Stream]] = {}
    for one in streams:
        parts.setdefault(int(one.began_s // length_s), []).append(one)
    groups: list[tuple[int, int, list[Stream]]] = []
    first, held = None, list[Stream]()
    for number in sorted(parts):
        first = number if first is None else first
        held += parts[number]
        counts = Counter(one.policy for one in held)
        if all(counts[policy] >= LEAST_SESSIONS for policy in policies):
            groups.append((first, number + 1, held))
            first, held = None, []
    if held and groups:
        begin, _, before = groups.pop()
        groups.append((begin, max(parts) + 1, [*before, *held]))
    return [
        TimeBlock(
            begin * length_s,
            end * length_s,
            {policy: tuple(one for one in mine if one.policy == policy) for policy in policies},
        )
        for begin, end, mine in groups
    ]

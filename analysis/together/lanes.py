"""Bottlenecks that several shared, read from the records of those who did: what each got of it.

Every record of a shared lane tells the same of it (`link.together` in its last line); a lane counts once.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.bootstrap import Interval, mean_interval
from analysis.clusters import ClusterRule
from analysis.sessions import AnalysisError, RecordRead, complaint, read_each
from player.call.record import CallRecord, is_call, read_call
from player.record import Record, RecordError, read_record
from traces.safe_reading import BadFileError, read_first_object

TOGETHER = "together"
FLOW = "flow"


@dataclass(frozen=True)
class SharingSession(RecordRead):
    """A session or a call."""

    record: CallRecord | Record


@dataclass(frozen=True)
class SharedMember:
    """One of those who shared a lane."""

    words: str
    """`call gcc`, `flow cubic 1`."""
    mbps: float | None
    share: float | None
    """Of what the link carried."""
    stall_ratio: float | None
    """None of a flow."""


@dataclass(frozen=True)
class SharedLane:
    """A lane that several shared, while all were there."""

    setting: str
    trace: str
    jain: float | None
    """None: they never were there together."""
    members: tuple[SharedMember, ...]

    @property
    def who(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(one.words for one in self.members)


@dataclass(frozen=True)
class FoundLanes:
    """The lanes of folders and record files."""

    lanes: tuple[SharedLane, ...]
    invalid: int
    """Records of lanes whose link was not what it should be."""
    alone: int
    """Records of sessions that had their lane to themselves."""
    unreadable: tuple[str, ...]


def shared_lane(session: SharingSession) -> SharedLane | None:
    """The lane of a session; None where it had one to itself.

    Raises:
        RecordError: what it tells of it is no such thing.
    """
    told = session.record.end.link.get(TOGETHER)
    if told is None:
        return None
    try:
        members = tuple(
            SharedMember(
                f"{one['kind']} {one['name']}",
                *(_number(one[key]) for key in ("mbps", "share", "stall_ratio")),
            )
            for one in told["members"]
        )
        sweep = session.section("sweep")
        trace = session.section("trace").get("name", "-")
        return SharedLane(str(sweep.get("setting") or ""), str(trace), _number(told["jain"]), members)
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"{session.path}: link.{TOGETHER} tells of no shared lane ({error!r})") from None


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def read_lanes(places: Sequence[Path]) -> FoundLanes:
    """The shared lanes of folders and record files.

    Raises:
        AnalysisError: nothing to read in a place, no record that can be read, or none of a shared lane.
        OSError: a place that cannot be read.
    """

    sessions, faults = read_each(places, _read)
    if not sessions:
        raise AnalysisError(complaint(faults, len(faults)))
    return found_lanes(sessions, tuple(fault for _, fault in faults))


def _read(path: Path) -> SharingSession:
    try:
        a_call = is_call(read_first_object(path))
    except BadFileError as error:
        raise RecordError(str(error)) from None
    return SharingSession(read_call(path) if a_call else read_record(path))


def found_lanes(sessions: Sequence[SharingSession], unreadable: tuple[str, ...] = ()) -> FoundLanes:
    """The shared lanes of sessions, each once."""
    lanes: dict[Hashable, SharedLane] = {}
    invalid = alone = 0
    for session in sessions:
        lane = shared_lane(session)
        if lane is None:
            alone += 1
        elif not session.record.end.valid:
            invalid += 1
        else:
            told = json.dumps(session.record.end.link[TOGETHER], sort_keys=True)
            lanes[str(Path(session.path).parent), lane.trace, told] = lane
    return FoundLanes(tuple(lanes.values()), invalid, alone, unreadable)


@dataclass(frozen=True)
class MemberMeans:
    """One of those who shared lanes, over all of these."""

    words: str
    mbps: Interval
    share: Interval
    stall_ratio: Interval | None


@dataclass(frozen=True)
class SharedMeans:
    """Lanes of one setting with the same members."""

    setting: str
    lanes: int
    traces: int
    jain: Interval
    members: tuple[MemberMeans, ...]


def shared_means(lanes: Sequence[SharedLane], rule: ClusterRule) -> Iterator[SharedMeans]:
    """Means with intervals over traces, for each setting and set of members; lanes on which they never were
    there together are in none."""
    groups: dict[tuple[str, tuple[str, ...]], list[SharedLane]] = {}
    for lane in lanes:
        if lane.jain is not None:
            groups.setdefault((lane.setting, lane.who), []).append(lane)
    for (setting, who), mine in groups.items():
        clusters = [rule.key(lane.trace) for lane in mine]
        yield SharedMeans(
            setting=setting,
            lanes=len(mine),
            traces=len({lane.trace for lane in mine}),
            jain=mean_interval([lane.jain or 0.0 for lane in mine], clusters),
            members=tuple(_member(words, place, mine, clusters) for place, words in enumerate(who)),
        )


def _member(words: str, place: int, lanes: Sequence[SharedLane], clusters: Sequence[Hashable]) -> MemberMeans:
    mine = [lane.members[place] for lane in lanes]
    stalls = [one.stall_ratio for one in mine]
    known = [stall for stall in stalls if stall is not None]
    return MemberMeans(
        words=words,
        mbps=mean_interval([one.mbps or 0.0 for one in mine], clusters),
        share=mean_interval([one.share or 0.0 for one in mine], clusters),
        stall_ratio=mean_interval(known, clusters) if len(known) == len(mine) else None,
    )


def as_json(found: FoundLanes, means: Sequence[SharedMeans]) -> Mapping[str, Any]:
    """The object of `--json`."""
    return {
        "lanes": len(found.lanes),
        "invalid": found.invalid,
        "groups": [
            {
                "setting": one.setting,
                "lanes": one.lanes,
                "traces": one.traces,
                "jain": one.jain.mean,
                "jain_ci95": one.jain.bounds,
                "members": [
                    {
                        "who": each.words,
                        **{
                            key: value
                            for name in ("mbps", "share", "stall_ratio")
                            for key, value in _interval_json(name, getattr(each, name))
                        },
                    }
                    for each in one.members
                ],
            }
            for one in means
        ],
    }


def _interval_json(name: str, found: Interval | None) -> list[tuple[str, Any]]:
    mean, bounds = (None, None) if found is None else (found.mean, found.bounds)
    return [(name, mean), (f"{name}_ci95", bounds)]

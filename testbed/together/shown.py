"""All that a command shows and says of its sessions, of one kind or several, alone on their lanes or not.

What calls need is imported where there are some: `run.py` starts without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table

from player.record import FINISHED
from testbed.lanes.members import VIDEO
from testbed.session import summary as of_videos
from testbed.session.session_plan import finished
from testbed.together.summary import as_json, calls_of, everybody, remarks, shared_table, videos_of


def tables(results: Sequence[Any]) -> Iterator[Table]:
    """Videos, calls, and who shared a bottleneck; what there is none of has no table."""
    videos, calls, shared = videos_of(results), calls_of(results), shared_table(results)
    if videos:
        yield of_videos.table(videos, videos[0].plan.scored_by)
    if calls:
        from testbed.calling import summary as of_calls

        yield of_calls.table(calls)
    if shared is not None:
        yield shared


def lines(results: Sequence[Any]) -> list[str]:
    """What a reader of the tables has to know besides."""
    videos, calls = videos_of(results), calls_of(results)
    said = of_videos.remarks(videos) if videos else []
    if calls:
        from testbed.calling import summary as of_calls

        said = [*said, *of_calls.remarks(calls)]
    return list(dict.fromkeys([*said, *remarks(results)]))


def objects(results: Sequence[Any]) -> dict[str, Any]:
    """What `--json` says besides the command's own kind of session, where lanes were shared."""
    if not any(one.beside for one in results):
        return {}
    videos, calls = videos_of(results), calls_of(results)
    more: dict[str, Any] = {"together": as_json(results)}
    if videos and results[0].plan.kind != VIDEO:
        more["videos"] = of_videos.as_json(videos, videos[0].plan.scored_by, "")["policies"]
    if calls and results[0].plan.kind == VIDEO:
        from testbed.calling import summary as of_calls

        more["calls"] = of_calls.as_json(calls, "")["calls"]
    return more


def good(result: Any) -> bool:
    """Whether it and all who were beside it went to their ends over a link that was true."""
    return all(map(_good, everybody([result])))


def _good(one: Any) -> bool:
    if one.plan.kind == VIDEO:
        return finished(one)
    return one.end.outcome == FINISHED and bool(one.end.valid)

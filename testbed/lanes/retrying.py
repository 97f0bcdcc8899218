"""`run.py --retry-invalid`: sessions whose link was not true, streamed again; what they left is kept."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from rich.console import Console
from rich.text import Text

from testbed.lanes.medium import Medium, Result
from testbed.lanes.plan import LOG_ENDINGS, LOGS, LanesPlan
from testbed.lanes.side_by_side import Interrupt, Interrupted, side_by_side
from traces.files import refuse_special
from traces.ownership import make_within
from traces.words import counted

INVALID = "invalid"
"""Folder beside the records: `NAME-1.jsonl` is the first try of the session that is now in `NAME.jsonl`."""
ATTEMPT = "attempt"
"""Where a manifest says which try it was, from 2 on."""


@dataclass(frozen=True)
class RetriedSession(Generic[Result]):
    """A session that was streamed again."""

    result: Result
    record: Path
    """Where the invalid one's record is now."""
    moved: tuple[tuple[Path, Path], ...]
    """(from, to) of its files."""

    def put_back(self) -> None:
        """As if it had not been tried again."""
        for before, after in self.moved:
            after.replace(before)


async def streamed(
    plan: LanesPlan, medium: Medium[Any, Result], console: Console, interrupt: Interrupt
) -> tuple[list[Result], list[RetriedSession[Result]]]:
    """Stream all sessions, and so often as was asked for those again whose links were not true.

    Returns:
        the last result of each, and the sessions that those of them replace.

    Raises: as `side_by_side` does.
    """
    results = await side_by_side(plan, medium, console, interrupt)
    retried: list[RetriedSession[Result]] = []
    for attempt in range(1, plan.retries + 1):
        untrue = [place for place, result in enumerate(results) if not result.end.valid]
        if not untrue or interrupt.status:
            break
        names = ", ".join(results[place].plan.name for place in untrue)
        console.print(
            Text(f"{counted(len(untrue), 'invalid session')} again, {attempt} of {plan.retries}: {names}")
        )
        aside = [set_aside(results[place], plan.out, attempt) for place in untrue]
        anew = await _again(plan, medium, aside, attempt, console, interrupt)
        for place, one, result in zip(untrue, aside, anew, strict=False):
            results[place] = result
            retried.append(one)
    return results, retried


async def _again(
    plan: LanesPlan,
    medium: Medium[Any, Result],
    aside: Sequence[RetriedSession[Result]],
    attempt: int,
    console: Console,
    interrupt: Interrupt,
) -> list[Result]:
    """New results of sessions, the first so many of them; the others stand as they were."""
    sessions = tuple(
        dataclasses.replace(one.result.plan, facts={**one.result.plan.facts, ATTEMPT: attempt + 1})
        for one in aside
    )
    anew: list[Result] = []
    try:
        with contextlib.suppress(Interrupted):
            again = dataclasses.replace(plan, sessions=sessions)
            anew = await side_by_side(again, medium, console, interrupt)
    finally:
        for one in aside[len(anew) :]:
            one.put_back()
    return anew


def set_aside(result: Result, out: Path, attempt: int) -> RetriedSession[Result]:
    """Move what a session left out of the way, under names that say that it was invalid.

    Raises:
        OSError: it cannot be moved.
    """
    folder = make_within(out, INVALID)
    logs = make_within(folder, LOGS)
    pairs = []
    for session in (result.plan, *result.plan.beside):
        name = f"{session.name}-{attempt}"
        pairs.append((session.record, folder / f"{name}.jsonl"))
        pairs += [(session.log(ending), logs / f"{name}.{ending}") for ending in LOG_ENDINGS]
    record = pairs[0][1]
    moved = tuple(pair for pair in pairs if pair[0].exists())
    for before, after in moved:
        refuse_special(after)
        before.replace(after)
    return RetriedSession(result, record, moved)

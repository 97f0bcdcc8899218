"""What those who shared a bottleneck got of it: a table for a person, an object for a machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from testbed.lanes.members import CALL, VIDEO
from testbed.session.summary import shown_figure

TOGETHER = "together"
"""Where a record's last line has it, under `link`."""


def everybody(results: Sequence[Any]) -> list[Any]:
    """The results of all lanes, whoever was beside each in its place."""
    return [one for first in results for one in (first, *first.beside)]


def videos_of(results: Sequence[Any]) -> list[Any]:
    """Those of videos."""
    return [one for one in everybody(results) if one.plan.kind == VIDEO]


def calls_of(results: Sequence[Any]) -> list[Any]:
    """Those of calls."""
    return [one for one in everybody(results) if one.plan.kind == CALL]


def shared_of(results: Sequence[Any]) -> list[tuple[Any, dict[str, Any]]]:
    """Lanes that were shared: the first one's result, and what each got."""
    return [(one, told) for one in results if (told := one.end.link.get(TOGETHER))]


def as_json(results: Sequence[Any]) -> list[dict[str, Any]]:
    """What `--json` says of shared lanes."""
    return [
        {"lane": one.plan.name, "valid": one.end.valid, **told, "records": [str(one.plan.record)]}
        for one, told in shared_of(results)
    ]


def shared_table(results: Sequence[Any]) -> Table | None:
    """A line for each of those who shared a lane; None where none was shared."""
    lanes = shared_of(results)
    if not lanes:
        return None
    shown = Table(title=_title(lanes), title_justify="left", box=None, pad_edge=False)
    names = ("lane", "who", "from", "to s", "Mbit/s", "of link", "stall ratio", "Jain's index", "link")
    for name in names:
        shown.add_column(name, justify="left" if name in ("lane", "who", "link") else "right")
    for first, told in lanes:
        for place, member in enumerate(told["members"]):
            once = (shown_figure(told["jain"], ".3f"), "valid" if first.end.valid else "INVALID")
            cells = (
                first.plan.name if place == 0 else "",
                *_cells(member),
                *(once if place == 0 else ("", "")),
            )
            shown.add_row(*map(Text, cells))
    return shown


def _title(lanes: Sequence[tuple[Any, dict[str, Any]]]) -> str:
    times = {(told["from_s"], told["until_s"]) for _, told in lanes}
    if len(times) == 1 and None not in (time := times.pop()):
        return f"shared bottlenecks, payload from {time[0]:g} to {time[1]:g} s, when all were there"
    return "shared bottlenecks, payload while all were there"


def _cells(member: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{member['kind']} {member['name']}",
        shown_figure(member["begin_s"], ".1f"),
        shown_figure(member["end_s"], ".1f"),
        shown_figure(member["mbps"], ".3f"),
        _percent(member["share"], ".1f"),
        _percent(member["stall_ratio"], ".2f"),
    )


def _percent(value: float | None, form: str) -> str:
    return "-" if value is None else f"{100 * value:{form}} %"


def remarks(results: Sequence[Any]) -> list[str]:
    """What a reader of the table has to know besides."""
    lines = []
    for first, told in shared_of(results):
        name = first.plan.name
        if told["from_s"] is None:
            lines.append(f"{name}: never were all there together for long enough; no rates are compared")
        for one in told["members"]:
            lines += [f"{name}: flow {one['name']}: {one['fault']}"] if one.get("fault") else []
    return lines

"""Rows as Markdown: scores, differences by pairs, and the verdicts, with what is missing."""

from __future__ import annotations

from collections.abc import Iterator

from policies.generalist.plan import (
    BACKBONES,
    FROZEN_BASE,
    FROZEN_RANDOM,
    PERCENTS,
    PRETRAINED,
    RANDOM,
    SCRATCH,
    SEEDS,
    SHARED_BACKBONES,
)
from policies.generalist.rows import Rows
from policies.generalist.scores import Interval, interval
from policies.generalist.verdict import (
    Makes,
    compared,
    gains_of,
    generalist,
    own_of,
    shared_by,
    transfer,
    transferred,
)

NONE = "-"


def lines(rows: Rows) -> Iterator[str]:
    """All of it."""
    for task in rows.tasks.values():
        sessions = sum(map(len, task.clusters.values()))
        count = sum(len(set(each)) for each in task.clusters.values())
        yield (
            f"{task.task}: {task.gained}, over {sessions} sessions of {count} {task.cluster}s that nothing"
            f" was learned from. {_beside(rows, task.task)}"
        )
    yield ""
    yield from _scores(rows)
    yield ""
    yield from _shares(rows)
    yield ""
    yield "Intervals draw seeds and clusters; (n) says by how many seeds where it is not all three."
    yield str(generalist(rows))
    yield str(transfer(rows))


def _scores(rows: Rows) -> Iterator[str]:
    tasks = tuple(rows.tasks)
    yield "| |" + "".join(f" {task} |" for task in tasks)
    yield "| --- " * (1 + len(tasks)) + "|"
    for backbone in BACKBONES:
        cells = (_cell(scored(rows, own_of(task, backbone), task)) for task in tasks)
        yield f"| own, {backbone} |" + "".join(f" {cell} |" for cell in cells)
    for backbone in SHARED_BACKBONES:
        cells = (_cell(scored(rows, shared_by(tasks, backbone), task)) for task in tasks)
        yield f"| shared, {backbone} |" + "".join(f" {cell} |" for cell in cells)
    for name, backbone, other in (
        ("shared - own", PRETRAINED, PRETRAINED),
        ("the same of random weights", RANDOM, RANDOM),
        ("the same from scratch", SCRATCH, SCRATCH),
    ):
        found = (compared(rows, shared_by(tasks, backbone), own_of(task, other), task) for task in tasks)
        yield f"| {name} |" + "".join(f" {_cell(each)} |" for each in found)
    for other in (RANDOM, FROZEN_BASE, FROZEN_RANDOM, SCRATCH):
        found = (compared(rows, own_of(task), own_of(task, other), task) for task in tasks)
        yield f"| own, {PRETRAINED} - {other} |" + "".join(f" {_cell(each)} |" for each in found)


def _shares(rows: Rows) -> Iterator[str]:
    """Transfer."""
    tasks = tuple(rows.tasks)
    yield "| |" + "".join(f" {percent:g} % |" for percent in PERCENTS)
    yield "| --- " * (1 + len(PERCENTS)) + "|"
    for task in tasks:
        cells = (_cell(scored(rows, transferred(tasks, task, each), task)) for each in PERCENTS)
        yield f"| {task}: transfer |" + "".join(f" {cell} |" for cell in cells)
        for backbone in (FROZEN_BASE, FROZEN_RANDOM):
            cells = (_cell(scored(rows, own_of(task, backbone, each), task)) for each in PERCENTS)
            yield f"| {task}: {backbone} |" + "".join(f" {cell} |" for cell in cells)
        for backbone in (FROZEN_BASE, FROZEN_RANDOM):
            found = (
                compared(rows, transferred(tasks, task, each), own_of(task, backbone, each), task)
                for each in PERCENTS
            )
            yield f"| {task}: transfer - {backbone} |" + "".join(f" {_cell(each)} |" for each in found)


def scored(rows: Rows, makes: Makes, task: str) -> Interval | None:
    """What a kind of run scores in a task; None where it has no row."""
    gains = gains_of(rows, makes, task)
    return interval(list(gains.values()), rows.tasks[task]) if gains else None


def _beside(rows: Rows, task: str) -> str:
    """The small nets that ship, and the teacher, on the same sessions."""
    held = rows.tasks[task]
    told = [f"{row.backbone} {interval([row.gains], held)}" for row in rows.specialists(task)]
    if held.teacher is not None:
        told.append(f"the teacher {held.teacher:+.3f}")
    return f"On these: {', '.join(told) or 'no small net'}."


def _cell(found: Interval | None) -> str:
    if found is None:
        return NONE
    return str(found) if found.seeds == len(SEEDS) else f"{found} ({found.seeds})"

"""A cluster on the wire: what a scheduler sees at each decision as short lists, and what is answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from player.jobs.settings import MOST_EXECUTORS
from policies.llm.serving.fields import FieldError, Fields, is_whole, length, number, shown

MOST_STAGES = 192
"""Of a step; who sees more says which (`seen.py`)."""
MOST_EDGES = 3 * MOST_STAGES
MOST_TASKS = 10**9
MOST_TIME = 1e12
"""Of durations, ages and work, in their units."""


@dataclass(frozen=True, slots=True)
class JobsContext:
    """What holds for an episode."""

    executors: int
    """Of the cluster."""


@dataclass(frozen=True, slots=True)
class Previous:
    """What was given at the decision before."""

    executors: int
    """0: nobody got any."""
    work_s: float
    """What was left of the job that got them, executor-s."""
    gap_s: float
    """Since then."""


@dataclass(frozen=True, slots=True)
class JobStep:
    """What a scheduler sees at a decision: a jobs, n stages of theirs, e edges between these."""

    supply: tuple[int, ...]
    """(a,) executors that a job has, has been promised and that are on their way to it."""
    age_s: tuple[float, ...]
    """(a,) since it came."""
    work_s: tuple[float, ...]
    """(a,) what is left of it, executor-s."""
    job: tuple[int, ...]
    """(n,) a place in `supply`."""
    left: tuple[int, ...]
    """(n,) tasks that have not begun."""
    duration_ms: tuple[float, ...]
    """(n,) of the newest task."""
    ready: tuple[int, ...]
    """(n,) 1: it can take executors; of one at least."""
    begins: tuple[int, ...]
    """(n,) 1: all its parents are done."""
    edges: tuple[tuple[int, int], ...]
    """(e, 2) parent, child, of one job; no circle."""
    source: int
    """The job whose executors are given; -1: none's."""
    free: int
    """Executors to be given."""
    previous: Previous | None
    """None at the first decision."""


@dataclass(frozen=True, slots=True)
class Given:
    """An answer."""

    stage: int | None
    """A place among the step's stages; None: nobody gets any."""
    executors: int


OF_JOBS, OF_STAGES = ("supply", "age_s", "work_s"), ("job", "left", "duration_ms", "ready", "begins")


def dump_step(step: JobStep) -> dict[str, Any]:
    """A step as JSON holds it."""
    before = step.previous
    return {
        "jobs": {name: list(getattr(step, name)) for name in OF_JOBS},
        "stages": {name: list(getattr(step, name)) for name in OF_STAGES},
        "edges": [list(edge) for edge in step.edges],
        "source": step.source,
        "free": step.free,
        "previous": before and {each.name: getattr(before, each.name) for each in fields(Previous)},
    }


def load_context(given: object) -> JobsContext:
    """Raises FieldError: what of it is not as it must be."""
    context = Fields.of(given, "context")
    made = JobsContext(context.whole("executors", 1, MOST_EXECUTORS))
    context.nothing_else()
    return made


def load_step(given: object, where: str) -> JobStep:
    """Raises FieldError: what of it is not as it must be."""
    step = Fields.of(given, where)
    supply, age_s, work_s = _load_jobs(step.take("jobs"), f"{where}.jobs")
    job, left, duration_ms, ready, begins = _load_stages(step.take("stages"), f"{where}.stages", len(supply))
    edges = _load_edges(step.take("edges"), f"{where}.edges", job)
    source, free = step.whole("source", -1, len(supply) - 1), step.whole("free", 1, MOST_EXECUTORS)
    previous = _load_previous(step.take("previous"), f"{where}.previous")
    step.nothing_else()
    return JobStep(
        supply, age_s, work_s, job, left, duration_ms, ready, begins, edges, source, free, previous
    )


def _load_jobs(given: object, where: str) -> tuple[Any, ...]:
    jobs = Fields.of(given, where)
    supply = _wholes(jobs.take("supply"), f"{where}.supply", None, MOST_EXECUTORS)
    times = (_numbers(jobs.take(name), f"{where}.{name}", len(supply)) for name in ("age_s", "work_s"))
    made = (supply, *times)
    jobs.nothing_else()
    return made


def _load_stages(given: object, where: str, jobs: int) -> tuple[Any, ...]:
    stages = Fields.of(given, where)
    job = _wholes(stages.take("job"), f"{where}.job", None, jobs - 1)
    left = _wholes(stages.take("left"), f"{where}.left", len(job), MOST_TASKS)
    duration_ms = _numbers(stages.take("duration_ms"), f"{where}.duration_ms", len(job))
    ready = _wholes(stages.take("ready"), f"{where}.ready", len(job), 1)
    begins = _wholes(stages.take("begins"), f"{where}.begins", len(job), 1)
    stages.nothing_else()
    if not any(ready):
        raise FieldError(f"{where}.ready", "no stage can take executors; expected one or more")
    return job, left, duration_ms, ready, begins


def _load_edges(given: object, where: str, job: Sequence[int]) -> tuple[tuple[int, int], ...]:
    if not (isinstance(given, list) and len(given) <= MOST_EDGES):
        raise FieldError(where, f"{length(given)}; expected a list of 0 to {MOST_EDGES}")
    made = []
    for place, edge in enumerate(given):
        parent, child = _wholes(edge, f"{where}[{place}]", 2, len(job) - 1)
        if job[parent] != job[child]:
            raise FieldError(f"{where}[{place}]", f"stages {parent} and {child} are of two jobs")
        made.append((parent, child))
    if _has_circle(made, len(job)):
        raise FieldError(where, "stages wait for themselves; expected no circle")
    return tuple(made)


def _has_circle(edges: Sequence[tuple[int, int]], nodes: int) -> bool:
    """Whether some nodes stay when those without parents are taken away, again and again."""
    waits = [0] * nodes
    children: list[list[int]] = [[] for _ in range(nodes)]
    for parent, child in edges:
        waits[child] += 1
        children[parent].append(child)
    able = [node for node in range(nodes) if not waits[node]]
    gone = 0
    while able:
        gone += 1
        for child in children[able.pop()]:
            waits[child] -= 1
            if not waits[child]:
                able.append(child)
    return gone < nodes


def _load_previous(given: object, where: str) -> Previous | None:
    if given is None:
        return None
    previous = Fields.of(given, where)
    made = Previous(
        previous.whole("executors", 0, MOST_EXECUTORS),
        previous.number("work_s", 0.0, MOST_TIME),
        previous.number("gap_s", 0.0, MOST_TIME),
    )
    previous.nothing_else()
    return made


def load_value(given: object, where: str) -> Given:
    """Raises FieldError: what of it is not as it must be."""
    value = Fields.of(given, where)
    stage = value.take("stage")
    if stage is not None and not (is_whole(stage) and 0 <= stage < MOST_STAGES):
        raise FieldError(f"{where}.stage", f"{shown(stage)}; expected null, or 0 to {MOST_STAGES - 1}")
    made = Given(stage, value.whole("executors", 0 if stage is None else 1, MOST_EXECUTORS))
    value.nothing_else()
    return made


def _wholes(given: object, where: str, count: int | None, most: int) -> tuple[int, ...]:
    """Whole numbers from 0; as many as asked for, or 1 to `MOST_STAGES`."""
    listed = _list(given, where, count)
    for place, value in enumerate(listed):
        if not is_whole(value) or not 0 <= value <= most:
            raise FieldError(f"{where}[{place}]", f"{shown(value)}; expected a whole number from 0 to {most}")
    return tuple(listed)


def _numbers(given: object, where: str, count: int) -> tuple[float, ...]:
    listed = _list(given, where, count)
    return tuple(number(each, f"{where}[{place}]", 0.0, MOST_TIME) for place, each in enumerate(listed))


def _list(given: object, where: str, count: int | None) -> list[Any]:
    low, high = (1, MOST_STAGES) if count is None else (count, count)
    if not (isinstance(given, list) and low <= len(given) <= high):
        raise FieldError(
            where, f"{length(given)}; expected a list of {f'1 to {high}' if count is None else count}"
        )
    return given

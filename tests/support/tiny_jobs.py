"""Jobs that a person can follow by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from traces.jobs.job import Job, Spread, Stage
from traces.jobs.sequence import JobSequence


def spread(*values_ms: float) -> Spread:
    return Spread(1.0, np.array(values_ms, np.float64))


def stage(
    tasks: int,
    parents: Sequence[int] = (),
    first_ms: float = 200.0,
    rest_ms: float | None = 100.0,
    fresh_ms: float | None = None,
    levels: Sequence[int] = (5,),
) -> Stage:
    known = {"fresh": fresh_ms, "first": first_ms, "rest": rest_ms}
    durations = {
        wave: {level: spread() if value is None else spread(value) for level in levels}
        for wave, value in known.items()
    }
    return Stage(tasks, tuple(parents), durations, first_ms)


def sequence(jobs: Sequence[Sequence[Stage]], arrivals_ms: Sequence[float] = (0.0,)) -> JobSequence:
    made = tuple(Job(f"job{place}", tuple(stages)) for place, stages in enumerate(jobs))
    return JobSequence("tiny/0", np.array(arrivals_ms, np.float64), made, "tiny")

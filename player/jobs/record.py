"""The record of an episode of jobs: a line a job, in order of arrival."""

from __future__ import annotations

from dataclasses import dataclass

from player.tasks.record import RecordKind


@dataclass(frozen=True)
class JobRow:
    """A job."""

    job: str
    """`tpch-q9-50g`."""
    stages: int
    tasks: int
    arrival_s: float
    done_s: float | None
    """None: never."""


JOBS_RECORD = RecordKind("jobs", "job", JobRow)

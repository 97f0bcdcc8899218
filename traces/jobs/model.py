"""The model behind the family `tpch`: graphs of 22 queries, and what tasks of their stages cost.

A stage's mean duration in a wave is lognormal: of the stage's own mean, times the job's size to an exponent
of its role and wave, times a draw for the job. Other numbers of executors stretch it by a factor of role
and wave. Durations within a stage are lognormal around that mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from traces.families.figures_file import model_in, shipped_figures
from traces.jobs.job import LEVELS, WAVES, JobError

ROLES = ("scan", "root", "inner", "sink")
"""A stage without parents of many tasks, one of few, one between, and one without children."""
SCAN_TASKS = 10
"""A root with more tasks than this, at 100 GB, is a scan."""
REFERENCE_GB, REFERENCE_LEVEL = 10.0, 10
SCHEMA = 1


@dataclass(frozen=True)
class StageModel:
    """A stage of a query."""

    parents: tuple[int, ...]
    role: str
    tasks: int
    """At the least; with `tasks_per_gb`, more of a larger job."""
    tasks_per_gb: float
    log_ms: tuple[float, float, float]
    """By wave, at the reference's size and level."""
    fresh: bool
    """Whether durations of fresh executors are known; else the first wave and the warm-up stand for them."""


@dataclass(frozen=True)
class RoleModel:
    """What stages of a role have in common, by wave."""

    size_exponent: tuple[float, float, float]
    job_sd: tuple[float, float, float]
    """Of the logarithm, from job to job."""
    task_sd: tuple[float, float, float]
    """Of the logarithm, from task to task of a stage."""
    slowdown: tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]
    """For each level, 1 at the reference."""


@dataclass(frozen=True)
class JobsModel:
    """A family of jobs."""

    family: str
    about: str
    sizes_gb: tuple[float, ...]
    queries: tuple[tuple[StageModel, ...], ...]
    roles: dict[str, RoleModel]

    def to_json(self) -> dict[str, Any]:
        """As the file has it."""
        return {"schema": SCHEMA, **asdict(self)}


def model_of(told: Mapping[str, Any], source: str) -> JobsModel:
    """The model that a file says.

    Raises:
        JobError: it says none.
    """
    return model_in(told, source, SCHEMA, _made, JobError)


def _made(told: Mapping[str, Any]) -> JobsModel:
    return JobsModel(
        str(told["family"]),
        str(told["about"]),
        tuple(map(float, told["sizes_gb"])),
        tuple(tuple(_stage(stage) for stage in query) for query in told["queries"]),
        {role: _role(told["roles"][role]) for role in ROLES},
    )


def _stage(told: dict[str, Any]) -> StageModel:
    return StageModel(
        tuple(map(int, told["parents"])),
        ROLES[ROLES.index(told["role"])],
        int(told["tasks"]),
        float(told["tasks_per_gb"]),
        _three(told["log_ms"]),
        bool(told["fresh"]),
    )


def _role(told: dict[str, Any]) -> RoleModel:
    rows = [tuple(map(float, row)) for row in told["slowdown"]]
    if [len(row) for row in rows] != [len(LEVELS)] * len(WAVES):
        raise ValueError("slowdown: expected a factor for each wave and level")
    return RoleModel(
        _three(told["size_exponent"]),
        _three(told["job_sd"]),
        _three(told["task_sd"]),
        (rows[0], rows[1], rows[2]),
    )


def _three(values: list[float]) -> tuple[float, float, float]:
    first, second, third = map(float, values)
    return first, second, third


@cache
def tpch_model() -> JobsModel:
    """The model that is shipped.

    Raises:
        JobError, BadFileError: the file has been damaged.
    """
    return model_of(*shipped_figures("traces.jobs", "tpch.json"))

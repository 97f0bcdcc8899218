"""Members of the family `tpch`: sequences of jobs that are a function of (model, index) alone.

Only integers and the four operations of IEEE 754 take part, and what they give is rounded to whole ms: a
member is the same on every machine.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from traces.families.fast_noise import normals, uniforms
from traces.families.portable import exp, log
from traces.jobs.job import LEVELS, WAVES, Job, JobError, Spread, Stage
from traces.jobs.model import REFERENCE_GB, JobsModel, RoleModel, StageModel, tpch_model
from traces.jobs.sequence import GAP_MS, JOBS, JobSequence

QUANTILES = 32
"""So many durations stand for a spread's."""
_LEAST_TASKS = 2


def member(
    index: int, jobs: int = JOBS, gap_ms: float = GAP_MS, model: JobsModel | None = None
) -> JobSequence:
    """Sequence `index` (0 or more), named `FAMILY/INDEX`; one of fewer jobs is the beginning of a longer one.

    Raises:
        JobError: a negative index, no jobs, a gap that is none.
    """
    made = model or tpch_model()
    if index < 0:
        raise JobError(f"{made.family}/{index}: members are counted from 0")
    if jobs < 1 or not 0.0 < gap_ms < 1e12:
        raise JobError(
            f"{made.family}: {jobs} jobs, {gap_ms} ms apart; expected 1 or more, and a time over 0"
        )
    label = f"streambed/jobs/{made.family}/{index}"
    drawn = uniforms(label, 3 * jobs).reshape(jobs, 3)
    gaps = np.floor(-log(1.0 - drawn[:, 0]) * gap_ms + 0.5)
    arrivals = np.concatenate([[0.0], np.cumsum(gaps)[:-1]])
    queries = (drawn[:, 1] * len(made.queries)).astype(int)
    sizes = (drawn[:, 2] * len(made.sizes_gb)).astype(int)
    return JobSequence(
        f"{made.family}/{index}",
        arrivals,
        tuple(
            _job(made, int(query), made.sizes_gb[size], f"{label}/{place}")
            for place, (query, size) in enumerate(zip(queries, sizes, strict=True))
        ),
        made.family,
    )


def _job(model: JobsModel, query: int, size_gb: float, label: str) -> Job:
    stages = model.queries[query]
    drawn = normals(label, len(stages) * len(WAVES)).reshape(len(stages), len(WAVES))
    return Job(
        f"{model.family}-q{query + 1}-{size_gb:g}g",
        tuple(
            _stage(stage, model.roles[stage.role], size_gb, row)
            for stage, row in zip(stages, drawn, strict=True)
        ),
    )


def tasks_of(stage: StageModel, size_gb: float) -> int:
    """How many tasks a stage has in a job of that size."""
    if not stage.tasks_per_gb:
        return stage.tasks
    return max(int(stage.tasks_per_gb * size_gb + 0.5), _LEAST_TASKS)


def _stage(stage: StageModel, role: RoleModel, size_gb: float, drawn: NDArray[np.float64]) -> Stage:
    tasks = tasks_of(stage, size_gb)
    size = float(log(size_gb / REFERENCE_GB))
    # one draw for the whole stage: what is slow in one wave is slow in the others
    logs = [
        stage.log_ms[wave] + role.size_exponent[wave] * size + role.job_sd[wave] * drawn[0]
        for wave in range(len(WAVES))
    ]
    means = exp(np.array(logs))
    durations: dict[str, dict[int, Spread]] = {}
    for wave, name in enumerate(WAVES):
        values = _quantiles(role.task_sd[wave])
        durations[name] = {
            level: Spread(_thousandths(means[wave] * role.slowdown[wave][place]), values)
            for place, level in enumerate(LEVELS)
            if _is_known(stage, name, tasks, level)
        }
    return Stage(tasks, stage.parents, durations, _thousandths(_mean_ms(tasks, durations)))


def _mean_ms(tasks: int, durations: dict[str, dict[int, Spread]]) -> float:
    """Over the tasks of a run with each number of executors: a first wave of as many, the others in the
    rest."""
    total, weights = 0.0, 0
    for level in LEVELS:
        first = min(tasks, level)
        rest = tasks - first
        total += first * durations["first"][level].scale_ms
        if rest:
            total += rest * durations["rest"][level].scale_ms
        weights += tasks
    return total / weights


def _is_known(stage: StageModel, wave: str, tasks: int, level: int) -> bool:
    """A stage without more tasks than executors has no second wave."""
    return {"fresh": stage.fresh, "first": True, "rest": tasks > level}[wave]


def _thousandths(value: float) -> float:
    return int(value * 1000.0 + 0.5) / 1000.0


@cache
def _quantiles(sd: float) -> NDArray[np.float64]:
    """(QUANTILES,) of a lognormal of mean 1, each of equal chance."""
    from statistics import NormalDist

    shares = [(place + 0.5) / QUANTILES for place in range(QUANTILES)]
    # NormalDist is arithmetic, logarithm and root; rounding makes the last bits of a C library's no matter
    normal = np.array([round(NormalDist().inv_cdf(share), 9) for share in shares])
    values = exp(sd * normal)
    found = np.floor(values / (values.sum() / QUANTILES) * 1e6 + 0.5) / 1e6
    found.setflags(write=False)
    return found

"""What a scheduler sees when it is asked: stages of the jobs that are there, and free executors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NO_JOB = -1


@dataclass(frozen=True)
class JobsObservation:
    """n stages that are not done, of a jobs, in order of arrival; e edges between these stages."""

    now_s: float
    job: NDArray[np.int64]
    """(n,) its job: a place in `supply`."""
    left: NDArray[np.int64]
    """(n,) tasks that have not begun."""
    duration_ms: NDArray[np.float64]
    """(n,) of the task that began last; before one has, the mean over all that is known of the stage."""
    ready: NDArray[np.bool_]
    """(n,) schedulable: it can take executors, and its parents need none."""
    begins: NDArray[np.bool_]
    """(n,) all its parents are done."""
    edges: NDArray[np.int64]
    """(e, 2) parent, child."""
    supply: NDArray[np.int64]
    """(a,) executors that a job has, has been promised and that are on their way to it."""
    age_s: NDArray[np.float64]
    """(a,) since the job came."""
    source: int
    """The job whose executors are to be given: a place in `supply`; `NO_JOB` if they have none, or one that
    is done."""
    free: int
    """Executors to be given, 1 at least."""
    executors: int
    """Of the cluster."""

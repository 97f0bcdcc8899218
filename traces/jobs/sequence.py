"""A sequence of jobs: what arrives at a cluster, and when."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from traces.jobs.job import Job, JobError
from traces.jobs.tpch_files import QUERIES, SIZES, Library

JOBS = 200
GAP_MS = 25_000.0
"""Mean time between arrivals: a rate of 4e-5 a ms."""


@dataclass(frozen=True)
class JobSequence:
    """Jobs in order of arrival."""

    name: str
    """`tpch/17`."""
    arrivals_ms: NDArray[np.float64]
    """(jobs,) in order; the first is 0."""
    jobs: tuple[Job, ...]
    family: str = ""

    def __post_init__(self) -> None:
        """Raises JobError: no jobs, or arrivals that are not one for each, in order, the first at 0."""
        times = self.arrivals_ms
        if not self.jobs or times.shape != (len(self.jobs),):
            raise JobError(
                f"{self.name}: {len(self.jobs)} jobs, {times.size} arrivals; expected one for each"
            )
        if times[0] != 0.0 or not np.isfinite(times).all() or (np.diff(times) < 0.0).any():
            raise JobError(f"{self.name}: arrivals must be in order, and the first at 0 ms")

    def __len__(self) -> int:
        return len(self.jobs)

    def first(self, jobs: int) -> JobSequence:
        """The sequence that ends after so many."""
        return JobSequence(self.name, self.arrivals_ms[:jobs], self.jobs[:jobs], self.family)

    @cached_property
    def sha256(self) -> str:
        """Of all that an episode depends on."""
        digest = hashlib.sha256(self.arrivals_ms.tobytes())
        seen: dict[int, bytes] = {}
        for job in self.jobs:
            if id(job) not in seen:
                seen[id(job)] = _digest_of(job)
            digest.update(seen[id(job)])
        return digest.hexdigest()


def _digest_of(job: Job) -> bytes:
    digest = hashlib.sha256()
    values: dict[int, bytes] = {}
    for stage in job.stages:
        digest.update(f"{stage.tasks} {stage.parents} {stage.rough_ms!r}".encode())
        for wave in sorted(stage.durations):
            for level, spread in sorted(stage.durations[wave].items()):
                key = id(spread.values)
                values.setdefault(key, hashlib.sha256(spread.values.tobytes()).digest())
                digest.update(f"{wave} {level} {spread.scale_ms!r}".encode() + values[key])
    return digest.digest()


def published_sequence(library: Library, seed: int, jobs: int = JOBS, gap_ms: float = GAP_MS) -> JobSequence:
    """The sequence that the published environment draws for a seed, draw for draw.

    A query and a size, each as likely as any other, then an exponential gap, by numpy's PCG64, whose draws
    its authors do not promise to keep.
    """
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
    at_ms, times, drawn = 0.0, [], []
    for _ in range(jobs):
        query = 1 + int(random.integers(QUERIES))
        size = str(random.choice(SIZES))
        times.append(at_ms)
        drawn.append(library.jobs[query, size])
        at_ms += random.exponential(gap_ms)
    return JobSequence(f"published/{seed}", np.array(times), tuple(drawn), "published")

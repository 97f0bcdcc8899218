"""From a word to sequences of jobs: `tpch/3`, `tpch[0:48]`, `FOLDER[1:13]`.

A folder is one of published measurements (`traces/jobs/tpch_files.py`); its members are the sequences that
the published environment draws for these seeds.
"""

from __future__ import annotations

from pathlib import Path

from traces.families.numbered import numbered
from traces.jobs.generator import member
from traces.jobs.job import JobError
from traces.jobs.sequence import GAP_MS, JOBS, JobSequence, published_sequence
from traces.jobs.tpch_files import is_library, read_library

FAMILIES = ("tpch",)


def job_sequences(spec: str, jobs: int = JOBS, gap_ms: float = GAP_MS) -> list[JobSequence]:
    """All sequences that a word names, in order.

    Raises:
        JobError: it names none; says what there is.
    """
    try:
        asked = numbered(spec, "sequences", "[0:48]")
    except ValueError as error:
        raise JobError(str(error)) from None
    if asked is None:
        raise _unknown(spec)
    if asked.base in FAMILIES:
        return [member(index, jobs, gap_ms) for index in asked.wanted]
    if not is_library(Path(asked.base)):
        raise _unknown(spec)
    library = read_library(Path(asked.base))
    return [published_sequence(library, index, jobs, gap_ms) for index in asked.wanted]


def _unknown(spec: str) -> JobError:
    return JobError(
        f"no jobs are named by {spec!r}; name tpch[0:48], or a folder of"
        " published measurements (2g to 100g in it) with seeds, FOLDER[1:13]"
    )

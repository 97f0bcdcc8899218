"""From a word to sequences of jobs: `tpch/3`, `tpch[0:48]`, `FOLDER[1:13]`.

A folder is one of published measurements (`traces/jobs/tpch_files.py`); its members are the sequences that
the published environment draws for these seeds.
"""

from __future__ import annotations

import re
from pathlib import Path

from traces.jobs.generator import member
from traces.jobs.job import JobError
from traces.jobs.sequence import GAP_MS, JOBS, JobSequence, published_sequence
from traces.jobs.tpch_files import is_library, read_library

FAMILIES = ("tpch",)
MOST = 1000
"""Sequences at once."""
_SPEC = re.compile(r"(?P<base>.+?)(/(?P<index>\d{1,9})|\[(?P<begin>\d{0,9}):(?P<end>\d{1,9})\])?")


def job_sequences(spec: str, jobs: int = JOBS, gap_ms: float = GAP_MS) -> list[JobSequence]:
    """All sequences that a word names, in order.

    Raises:
        JobError: it names none; says what there is.
    """
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise _unknown(spec)
    base = match["base"]
    if match["begin"] is None:
        wanted = range(int(match["index"] or 0), int(match["index"] or 0) + 1)
    else:
        wanted = range(int(match["begin"] or 0), int(match["end"]))
    if not 0 < len(wanted) <= MOST:
        raise JobError(f"{spec}: {len(wanted)} sequences; ask for 1 to {MOST}, such as {base}[0:48]")
    if base in FAMILIES:
        return [member(index, jobs, gap_ms) for index in wanted]
    if not is_library(Path(base)):
        raise _unknown(spec)
    library = read_library(Path(base))
    return [published_sequence(library, index, jobs, gap_ms) for index in wanted]


def _unknown(spec: str) -> JobError:
    return JobError(
        f"no jobs are named by {spec!r}; name tpch[0:48], or a folder of"
        " published measurements (2g to 100g in it) with seeds, FOLDER[1:13]"
    )

"""Which task records are of, by their first lines."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from analysis.sessions import AnalysisError, record_files
from traces.safe_reading import MOST_BYTES, BadFileError, decoded, json_object, open_file

TASKS = ("jobs", "viewport")


def task_of_records(places: Sequence[Path]) -> str | None:
    """The task that the records of these places are of; None where they are of videos or calls.

    Raises:
        AnalysisError: nothing to read in a place, or records of several kinds.
        OSError: a place that cannot be read.
    """
    names = {_task(path) for path in record_files(places)}
    if not names & set(TASKS):
        return None
    if len(names) > 1:
        said = " and ".join(sorted(name or "video" for name in names))
        raise AnalysisError(f"records of {said} are here together; name those of one task")
    return names.pop()


def _task(path: Path) -> str | None:
    """What a record's first line says; None of what can't be read."""
    try:
        with os.fdopen(open_file(path), "rb") as file:
            line = file.readline(MOST_BYTES + 1)
        if b'"task"' not in line:
            return None
        task = json_object(decoded(line, str(path)), str(path)).get("task")
    except (BadFileError, OSError):
        return None
    return task if isinstance(task, str) else None

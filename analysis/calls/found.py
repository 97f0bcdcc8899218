"""Whether records are of calls or of videos, by their first lines."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from analysis.sessions import AnalysisError, record_files
from player.call.record import is_call
from traces.safe_reading import MOST_BYTES, BadFileError, decoded, json_object, open_file


def calls_are_in(places: Sequence[Path]) -> bool:
    """Whether the records of these places are of calls.

    Raises:
        AnalysisError: nothing to read in a place, or calls and videos in one: they have no figures in common.
        OSError: a place that cannot be read.
    """
    files = record_files(places)
    calls = [path for path in files if _is_call(path)]
    if not calls or len(calls) == len(files):
        return bool(calls)
    other = next(path for path in files if path not in set(calls))
    raise AnalysisError(
        f"{len(calls)} of {len(files)} records are of calls ({calls[0].name}), the others of videos"
        f" ({other.name}): these have no figures in common; name the records of one kind, or move the others"
    )


def _is_call(path: Path) -> bool:
    """Of what cannot be read nobody knows; who reads the whole record says what is wrong with it."""
    try:
        with os.fdopen(open_file(path), "rb") as file:
            line = file.readline(MOST_BYTES + 1)
        return b'"task"' in line and is_call(json_object(decoded(line, str(path)), str(path)))
    except (BadFileError, OSError):
        return False

"""Simulated records as tests compare them."""

from __future__ import annotations

import re
from pathlib import Path

_TOOK = re.compile(r',"decision_ms":(null|[0-9.e+-]+)')


def rows_of(folder: Path) -> dict[str, list[str]]:
    """The lines after the manifest of each record in a folder, by the file's name; without how long a slow
    decision really took, which is other each time."""
    return {
        path.name: [_TOOK.sub("", line) for line in path.read_text(encoding="utf-8").splitlines()[1:]]
        for path in sorted(folder.glob("*.jsonl"))
    }

"""Simulated records as tests compare them."""

from __future__ import annotations

from pathlib import Path


def rows_of(folder: Path) -> dict[str, list[str]]:
    """The lines after the manifest of each record in a folder, by the file's name."""
    return {
        path.name: path.read_text(encoding="utf-8").splitlines()[1:]
        for path in sorted(folder.glob("*.jsonl"))
    }

"""How far a sweep is, by its `sweep.json`, as the page shows it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from analysis.sweep_state import SweepState, SweepStateError
from analysis.watch.figures import figure_or_none, word
from traces.safe_reading import BadFileError, Identity, read_json

STATE = "sweep.json"
MOST_BYTES = 64 << 20
"""A sweep of 100,000 sessions; of a larger one the page shows the sessions alone."""
MOST_POLICIES = 60
STATUSES = ("done", "invalid", "failed", "missing")


class SweepProgress:
    """The state of the sweep in a folder; `told` is None where there is none."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / STATE
        self._read: Identity | None = None
        self.told: dict[str, Any] | None = None

    def look(self) -> bool:
        """Read the file where it has changed; whether there is news."""
        try:
            now = Identity.of(self._path.lstat())
            if now == self._read:
                return False
            self._read = now
            self.told = _told(SweepState.of(read_json(self._path, MOST_BYTES, follow=False)))
        except FileNotFoundError:
            return False
        except (BadFileError, SweepStateError, OSError) as error:
            self.told = {"name": STATE, "fault": word(getattr(error, "fault", None) or str(error))}
        return True


def _told(state: SweepState) -> dict[str, Any]:
    counts = state.counts or {}
    by_policy: dict[str, Counter[str]] = {}
    for row in state.sessions or ():
        by_policy.setdefault(row.policy or "", Counter())[row.status or ""] += 1
    return {
        "name": word(state.name),
        "question": word(state.question),
        "complete": bool(state.complete),
        "engine": word(state.engine),
        "updated_at": word(state.updated_at),
        "wall_s": figure_or_none(state.spent or {}, "wall_s"),
        "expected": figure_or_none(counts, "expected") or 0,
        "counts": [[status, figure_or_none(counts, status) or 0] for status in STATUSES],
        "policies": [
            [word(policy), *(found[status] for status in STATUSES)]
            for policy, found in list(by_policy.items())[:MOST_POLICIES]
        ],
    }

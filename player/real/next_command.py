"""What one types after a session over a real network: a comparison where it has enough, else a picture."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from player.record import INTERRUPTED, Record, RecordError, by_fallback_alone, read_record

MOST_READ = 100
"""Records beside this one that are looked at."""
LEAST_SESSIONS = 2
"""Of each policy, without which an unpaired comparison has no interval."""


def next_words(record: Path) -> tuple[str, ...]:
    """Words of the `analysis` command that runs on what lies there.

    Args:
        record: of the session that has just ended.
    """
    return ("unpaired", str(record.parent)) if _enough(record.parent) else _timeline(record)


def _timeline(record: Path) -> tuple[str, ...]:
    return ("plot", str(record), "--what", "timeline", "--out", "session.png")


def _enough(folder: Path) -> bool:
    """Whether two or more sessions of each policy there count in an unpaired comparison."""
    paths = sorted(folder.glob("*.jsonl"))
    if len(paths) > MOST_READ:
        return False
    counts: Counter[str] = Counter()
    for path in paths:
        try:
            found = read_record(path)
        except (RecordError, OSError):
            return False
        if _counts(found):
            policy = found.told.policy
            counts[str(policy.spec if policy else "")] += 1
    return bool(counts) and min(counts.values()) >= LEAST_SESSIONS


def _counts(record: Record) -> bool:
    """Whether a session is one over a real network, and whole enough to count."""
    end = record.end
    if record.told.trace is not None or end.outcome == INTERRUPTED or end.played_s <= 0:
        return False
    return len(record.chunks) > 1 and not by_fallback_alone({row.by for row in record.chunks})

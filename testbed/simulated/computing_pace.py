"""How long sessions take to compute, policy by policy: known from earlier runs, learned anew from this one.

What is known lies in the user's cache, by policy: seconds a chunk, and of how many sessions they are known.
Nothing but forecasts is made of it: a file that is lost or damaged costs the first of them.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from traces.files import write_aside
from traces.ownership import caller_cache_dir, make_directory
from traces.safe_reading import BadFileError, read_json
from traces.words import duration

FILE = "computing_pace.json"
CHUNK_S, SESSIONS = "chunk_s", "sessions"
FIRST_GUESS_S = 0.0005
"""A chunk, of a policy of which nothing is known: what rules take, with their records."""
MOST_POLICIES = 500
WORTH_KEEPING_S = 1.0
"""Of work with a policy; less tells little, and is over soon anyway."""
MOST_COUNTED = 200
"""Sessions that earlier runs weigh at the most beside this one's: a figure that was wrong, or of another
machine, is gone after the next long run, and a few sessions hardly change one that is well known."""


@dataclass
class ComputingPace:
    """Seconds of one process for a chunk, by policy."""

    known: dict[str, float] = field(default_factory=dict)
    """From earlier runs."""
    counts: dict[str, int] = field(default_factory=dict)
    """Of how many sessions that is known; where it isn't said, of one."""
    _seen: dict[str, list[float]] = field(default_factory=dict)
    """From this one, a number for each session that ended."""
    _took_s: dict[str, float] = field(default_factory=dict)

    def ended(self, policy: str, chunks: int, took_s: float, sessions: int = 1) -> None:
        """So many chunks of a policy took a process so long.

        Args:
            sessions: that they are of; each counts, as sessions do that come one by one.
        """
        if chunks > 0:
            self._took_s[policy] = self._took_s.get(policy, 0.0) + took_s
            self._seen.setdefault(policy, []).extend([took_s / chunks] * sessions)

    def chunk_s(self, policy: str) -> float:
        """For one chunk: as seen in this run, else in earlier ones, else a guess."""
        if policy in self._seen:  # the median: what one session had to wait for is not for every one
            return median(self._seen[policy])
        return self.known.get(policy, FIRST_GUESS_S)

    def guessed(self, policies: Mapping[str, int]) -> list[str]:
        """Those of which nothing is known yet."""
        return [policy for policy in policies if policy not in self._seen and policy not in self.known]

    def left_s(self, chunks: Mapping[str, int], processes: int) -> float:
        """Wall time of so many chunks of each policy in so many processes."""
        return sum(count * self.chunk_s(policy) for policy, count in chunks.items()) / max(processes, 1)

    def words(self, chunks: Mapping[str, int], processes: int) -> str:
        """The forecast; where a policy was never timed, that there is none yet."""
        unknown = self.guessed({policy: count for policy, count in chunks.items() if count > 0})
        if not unknown:
            return f"about {duration(self.left_s(chunks, processes))}"
        more = f" and {len(unknown) - 1} more" if unknown[1:] else ""
        return f"no run has timed {unknown[0]}{more} yet, the first sessions tell how long it takes"

    def keep(self) -> None:
        """Remember for later runs; a cache that can't be written is no fault."""
        fresh = [policy for policy, took in self._took_s.items() if took > WORTH_KEEPING_S]
        if not fresh:
            return
        others = [policy for policy in self.known if policy not in fresh]
        kept = {policy: self._figure(policy) for policy in [*others, *fresh][-MOST_POLICIES:]}
        with contextlib.suppress(OSError):
            make_directory(caller_cache_dir())
            write_aside(caller_cache_dir() / FILE, json.dumps(kept) + "\n")

    def _figure(self, policy: str) -> dict[str, float]:
        """What is remembered of a policy: earlier runs and this one, each by its sessions."""
        before = self.counts.get(policy, 1) if policy in self.known else 0
        now = len(self._seen.get(policy, ()))
        known_s = self.known.get(policy, 0.0)
        mixed_s = (before * known_s + now * self.chunk_s(policy)) / (before + now)
        return {CHUNK_S: mixed_s, SESSIONS: min(before + now, MOST_COUNTED)}


def remembered(place: Path | None = None) -> ComputingPace:
    """What earlier runs have left."""
    try:
        found = read_json(place or caller_cache_dir() / FILE)
    except (OSError, BadFileError):
        return ComputingPace()
    if not isinstance(found, dict):
        return ComputingPace()
    figures = {policy: _read(figure) for policy, figure in found.items()}
    return ComputingPace(
        {policy: chunk_s for policy, (chunk_s, _) in figures.items() if chunk_s > 0},
        {policy: sessions for policy, (_, sessions) in figures.items()},
    )


def _read(figure: object) -> tuple[float, int]:
    """Seconds a chunk (0: unreadable) and of how many sessions; a bare number is an older version's, which
    might be a first session's start."""
    if isinstance(figure, int | float):
        return float(figure), 1
    if not isinstance(figure, dict):
        return 0.0, 1
    chunk_s, sessions = figure.get(CHUNK_S), figure.get(SESSIONS)
    if not isinstance(chunk_s, int | float) or not isinstance(sessions, int):
        return 0.0, 1
    return float(chunk_s), min(max(sessions, 1), MOST_COUNTED)

"""Which command of `analysis` runs on the sessions that are there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from analysis.outcomes import Outcome, outcome_of
from analysis.sessions import AnalysisError, SessionRecord
from analysis.streams import LEAST_SESSIONS, Stream, stream_of
from player.qoe import Scoring
from player.record import RecordError

REPORT, UNPAIRED = "report", "unpaired"

Use = tuple[str | None, str]
"""The command that a session counts in, None where in none; its policy."""


def next_command(sessions: Iterable[Use]) -> str | None:
    """The one that these sessions are enough for; None where they are for none."""
    uses = Counter(sessions)
    if any(command == REPORT for command, _ in uses):
        return REPORT
    streamed = [count for (command, _), count in uses.items() if command == UNPAIRED]
    return UNPAIRED if streamed and min(streamed) >= LEAST_SESSIONS else None


def use_of(session: SessionRecord) -> Use:
    """Which command counts it, scored as that one scores where nobody asks for other weights."""
    try:
        if session.trace is None:
            streamed = isinstance(stream_of(session, Scoring()), Stream)
            return (UNPAIRED if streamed else None), session.policy
        return (REPORT if isinstance(outcome_of(session, Scoring()), Outcome) else None), session.policy
    except (AnalysisError, RecordError):
        return None, session.policy

"""Simulated sessions side by side, chunk by chunk, so that their questions to a policy can be put at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from player.faults import is_interrupt
from player.observation import Observation
from player.policy import DecidesTogether, Policy
from player.simulated.session import Chooser, Recorded, SessionCourse


@dataclass(frozen=True)
class SessionInCompany:
    """A session that has not begun, and who decides in it; all choosers' policies are of one spec."""

    course: SessionCourse
    chooser: Chooser


def play_together(
    sessions: Mapping[int, SessionInCompany],
) -> Iterator[tuple[int, Recorded | Exception]]:
    """Play sessions to their ends; yields each one's key with its rows, or what was raised, as it ends.

    Args:
        sessions: by any key. Their policies must be of the kind that `DecidesTogether`.
    """
    under_way: dict[int, tuple[SessionInCompany, Observation]] = {}
    for key, session in sessions.items():
        step = _advance(session, None)
        if isinstance(step, Observation):
            under_way[key] = session, step
        else:
            yield key, step
    while under_way:
        answers = _answers(list(under_way.values()))
        for (key, (session, seen)), answer in zip(list(under_way.items()), answers, strict=True):
            step = _advance(session, (seen, answer))
            if isinstance(step, Observation):
                under_way[key] = session, step
            else:
                del under_way[key]
                yield key, step


def _answers(asked: Sequence[tuple[SessionInCompany, Observation]]) -> Sequence[object]:
    """What the policies say; None of those that are not asked in their sessions."""
    fit = [(each.chooser.policy, seen) for each, seen in asked if not each.chooser.unfit]
    told = iter(_together(fit) if fit else ())
    return [None if each.chooser.unfit else next(told) for each, _ in asked]


def _together(asked: Sequence[tuple[Policy, Observation]]) -> Sequence[object]:
    spokesman = asked[0][0]
    assert isinstance(spokesman, DecidesTogether)
    try:
        return spokesman.select_together(asked)
    except BaseException as error:
        if is_interrupt(error):
            raise
        return [error] * len(asked)


def _advance(
    session: SessionInCompany, answered: tuple[Observation, object] | None
) -> Observation | Recorded | Exception:
    """Begin a session, or go on with it, to its next question or its end."""
    try:
        if answered is None:
            return next(session.course)
        return session.course.send(session.chooser.settle(*answered))
    except StopIteration as end:
        recorded: Recorded = end.value
        return recorded
    except Exception as error:
        return error

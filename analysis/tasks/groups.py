"""What of the cases is compared with each other: all, or those of a setting, a family, a video, a horizon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from analysis.sessions import AnalysisError
from analysis.style import natural
from analysis.tasks.figures import SOURCE, Figure, TaskFigures
from analysis.tasks.read import TaskCase, axes_of
from traces.words import meant

SETTING, FAMILY, HORIZON = "setting", "family", "horizon"
JOIN = ", "
"""Between the words of a setting's name."""


@dataclass(frozen=True)
class Group:
    """Cases, each with those of its points that belong here."""

    title: str
    """Empty: there is no other."""
    cases: tuple[TaskCase, ...]
    figure: Figure
    """Which decides."""
    by: tuple[str, ...]
    """What is drawn anew."""
    seen: bool | None = None
    """Whether the policies have learned in such a setting; None where nobody says."""

    @property
    def shown(self) -> str:
        """The title, and whether such a setting was seen."""
        return self.title if self.seen is None else f"{self.title} ({'seen' if self.seen else 'unseen'})"


def groups_of(
    figures: TaskFigures,
    cases: Sequence[TaskCase],
    by: str | None = None,
    cluster: str | None = None,
    seen: Sequence[str] = (),
) -> list[Group]:
    """The groups, in order: settings that were seen first, then by name, with numbers as numbers.

    Args:
        by: what parts them; one of `groupings`.
        cluster: what alone is drawn anew; None: all that can be.
        seen: words of settings in which the policies have learned: a setting is one where, of each thing that
            is named, it has one of the words.

    Raises:
        AnalysisError: nothing of the task is called so, or no setting has such words.
    """
    if by is not None and by not in groupings(figures):
        raise AnalysisError(f"--by {by}: {_there_are(figures, groupings(figures))}")
    if seen and by not in (None, SETTING):
        raise AnalysisError(f"--seen names settings; leave --by {by} away")
    drawn = _drawn_by(figures, cluster, by)
    if by == HORIZON:
        return [Group(figure.heading, tuple(cases), figure, drawn) for figure in figures.horizons]
    if by in figures.parts:
        return _parted(figures, cases, figures.by.index(by), drawn)
    if by is None:
        return [Group("", tuple(cases), figures.first, drawn)]
    return _settings(figures, cases, [SOURCE] if by == FAMILY else axes_of(cases), drawn, _named(cases, seen))


def groupings(figures: TaskFigures) -> tuple[str, ...]:
    """What cases can be parted by."""
    return (SETTING, FAMILY, *figures.parts, *((HORIZON,) if figures.horizons else ()))


def _there_are(figures: TaskFigures, names: Sequence[str]) -> str:
    return f"these records are of {figures.records.task}, for which there is {', '.join(names)}"


def _drawn_by(figures: TaskFigures, cluster: str | None, by: str | None) -> tuple[str, ...]:
    names = tuple(name for name in figures.by if name != by)
    if cluster is None:
        return names
    if cluster not in names:
        raise AnalysisError(f"--cluster {cluster}: {_there_are(figures, names)}")
    return (cluster,)


def _settings(
    figures: TaskFigures,
    cases: Sequence[TaskCase],
    axes: Sequence[str],
    by: tuple[str, ...],
    seen: Mapping[str, set[str]],
) -> list[Group]:
    parts: dict[tuple[str, ...], list[TaskCase]] = {}
    for case in cases:
        parts.setdefault(tuple(case.setting.get(axis, "") for axis in axes), []).append(case)
    found = [
        Group(
            JOIN.join(filter(None, words)),
            tuple(mine),
            figures.first,
            by,
            all(mine[0].setting.get(axis) in said for axis, said in seen.items()) if seen else None,
        )
        for words, mine in parts.items()
    ]
    return sorted(found, key=lambda group: (group.seen is False, natural(group.title)))


def _named(cases: Sequence[TaskCase], words: Sequence[str]) -> dict[str, set[str]]:
    """Of each thing that words are of, the words.

    Raises:
        AnalysisError: no setting has such a word.
    """
    there = {said: axis for case in cases for axis, said in case.setting.items()}
    found: dict[str, set[str]] = {}
    for word in words:
        if word not in there:
            raise AnalysisError(f"--seen {word}{meant(word, there)}: settings say {', '.join(there)}")
        found.setdefault(there[word], set()).add(word)
    return found


def _parted(figures: TaskFigures, cases: Sequence[TaskCase], place: int, by: tuple[str, ...]) -> list[Group]:
    """A group for each cluster of that place."""
    names = sorted({point.clusters[place] for case in cases for point in case.points}, key=natural)
    return [
        Group(
            name,
            tuple(
                replace(case, points=tuple(point for point in case.points if point.clusters[place] == name))
                for case in cases
            ),
            figures.first,
            by,
        )
        for name in names
    ]

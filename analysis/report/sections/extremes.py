"""A look at single sessions: each policy's best and worst, and where it was furthest from the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib

from analysis.cases.case import Case
from analysis.compare import cells
from analysis.explained.strip import is_explained
from analysis.outcomes import Figures, Outcome
from analysis.report.parts.blocks import Paragraph, Section
from analysis.report.parts.pictures import Picture, picture, written_as
from analysis.report.parts.study import Study
from analysis.report.parts.table_rendering import shown as number_shown
from analysis.sessions import SessionRecord
from analysis.style import RC
from analysis.timeline import draw_timeline
from player.record import read_record

STRIP = (
    "The strip below the bitrate says what each level rested on, as python -m policies.llm explain has worked"
    " it out: blue spoke for the level, orange against it, by modality of the model's input, last the recent"
    " chunk that counted most."
)


@dataclass(frozen=True)
class Shown:
    """A session to draw."""

    head: str
    record: str
    beside: str | None
    """A session of the baseline over the same link, to be drawn with it."""
    told: str
    """What is to be seen, as text."""


@dataclass(frozen=True)
class Timeline:
    """A policy's sessions that are to be drawn in one figure."""

    name: str
    policy: str
    shown: tuple[Shown, ...]
    sessions: int
    """Of which they were chosen."""


def timelines(study: Study) -> list[Timeline]:
    """A figure a policy, of its sessions with the highest and the lowest QoE, the first of equals."""
    found = cells(study.outcomes)
    by_policy: dict[str, list[Outcome]] = {}
    for one in study.outcomes.counted:
        by_policy.setdefault(one.policy, []).append(one)
    result = []
    for place, policy in enumerate(study.policies):
        mine = by_policy.get(policy)
        if not mine:
            continue
        best = max(mine, key=lambda one: one.figures.qoe)
        worst = min(mine, key=lambda one: one.figures.qoe)
        shown = [_of(study, "best session", best)]
        if worst is not best:
            shown.append(_of(study, "worst session", worst))
        if study.baseline is not None and policy != study.baseline:
            shown += _against(study, mine, by_policy[study.baseline], found[policy], found[study.baseline])
        result.append(Timeline(f"timeline-{place + 1:02d}", policy, tuple(shown), len(mine)))
    return result


def _of(study: Study, head: str, one: Outcome, beside: Outcome | None = None, told: str = "") -> Shown:
    name = study.grouping.of(one.case)
    where = f"{one.case.trace} ({name})" if len(study.conditions) > 1 else one.case.trace
    text = f"{head}: {where}, QoE {number_shown(one.figures.qoe, '.3f')}{told}"
    return Shown(head, one.record, beside.record if beside else None, text)


def _against(
    study: Study,
    mine: Sequence[Outcome],
    others: Sequence[Outcome],
    figures: dict[Case, Figures],
    baseline: dict[Case, Figures],
) -> list[Shown]:
    """Where the policy was furthest ahead of the baseline, and furthest behind."""
    differences = {case: figures[case].qoe - baseline[case].qoe for case in figures if case in baseline}
    chosen: list[tuple[str, Case]] = []
    if differences:
        ahead = max(differences, key=lambda case: differences[case])
        behind = min(differences, key=lambda case: differences[case])
        if differences[ahead] > 0:
            chosen.append((f"furthest ahead of {study.baseline}", ahead))
        if differences[behind] < 0:
            chosen.append((f"furthest behind {study.baseline}", behind))
    first = {one.case: one for one in reversed(mine)}
    other = {one.case: one for one in reversed(others)}
    return [
        _of(study, head, first[case], other[case], f" ({number_shown(differences[case], '+.3f')})")
        for head, case in chosen
    ]


def draw(timeline: Timeline, formats: tuple[str, ...]) -> Picture:
    """Read the sessions again, and draw them in these formats.

    Raises:
        RecordError, OSError: a record that was there is gone or has changed.
    """
    sessions = [_read(one.record) for one in timeline.shown]
    strip = f" {STRIP}" if any(is_explained(one.record) for one in timeline.shown) else ""
    beside = [_read(one.beside) if one.beside else None for one in timeline.shown]
    with matplotlib.rc_context(RC), written_as(formats):
        figure = draw_timeline(
            sessions, heads=[one.head for one in timeline.shown], beside=beside, own_axes=True
        )
        told = "; ".join(one.told for one in timeline.shown)
        count = f"{len(timeline.shown)} of {timeline.sessions} sessions"
        return picture(
            figure,
            timeline.name,
            f"{timeline.policy}, {count}. {told[0].upper()}{told[1:]}. Each has axes of its own.{strip}",
            f"Buffer, chosen bitrate and throughput over time of {timeline.policy}: {told}",
        )


def _read(path: str) -> SessionRecord:
    return SessionRecord(read_record(Path(path)))


def over_time(pictures: Sequence[Picture], place: str) -> Section:
    """Single sessions, the best and the worst of all settings or points (`place`) together."""
    text = (
        "Single sessions prove nothing; they show how a policy behaves. Best and worst are by QoE over"
        f" all {place}s."
        " Grey is what the link could carry, a pale band a stall; a bar of throughput reaches from a"
        " chunk's request to"
        " its last byte."
    )
    return Section(
        "sessions", "Sessions over time: each policy's best and worst", (Paragraph(text), *pictures)
    )

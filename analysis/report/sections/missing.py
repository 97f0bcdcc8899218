"""What is not in the figures: sessions yet to be run, failed, invalid, or not to be read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from analysis.compare import missing_of
from analysis.comparison import recorded_twice
from analysis.outcomes import INVALID, Outcome
from analysis.report.parts.blocks import Block, Bullets, Paragraph, Section
from analysis.report.parts.planned import DONE, FAILED, MISSING, STATUSES, Sweep
from analysis.report.parts.planned import INVALID as PLAN_INVALID
from analysis.report.parts.study import Study
from analysis.report.parts.table_rendering import LEFT, Cell, Column, RowGroup, Table, number, word
from traces.words import counted

NAMED = 20
"""Of sessions that are missing one way or another, so many are named."""


def state_sentence(study: Study) -> str:
    """How much of what was meant to be there is there."""
    return state_words(study.sweep, counted(len(study.outcomes.counted), "session"))


def state_words(sweep: Sweep | None, here: str) -> str:
    """The same of any sweep; `here`: how many count, in words."""
    if sweep is None:
        return f"{here} counted. No sweep made this folder, so nothing says how many were meant to be here."
    parts = [f"{sweep.count(DONE)} of {len(sweep.sessions)} planned sessions are done"]
    for status, words in (
        (PLAN_INVALID, "never had a valid link"),
        (FAILED, "failed for good"),
        (MISSING, "are still to be run"),
    ):
        if sweep.count(status):
            parts.append(f"{sweep.count(status)} {words}")
    end = "" if sweep.complete else " The sweep is not complete; these are partial results."
    return f"{', '.join(parts)}.{end}"


def planned_table(sweep: Sweep | None) -> Table | None:
    """Sessions by state, setting and policy; None without a sweep."""
    if sweep is None:
        return None
    counts = sweep.counts()
    groups = []
    for setting in sweep.settings:
        rows = []
        for policy in sweep.policies:
            found = counts.get((setting.label, policy.label))
            if found:
                rows.append(
                    (
                        word(policy.label),
                        number(sum(found.values()), "d"),
                        *(_count(found, status) for status in STATUSES),
                    )
                )
        if rows:
            groups.append(RowGroup(setting.label, tuple(rows)))
    columns = (
        Column("policy", ("policy",), LEFT),
        Column("planned", ("planned",)),
        *(Column(status, (status,)) for status in STATUSES),
    )
    caption = (
        "Sessions of the sweep by what has become of them. Done: finished over a valid link. Invalid:"
        " the link was"
        " never what it should be, whatever the retries. Failed: cut short, or decided by the fallback"
        " alone. Missing:"
        " still to be run."
    )
    return Table("planned", caption, columns, tuple(groups), group_csv="setting")


def _count(found: Counter[str], status: str) -> Cell:
    count = found[status]
    return Cell(str(count), (count,), kind="bad" if count and status != DONE else "")


def not_good_table(sweep: Sweep | None) -> Table | None:
    """Planned sessions that came to nothing, with the reason; None where there are none."""
    if sweep is None:
        return None
    lost = [one for one in sweep.sessions if one.status in (PLAN_INVALID, FAILED)]
    if not lost:
        return None
    rows = tuple(
        (
            word(one.status),
            word(one.setting),
            word(one.policy),
            word(one.trace),
            number(one.attempts, "d"),
            word("; ".join(one.reasons) or "no reason was recorded"),
        )
        for one in lost[:NAMED]
    )
    columns = (
        Column("state", ("state",), LEFT),
        Column("setting", ("setting",), LEFT),
        Column("policy", ("policy",), LEFT),
        Column("trace", ("trace",), LEFT),
        Column("attempts", ("attempts",)),
        Column("why", ("reason",), LEFT),
    )
    caption = f"Sessions that failed or stayed invalid: {min(NAMED, len(lost))} of {len(lost)}."
    return Table("lost", caption, columns, (RowGroup(None, rows),))


def left_out_sentences(study: Study) -> list[str]:
    """What else is not counted, or counted with a caveat."""
    said = [*_left_out_of_plan(study.sweep)] if study.sweep else []
    reasons = Counter(one.reason for one in study.outcomes.left_out)
    said += [f"{counted(count, 'session')} left out: {reason}." for reason, count in reasons.items()]
    if study.outcomes.unfinished:
        ends = Counter(one.ended for one in study.outcomes.unfinished)
        words = ", ".join(f"{count} {ended}" for ended, count in ends.most_common())
        said.append(
            f"{counted(len(study.outcomes.unfinished), 'session')} did not finish ({words}). They count with"
            " what they played and all their stall."
        )
    if twice := recorded_twice(study.outcomes.counted):
        said.append(f"{twice}.")
    name_of = study.grouping.of
    run = {(one.policy, name_of(one.case)) for one in study.outcomes.counted}
    lacking = Counter(
        (one.policy, one.reason)
        for one in missing_of(study.outcomes)
        if (one.policy, name_of(one.case)) in run  # an oracle that plays in no emulator lacks nothing there
    )
    for (policy, reason), count in lacking.items():
        if reason != INVALID:
            said.append(
                f"{policy} lacks {count} of the traces that others in the same {study.place} have: {reason}."
            )
    for one in study.unreadable[:NAMED]:
        said.append(f"{Path(one.path).name} is left out: {one.reason}.")
    if len(study.unreadable) > NAMED:
        said.append(f"{len(study.unreadable) - NAMED} more files are left out.")
    return said


def _left_out_of_plan(sweep: Sweep) -> list[str]:
    said = [f"Setting {one.label} was not run: {one.left_out}." for one in sweep.settings if one.left_out]
    said += [f"{policy} was not run with video {video}: {why}." for policy, video, why in sweep.refused]
    return said + [
        f"Policy {one.label} was not run: {one.left_out}." for one in sweep.policies if one.left_out
    ]


def counted_of(study: Study) -> tuple[int, int]:
    """(sessions that count, sessions found)."""
    return sum(isinstance(row.outcome, Outcome) for row in study.rows), len(study.rows) + len(
        study.unreadable
    )


def lacking(study: Study) -> Section:
    """What is not here."""
    blocks: list[Block] = [Paragraph(state_sentence(study))]
    said = left_out_sentences(study)
    if said:
        blocks.append(Bullets(tuple(("", text) for text in said)))
    for table in (not_good_table(study.sweep), planned_table(study.sweep)):
        if table is not None:
            blocks.append(table)
    return Section("missing", "What is missing or left out", tuple(blocks))

"""The tables that a paper cites: each policy in each setting, and how it stands to the baseline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from analysis.beside import AHEAD, BEHIND, TIE, UNKNOWN
from analysis.bootstrap import CONFIDENCE, Interval
from analysis.comparison import MEASURES, PairResult, most_repeats
from analysis.outcomes import Outcome
from analysis.report.parts.blocks import Block, Bullets, Paragraph, Section
from analysis.report.parts.session_rows import SessionRow
from analysis.report.parts.study import NetworkCondition, Study, pairs_counted, per_setting
from analysis.report.parts.table_rendering import (
    LEFT,
    NONE,
    Cell,
    Column,
    RowGroup,
    Table,
    number,
    p_shown,
    shown,
    with_interval,
    word,
)
from analysis.report.sections import missing
from analysis.report.sections.deciding import Timing, milliseconds, timing
from analysis.report.sections.tradeoffs import (
    beside_cells,
    beside_columns,
    glance_cell,
    stall_sentence,
    tradeoffs_table,
)
from traces.words import counted

BASELINE = "baseline"

LADDERS = (
    "Videos of several ladders are in it, each scored by its own weights: the higher ladder weighs more."
)
"""Of a mean over all of them."""

IN_WORDS = {AHEAD: "ahead", BEHIND: "behind", TIE: "tie", UNKNOWN: "one trace or line: no interval"}


def verdict_cell(pair: PairResult | None) -> Cell:
    """How a policy stands to the baseline, in a word."""
    if pair is None:
        return Cell("no pair", ("no pair",), kind="none")
    doubt = "p (Holm) says: maybe chance" if pair.doubtful else ""
    return Cell(IN_WORDS[pair.verdict], (pair.verdict,), small=doubt, kind=pair.verdict)


def glance_table(study: Study) -> Table | None:
    """Policies by settings: the difference of QoE to the baseline, its interval, and what that means."""
    if study.baseline is None:
        return None
    columns = [Column("policy", ("policy",), LEFT)]
    for one in study.conditions:
        columns.append(
            Column(
                one.title, tuple(f"{one.name}: {what}" for what in ("difference", "low", "high", "verdict"))
            )
        )
    rows = []
    for policy in study.policies:
        if policy == study.baseline:
            continue
        rows.append((word(policy), *(glance_cell(one.pairs.get(policy)) for one in study.conditions)))
    caption = (
        f"Mean difference of QoE per chunk to {study.baseline} over the traces that both have streamed,"
        " with its"
        f" {CONFIDENCE:.0%} interval. A tie is an interval that holds 0. QoE: {study.weights}. Pairs:"
        f" {per_setting(study, pairs_counted)}."
    )
    return Table("verdicts", caption, tuple(columns), (RowGroup(None, tuple(rows)),), wide=True)


def headline_table(study: Study) -> Table:
    """Everything about each policy in each setting: means with intervals, decision time, the difference."""
    by_place = rows_by_place(study)
    times = {place: timing(rows, study.rule) for place, rows in by_place.items()}
    timed = any(times.values())
    groups = [
        RowGroup(
            one.title, tuple(_headline_rows(study, one, by_place, times if timed else None)), note=_note(one)
        )
        for one in study.conditions
    ]
    columns = _columns(study, timed)
    return Table(
        "headline", _caption(study, timed), tuple(columns), tuple(groups), group_csv="setting", wide=True
    )


def _columns(study: Study, timed: bool) -> list[Column]:
    columns = [
        Column("policy", ("policy",), LEFT),
        Column("n", ("cases", "sessions")),
        Column("QoE", _names("qoe")),
    ]
    if study.baseline is not None:
        columns += [
            Column(f"minus {study.baseline}", ("pairs", *_names("difference"))),
            Column("verdict", ("verdict",), LEFT),
            Column("p (Holm)", ("holm_p",)),
        ]
    columns += [
        Column("bitrate Mbit/s", _names("bitrate_mbps")),
        Column("stall ratio %", _names("stall_ratio")),
        Column("switches", _names("switches")),
        Column("startup s", _names("startup_s")),
    ]
    if timed:
        columns += [
            Column("decision p50 ms", _names("decision_p50_ms")),
            Column("decision p99 ms", _names("decision_p99_ms")),
        ]
    return columns


def _caption(study: Study, timed: bool) -> str:
    caption = (
        f"Means over the traces that all policies of a {study.place} have, with {CONFIDENCE:.0%} intervals"
        " (bootstrap"
        f" over {study.rule}). n: traces in the means; sessions are all of the policy that count."
        f" QoE: {study.weights}, per chunk, first chunk not counted."
    )
    if study.baseline is not None:
        caption += (
            " Differences are over all traces that both have; a tie is an interval that holds 0; p is"
            " Wilcoxon's, corrected by Holm over all rows of this table."
        )
    caption += (
        " Decision times: over all decisions, a chunk's each."
        if timed
        else " The simulated player runs no clock, so decisions have no times here."
    )
    return caption


def _names(measure: str) -> tuple[str, str, str]:
    return measure, f"{measure}_low", f"{measure}_high"


def rows_by_place(study: Study) -> dict[tuple[str, str], list[SessionRow]]:
    """Sessions that count, by setting and policy."""
    found: dict[tuple[str, str], list[SessionRow]] = {}
    for row in study.rows:
        if isinstance(row.outcome, Outcome):
            name = study.grouping.of(row.outcome.case)
            found.setdefault((name, row.outcome.policy), []).append(row)
    return found


def _headline_rows(
    study: Study,
    one: NetworkCondition,
    by_place: dict[tuple[str, str], list[SessionRow]],
    times: dict[tuple[str, str], Timing | None] | None,
) -> list[tuple[Cell, ...]]:
    means = {mean.policy: mean for mean in one.means}
    rows = []
    for policy in one.policies:
        sessions = by_place.get((one.name, policy), [])
        if not sessions:
            continue
        mean = means.get(policy)
        cases = mean.cases if mean else 0
        cells = [
            word(policy),
            _n_cell(cases, len(sessions)),
        ]
        blank = Cell(NONE, (None, None, None), small="nothing common to all")
        cells.append(with_interval(mean.intervals["qoe"]) if mean else blank)
        if study.baseline is not None:
            cells += _against(study, policy, one.pairs.get(policy), cases)
        for measure, form, scale in (
            ("bitrate_mbps", ".3f", 1.0),
            ("stall_ratio", ".2f", 100.0),
            ("switches", ".1f", 1.0),
            ("startup_s", ".2f", 1.0),
        ):
            assert measure in MEASURES
            cells.append(with_interval(mean.intervals[measure], form, scale) if mean else blank)
        if times is not None:
            cells += _decision_cells(times[one.name, policy])
        rows.append(tuple(cells))
    return rows


def _n_cell(cases: int, sessions: int) -> Cell:
    """Traces in the means; sessions where they are not as many."""
    small = counted(sessions, "session") if sessions != cases else ""
    return Cell(str(cases), (cases, sessions), small=small)


def _against(study: Study, policy: str, pair: PairResult | None, cases: int) -> list[Cell]:
    """Difference, verdict and p; the number of pairs where it is not that of the means."""
    if policy == study.baseline:
        return [Cell(NONE, (None, None, None, None)), word(BASELINE, BASELINE), number(None)]
    if pair is None:
        return [Cell(NONE, (0, None, None, None), small="no pair"), verdict_cell(None), number(None)]
    difference = with_interval(pair.difference, "+.3f")
    small = difference.small + (f", n {pair.cases}" if pair.cases != cases else "")
    return [
        Cell(difference.text, (pair.cases, *difference.values), small=small, kind=pair.verdict),
        verdict_cell(pair),
        Cell(NONE, (None,)) if pair.holm_p is None else Cell(p_shown(pair.holm_p), (pair.holm_p,)),
    ]


def _decision_cells(found: Timing | None) -> list[Cell]:
    if found is None:
        return [Cell(NONE, (None, None, None)), Cell(NONE, (None, None, None))]
    return [_ms(found.p50_ms), _ms(found.p99_ms)]


def _ms(interval: Interval) -> Cell:
    values = (interval.mean, interval.low, interval.high)
    if interval.low is None or interval.high is None:
        return Cell(milliseconds(interval.mean), values, small="no interval")
    return Cell(
        milliseconds(interval.mean),
        values,
        small=f"[{milliseconds(interval.low)}, {milliseconds(interval.high)}]",
    )


def _note(one: NetworkCondition) -> str:
    sessions = one.outcomes.counted
    repeats = most_repeats(one.outcomes)
    parts = [counted(len(sessions), "session"), counted(one.traces, "trace")]
    if repeats > 1:
        parts.append(f"up to {repeats} of a policy on a trace (seeds, repetitions), averaged first")
    invalid, unfinished = len(one.outcomes.invalid), len(one.outcomes.unfinished)
    if invalid:
        parts.append(f"{invalid} more over invalid links, left out")
    if unfinished:
        parts.append(f"{unfinished} cut short, counted with what they played")
    return ", ".join(parts)


def in_short(study: Study) -> list[tuple[str, str]]:
    """Policy and sentence: where it is ahead of the baseline, where behind, where nothing can be said."""
    if study.baseline is None:
        return [("", f"No policy is compared with another: {study.no_baseline}.")]
    return [(policy, _sentence(study, policy)) for policy in study.policies if policy != study.baseline]


def _sentence(study: Study, policy: str) -> str:
    places: dict[str, list[NetworkCondition]] = {}
    for one in study.conditions:
        pair = one.pairs.get(policy)
        if pair is not None:
            places.setdefault(pair.verdict, []).append(one)
    total = sum(map(len, places.values()))
    if not total:
        return f"no session in a pair with {study.baseline}."
    parts = []
    for verdict, words in (
        (AHEAD, f"ahead of {study.baseline}"),
        (BEHIND, f"behind {study.baseline}"),
        (TIE, f"a tie with {study.baseline}"),
        (UNKNOWN, "not decided, on one trace or line only,"),
    ):
        if verdict in places:
            parts.append(f"{words} in {_where(places[verdict], total, study)}")
    stall = stall_sentence(study, policy)
    return f"{'; '.join(parts)}." + (f" {stall}" if stall else "")


def _where(ones: Sequence[NetworkCondition], total: int, study: Study) -> str:
    """`2 of 4 settings (3g, 4g)`, and how many of them it had seen."""
    if len(study.conditions) == 1:
        return f"the one {study.place}, over {study.conditions[0].traces} traces"
    names = "; ".join(one.name for one in ones)
    seen = Counter(one.seen for one in ones)
    told = f", {seen[True]} seen and {seen[False]} unseen" if seen[True] + seen[False] == len(ones) else ""
    return f"{len(ones)} of {total} {study.place}s{told} ({names})"


def together_table(study: Study) -> Table:
    """Differences over all settings together, which weigh by how many traces they have."""
    assert study.together is not None and study.baseline is not None
    (group,) = study.together.groups
    pairs = {pair.policy: pair for pair in group.pairs}
    rows = []
    for policy in study.policies:
        pair = pairs.get(policy)
        if pair is None:
            continue
        rows.append(
            (
                word(policy),
                number(pair.cases, "d"),
                number(pair.traces, "d"),
                with_interval(pair.difference, "+.3f"),
                verdict_cell(pair),
                *beside_cells(pair),
                number(100 * pair.won, ".0f", " %"),
                number(100 * pair.drawn, ".0f", " %"),
            )
        )
    columns = (
        Column("policy", ("policy",), LEFT),
        Column("pairs", ("pairs",)),
        Column("traces", ("traces",)),
        Column(f"minus {study.baseline}", _names("difference")),
        Column("verdict", ("verdict",), LEFT),
        *beside_columns(),
        Column("traces won", ("won_percent",)),
        Column("drawn", ("drawn_percent",)),
    )
    caption = (
        f"Differences of QoE to {study.baseline} over all {study.place}s together. They depend on how many"
        " traces of which"
        f" {study.place} are in: the tables by {study.place} are what to cite."
        + (f" {LADDERS}" if study.of_several_ladders else "")
    )
    return Table("together", caption, columns, (RowGroup(None, tuple(rows)),), wide=True)


def generalization_sentences(study: Study) -> list[str]:
    """How leads change from seen to unseen settings; empty where nothing says which these are."""
    if study.baseline is None or not {True, False} <= {one.seen for one in study.conditions}:
        return []
    said = []
    for policy in study.policies:
        leads = {
            seen: [
                one.pairs[policy].difference.mean
                for one in study.conditions
                if one.seen is seen and policy in one.pairs
            ]
            for seen in (True, False)
        }
        if leads[True] and leads[False]:
            seen, unseen = (shown(sum(leads[one]) / len(leads[one]), "+.3f") for one in (True, False))
            said.append(f"{policy} {seen} seen, {unseen} unseen")
    if not said:
        return []
    return [
        f"Mean difference of QoE to {study.baseline}, averaged over seen and over unseen {study.place}s (each"
        f" {study.place} counts"
        f" once; no interval): {'; '.join(said)}." + (f" {LADDERS}" if study.of_several_ladders else "")
    ]


def results(study: Study) -> Section:
    """The results in a sentence a policy, a table at a glance, and the figure of differences."""
    blocks: list[Block] = []
    if _partial(study):
        blocks.append(Paragraph(missing.state_sentence(study), "warning"))
    invalid = len(study.outcomes.invalid)
    if invalid:
        blocks.append(
            Paragraph(
                f"{counted(invalid, 'session')} ran over links that were not what they should be, and are in"
                " no table or figure of results; the section on links says why.",
                "warning",
            )
        )
    blocks.append(Bullets(tuple(in_short(study))))
    glance = glance_table(study)
    blocks += [table for table in (glance, tradeoffs_table(study)) if table is not None]
    return Section("results", "Results in short", tuple(blocks))


def _partial(study: Study) -> bool:
    return study.sweep is not None and study.sweep.count("done") < len(study.sweep.sessions)

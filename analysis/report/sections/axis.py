"""Settings along their axes: does a policy suffer more than the baseline as the RTT (or what it is) grows?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from analysis.beside import TIE, UNKNOWN
from analysis.bootstrap import CONFIDENCE, Interval
from analysis.comparison import FEWEST_CLUSTERS
from analysis.report.parts.axes import (
    BETTER,
    GAINS_LESS,
    GAINS_MORE,
    SUFFERS_LESS,
    SUFFERS_MORE,
    AxisLine,
    ChangeDifference,
    LineResult,
    MeasureAlong,
    PairAlong,
    PolicyAlong,
    results_along,
)
from analysis.report.parts.blocks import Block, Bullets, Paragraph, Section, drawn
from analysis.report.parts.study import Study, plain_number
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
from analysis.report.sections.axis_figure import draw_axis
from analysis.significance import LEVEL

FORMS = {"qoe": ("QoE", "+.3f", 1.0), "stall_ratio": ("stall ratio %", "+.2f", 100.0)}
"""Title, form of differences, and what is shown is so many times the value."""
STALLS = {
    SUFFERS_MORE: "grow more",
    SUFFERS_LESS: "grow less",
    GAINS_MORE: "shrink more",
    GAINS_LESS: "shrink less",
}
"""A verdict on stall ratios."""
NO_CHANGE = "no change shown"
KINDS = {SUFFERS_MORE: "behind", GAINS_LESS: "behind", SUFFERS_LESS: "ahead", GAINS_MORE: "ahead"}
"""As the page colours verdicts."""


def along_axes(study: Study) -> Section | None:
    """The section; None where no setting has an axis with sessions at two of its points."""
    results = results_along(study)
    if not results:
        return None
    axes = list(dict.fromkeys(one.line.axis for one in results))
    blocks = _said(study, results)
    for axis in axes:
        mine = [one for one in results if one.line.axis == axis]
        blocks += drawn(
            f"axis-{axis.key}",
            partial(draw_axis, mine, study.baseline),
            _figure_caption(study, mine),
            f"QoE, its difference to the baseline, and stall ratio along {axis.title}; the tables have the"
            " numbers.",
        )
    blocks.append(along_table(results))
    if study.baseline is not None and any(one.pairs for one in results):
        blocks.append(differences_table(study.baseline, results))
    return Section("axis", f"Along the {' and the '.join(axis.words for axis in axes)}", tuple(blocks))


def _figure_caption(study: Study, results: Sequence[LineResult]) -> str:
    cases = "; ".join(f"{one.line.name}: {_counts([each.cases for each in one.policies])}" for one in results)
    text = (
        f"Mean QoE and stall ratio along {results[0].line.axis.title}, with {CONFIDENCE:.0%} intervals over"
        " traces. Every point of a curve is over the same traces, from the same moments"
        f" ({cases}). All panels of a row have one scale; policies stand beside each other, at each value."
    )
    if study.baseline is not None:
        text += (
            f" The middle row is the difference to {study.baseline} in pairs: who falls there suffers more."
        )
    return text


def _counts(counts: Sequence[int]) -> str:
    least, most = min(counts), max(counts)
    return f"{most}" if least == most else f"{least} to {most}"


# ---- sentences ---------------------------------------------------------------------------------


def _said(study: Study, results: Sequence[LineResult]) -> list[Block]:
    """What happens to each policy along each line; where there are several, below the line's name."""
    blocks: list[Block] = []
    for one in results:
        if len(results) > 1:
            blocks.append(Paragraph(f"{one.line.name}, along the {one.line.axis.words}:"))
        blocks.append(Bullets(tuple(_sentences(study, one))))
    return blocks


def _sentences(study: Study, one: LineResult) -> list[tuple[str, str]]:
    """Policy, and what happens to it along a line."""
    pairs = {pair.policy: pair for pair in one.pairs}
    said = []
    for along in one.policies:
        pair = pairs.get(along.policy)
        versus = f" {_suffering(pair, study.baseline)}" if pair and study.baseline else ""
        said.append((along.policy, f"{_changing(one.line, along)}{versus}"))
    return said


def _changing(line: AxisLine, along: PolicyAlong) -> str:
    """`QoE falls from 1.162 at 20 ms to 0.695 at 300 ms …`."""
    qoe, stall = along.measures["qoe"], along.measures["stall_ratio"]
    first, last = (line.axis.shown(value) for value in (line.values[0], line.values[-1]))
    before, after = (shown(one.mean, ".3f") for one in (qoe.at[0], qoe.at[-1]))
    text = f"from {before} at {first} to {after} at {last}: {_with_bounds(qoe.change, 'qoe')}"
    if qoe.verdict in (TIE, UNKNOWN):
        text = f"No change of QoE is shown, {text}"
    else:
        text = f"QoE {qoe.verdict} {text}"
        steadily = "" if len(line.points) < 3 else ", at every step" if qoe.steadily else ", not steadily"
        text += f", {shown(qoe.slope.mean, '+.3f')} for each {_step(line)}{steadily}"
    verb = {TIE: "shows no change", UNKNOWN: "changes"}.get(stall.verdict, stall.verdict)
    return f"{text}; its stall ratio {verb} ({_with_bounds(stall.change, 'stall_ratio')} percentage points)."


def _step(line: AxisLine) -> str:
    """`100 ms`, `player`."""
    return line.axis.shown(line.step).removeprefix("1 ")


def _with_bounds(interval: Interval, measure: str) -> str:
    _, form, scale = FORMS[measure]
    cell = with_interval(interval, form, scale)
    return f"{cell.text} {cell.small}" if interval.known else f"{cell.text}, no interval"


def _suffering(pair: PairAlong, baseline: str) -> str:
    """Whether it suffers more than the baseline, of QoE; of stalls where these say something."""
    qoe, stall = pair.measures["qoe"], pair.measures["stall_ratio"]
    text = f"{_against(qoe, baseline)} ({_with_bounds(qoe.difference, 'qoe')}{_chance(qoe)})"
    if stall.verdict in (TIE, UNKNOWN):
        return f"{text}."
    points = f"{_with_bounds(stall.difference, 'stall_ratio')} percentage points{_chance(stall)}"
    return f"{text}; its stalls {STALLS[stall.verdict]} than {baseline}'s ({points})."


def _against(found: ChangeDifference, baseline: str) -> str:
    if found.verdict == UNKNOWN:
        return f"Whether it suffers more than {baseline} is not known from one trace or line"
    if found.verdict == TIE:
        return f"It is not shown to suffer more or less than {baseline}"
    return f"It {found.verdict} than {baseline}"


def _chance(found: ChangeDifference) -> str:
    """p; where the interval excludes 0 and p does not, also what that may come of."""
    if found.holm_p is None:
        return ""
    text = f", p (Holm) {p_shown(found.holm_p)}"
    if found.verdict == TIE or found.holm_p < LEVEL:
        return text
    if found.difference.clusters < FEWEST_CLUSTERS:
        return f"{text}: too few traces to tell it from chance"
    return f"{text}: with so many questions, it may be chance"


# ---- tables ------------------------------------------------------------------------------------


def _names(measure: str, what: str) -> tuple[str, str, str]:
    name = f"{measure}_{what}"
    return name, f"{name}_low", f"{name}_high"


def along_table(results: Sequence[LineResult]) -> Table:
    """Each policy's QoE and stall ratio at both ends of each line, their change and slope."""
    columns = [Column("policy", ("policy",), LEFT), Column("n", ("cases",))]
    for measure, (title, _, _) in FORMS.items():
        columns += [
            Column(f"{title}, first", _names(measure, "first")),
            Column("last", _names(measure, "last")),
            Column("last minus first", (*_names(measure, "change"), f"{measure}_verdict")),
            Column("slope", _names(measure, "slope")),
        ]
    groups = [
        RowGroup(
            _title(one.line), tuple(_along_row(each) for each in one.policies), note=_slope_note(one.line)
        )
        for one in results
    ]
    caption = (
        f"Each policy along each axis, over the n traces (from one moment each) that it has at every point,"
        f" with {CONFIDENCE:.0%} intervals over traces. The change is taken trace by trace; rises or falls:"
        " its interval excludes 0. Slopes are by least squares over all points."
    )
    return Table("axis", caption, tuple(columns), tuple(groups), group_csv="line", wide=True)


def _title(line: AxisLine) -> str:
    return f"{line.name}, {line.axis.title} {', '.join(map(plain_number, line.values))}"


def _slope_note(line: AxisLine) -> str:
    return f"slope for each {_step(line)}"


def _along_row(along: PolicyAlong) -> tuple[Cell, ...]:
    cells = [word(along.policy), number(along.cases, "d")]
    for measure, (_, form, scale) in FORMS.items():
        found = along.measures[measure]
        plain = form.removeprefix("+")
        cells += [
            with_interval(found.at[0], plain, scale),
            with_interval(found.at[-1], plain, scale),
            _change_cell(found, measure),
            with_interval(found.slope, form, scale),
        ]
    return tuple(cells)


def _change_cell(found: MeasureAlong, measure: str) -> Cell:
    _, form, scale = FORMS[measure]
    cell = with_interval(found.change, form, scale)
    verdict = NO_CHANGE if found.verdict == TIE else found.verdict
    good = BETTER[measure] * found.change.mean > 0
    kind = found.verdict if found.verdict in (TIE, UNKNOWN) else "ahead" if good else "behind"
    return Cell(f"{cell.text} {verdict}", (*cell.values, verdict), small=cell.small, kind=kind)


def differences_table(baseline: str, results: Sequence[LineResult]) -> Table:
    """The differences of differences: does a policy suffer more than the baseline?"""
    columns = [Column("policy", ("policy",), LEFT), Column("n", ("cases",))]
    for measure, (title, _, _) in FORMS.items():
        columns += [
            Column(f"{title}: change minus {baseline}'s", _names(measure, "change_difference")),
            Column("verdict", (f"{measure}_verdict",), LEFT),
            Column("p (Holm)", (f"{measure}_holm_p",)),
        ]
    groups = [
        RowGroup(_title(one.line), tuple(_difference_row(each) for each in one.pairs))
        for one in results
        if one.pairs
    ]
    caption = (
        f"Does a policy suffer more than {baseline} along an axis? The difference of differences: last minus"
        f" first of the policy, less last minus first of {baseline}, trace by trace over the n that both have"
        f" at every point, with {CONFIDENCE:.0%} intervals. A tie is an interval that holds 0; p is"
        " Wilcoxon's, corrected by Holm over all rows of a column."
    )
    return Table("axis-differences", caption, tuple(columns), tuple(groups), group_csv="line", wide=True)


def _difference_row(pair: PairAlong) -> tuple[Cell, ...]:
    cells = [word(pair.policy), number(pair.cases, "d")]
    for measure, (_, form, scale) in FORMS.items():
        found = pair.measures[measure]
        kind = KINDS.get(found.verdict, found.verdict)
        difference = with_interval(found.difference, form, scale)
        p = Cell(NONE, (None,)) if found.holm_p is None else Cell(p_shown(found.holm_p), (found.holm_p,))
        cells += [
            Cell(difference.text, difference.values, small=difference.small, kind=kind),
            word(found.verdict, kind),
            p,
        ]
    return tuple(cells)

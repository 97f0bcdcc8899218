"""Policies by groups: one table of mean QoE with intervals, the figures that a paper begins with.

A group's means are over the cases that all its policies have, seeds averaged first. A policy that
streamed nothing in a group (it refuses that ladder) has no cell there. Against a baseline a cell is
marked by its paired difference, not by whether intervals overlap: those of means are wide with what
traces do to all policies alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.beside import AHEAD, BEHIND, TIE, UNKNOWN, stall_against_qoe
from analysis.bootstrap import CONFIDENCE
from analysis.cases.grouping import place_word
from analysis.clusters import ClusterRule
from analysis.compare import grouped, groups_with_means, missing_of, told_together
from analysis.compare_report import LONGEST_NAME, accounted, add_names, say
from analysis.comparison import ComparedGroup, pooled_ladders, recorded_twice, told_others
from analysis.outcomes import Outcomes, read_outcomes
from analysis.sessions import AnalysisError
from analysis.style import in_order, label, short_name
from player.qoe import Scoring, scored_json
from traces.words import counted, is_or_are

MARKS = {AHEAD: "+", BEHIND: "-", TIE: "=", UNKNOWN: "?"}
"""Of a cell, by the verdict of its difference to the baseline."""
GAP = 2
"""Between columns."""
MARK_WORDS = "+ ahead, - behind, = a tie (the 95 % interval of the paired difference holds 0)"


@dataclass(frozen=True)
class Matrix:
    """Policies (rows) by groups (columns)."""

    outcomes: Outcomes
    by: str
    baseline: str | None
    rule: ClusterRule
    policies: list[str]
    groups: tuple[ComparedGroup, ...]


def matrix(outcomes: Outcomes, by: str, baseline: str | None, rule: ClusterRule) -> Matrix:
    """Means of all policies in all groups.

    Raises:
        AnalysisError: a baseline that is not there, a group in which no case is common to all.
    """
    groups = groups_with_means(outcomes, by, baseline, rule)
    for group in groups:
        if not group.policies:
            raise AnalysisError(
                f"no case of {group.name} is common to all its policies; choose policies with --policy"
            )
    policies = in_order({one.policy for group in groups for one in group.policies})
    return Matrix(outcomes, by, baseline, rule, policies, groups)


def as_json(found: Matrix) -> dict[str, Any]:
    """The object of `--json`: groups, and within each the policies that it has."""
    outcomes = found.outcomes
    return {
        "qoe": scored_json(outcomes.scored),
        "by": found.by,
        "baseline": found.baseline,
        "clusters": str(found.rule),
        "sessions": len(outcomes.counted),
        "invalid": len(outcomes.invalid),
        "groups": [
            {
                "group": group.name,
                "cases": group.policies[0].cases,
                "together": list(group.together),
                "traces": group.traces,
                "clusters": group.clusters,
                "policies": [
                    {
                        "policy": one.policy,
                        "qoe": one.qoe.mean,
                        "qoe_ci95": one.qoe.bounds,
                        "verdict": _verdicts(group).get(one.policy),
                        "stall": _stalls(group).get(one.policy),
                    }
                    for one in group.policies
                ],
            }
            for group in found.groups
        ],
        **accounted(outcomes, missing_of(outcomes)),
    }


def show(found: Matrix, console: Console, markdown: bool = False) -> None:
    """Print it for a person, in columns or as Markdown."""
    outcomes = found.outcomes
    heads = ["policy", *(f"{group.name} (n = {group.policies[0].cases})" for group in found.groups)]
    rows = [[label(policy), *(_cell(group, policy) for group in found.groups)] for policy in found.policies]
    say(console, f"QoE per chunk: {outcomes.weights}; first chunk not counted; {_made(outcomes)}")
    say(console, f"mean [{CONFIDENCE:.0%} interval, bootstrap over {found.rule}]")
    if found.baseline is not None:
        say(console, f"against {found.baseline}: {MARK_WORDS}")
    console.print()
    if markdown:
        for cells in (heads, ["---", *["---:"] * len(found.groups)], *rows):
            say(console, f"| {' | '.join(cell.strip() for cell in cells)} |")
    else:
        for begin, end in _blocks(heads, rows, console.width):
            if begin > 1:
                console.print()
            shown = [[cells[0], *cells[begin:end]] for cells in (heads, *rows)]
            console.print(_columns(shown[0], shown[1:]))
    _show_notes(found, console)


def _show_notes(found: Matrix, console: Console) -> None:
    """What a reader must know to read the cells right."""
    outcomes = found.outcomes
    for group in found.groups:
        for policy, against in _stalls(group).items():
            verdict = _verdicts(group)[policy]
            how = "a tie" if verdict == TIE else verdict
            say(console, f"note: {label(policy)} is {how} with {against} stall in {group.name}")
    if twice := recorded_twice(outcomes.counted):
        say(console, f"note: {twice}")
    if others := told_others(outcomes):
        say(console, f"note: told {'; '.join(others)}: policies aimed at another QoE, the oracle is no bound")
    for told in told_together(outcomes, found.by):
        say(console, f"note: {told}")
    if pooled := pooled_ladders(grouped(outcomes, found.by).values()):
        say(console, f"note: {pooled}")
    for policy in dict.fromkeys(one.policy for one in outcomes.left_out):
        say(console, f"note: {short_name(policy)}: {outcomes.why_left_out(policy)}")
    for count, what, words in (
        (len(missing_of(outcomes)), "case", "missing of policies; `compare` and --json name them"),
        (
            len(outcomes.unfinished),
            "session",
            "not finished; what they played counts, and all their stall",
        ),
    ):
        if count:
            say(console, f"note: {counted(count, what)} {is_or_are(count)} {words}")


def show_by_setting(console: Console, folder: Path, scoring: Scoring, baseline: str | None) -> None:
    """Print the policies of a folder by setting, or why there is no such table.

    Args:
        baseline: marks are against it, if a session of it counts.

    Raises:
        OSError: the folder cannot be read.
    """
    try:
        outcomes = read_outcomes([folder], scoring)
        there = baseline in outcomes.policies and baseline not in outcomes.without_figures
        found = matrix(outcomes, "setting", baseline if there else None, ClusterRule())
    except AnalysisError as error:
        say(console, f"no table: {error}")
        return
    show(found, console)


def _blocks(heads: list[str], rows: list[list[str]], width: int) -> list[tuple[int, int]]:
    """From which column to which the table is printed side by side; what does not fit stands below."""
    wide = [max(len(cells[place]) for cells in (heads, *rows)) + GAP for place in range(len(heads))]
    room = width - min(wide[0], LONGEST_NAME + GAP)
    blocks, begin, used = [], 1, 0
    for place in range(1, len(heads)):
        if used and used + wide[place] > room:
            blocks.append((begin, place))
            begin, used = place, 0
        used += wide[place]
    return [*blocks, (begin, len(heads))]


def _columns(heads: list[str], rows: list[list[str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    add_names(table, heads[0])
    for head in heads[1:]:
        table.add_column(head, justify="right")
    for cells in rows:
        table.add_row(*map(Text, cells))
    return table


def _cell(group: ComparedGroup, policy: str) -> str:
    """`1.033 [0.893, 1.176] +`; a dash where the group has none of this policy."""
    verdicts = _verdicts(group)
    blank = "  " if verdicts else ""
    found = next((one for one in group.policies if one.policy == policy), None)
    if found is None:
        return f"-{blank}"
    bounds = found.qoe.bounds
    interval = "" if bounds is None else f" [{bounds[0]:.3f}, {bounds[1]:.3f}]"
    mark = f" {MARKS[verdicts[policy]]}" if policy in verdicts else blank
    return f"{found.qoe.mean:.3f}{interval}{mark}"


def _verdicts(group: ComparedGroup) -> dict[str, str]:
    """Of each policy that is compared with the baseline."""
    return {pair.policy: pair.verdict for pair in group.pairs}


def _stalls(group: ComparedGroup) -> dict[str, str]:
    """Of each policy whose stalls point the other way than its QoE, `more` or `less` than the baseline's."""
    found = {pair.policy: stall_against_qoe(pair.verdict, pair.beside) for pair in group.pairs}
    return {policy: against for policy, against in found.items() if against is not None}


def _made(outcomes: Outcomes) -> str:
    """How the sessions came about: what their links have in common, and over how many points."""
    ways = list(dict.fromkeys(one.case.link_label for one in outcomes.counted))
    if len(ways) == 1:
        return ways[0]
    words = [way.split(", ") for way in ways]
    common = [word for word in words[0] if all(word in others for others in words)]
    places = counted(len(grouped(outcomes, "setting")), place_word(one.case for one in outcomes.counted))
    return ", ".join([*common, f"over {places}"])

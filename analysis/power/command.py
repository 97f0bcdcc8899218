"""`python -m analysis power`: how many traces a comparison needs, from the variances of a folder."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.clusters import ClusterRule
from analysis.compare import Cells, cells, check_baseline, duels, grouped, told_together
from analysis.compare_report import say
from analysis.comparison import MEASURES, pooled_ladders
from analysis.options import scored_by
from analysis.outcomes import Outcomes, read_outcomes
from analysis.power.measures import ASKED, AskedMeasure
from analysis.power.needed import CONFIDENCE, Spread, detectable, needed_clusters, spread_of
from analysis.sessions import AnalysisError, tell_next, tell_unreadable
from analysis.significance import LEVEL
from analysis.style import short_name
from player.qoe import scored_json
from traces.commands import PIPE_COLUMNS
from traces.console import VisibleConsole

ROUGH = 12
"""Independent traces below which a variance is hardly known."""


@dataclass(frozen=True)
class PowerQuestion:
    """What is to be shown, and how surely."""

    measure: str
    difference: float
    power: float
    tests: int

    @property
    def level(self) -> float:
        """Of one test, so that all together keep `LEVEL`: Bonferroni's; Holm's is never stricter."""
        return LEVEL / self.tests


@dataclass(frozen=True)
class PowerAnswer:
    """Two policies in a group: how their differences vary, and how many traces that asks for."""

    group: str | None
    policy: str
    baseline: str
    pairs: int
    spread: Spread
    needed: int | None
    """None: more than anybody has."""
    needed_low: int | None
    """By the standard deviation's interval; None where it has none, or beyond all bounds."""
    needed_high: int | None
    detectable: float
    """What the traces that there are show with the power asked for."""


def run_power(args: argparse.Namespace) -> int:
    """Answer; returns the exit status.

    Raises:
        AnalysisError: what is wrong and the way out.
    """
    qoe, rule = scored_by(args)
    question = question_of(args.measure, args.difference, args.power, args.tests)
    outcomes = read_outcomes(args.results, qoe, args.policy, interrupted=args.interrupted)
    status = tell_unreadable(outcomes.unreadable)
    check_baseline(outcomes, args.baseline)
    found = answers(outcomes, question, baseline=args.baseline, by=args.by, rule=rule)
    if args.json:
        print(json.dumps(as_json(outcomes, question, found, rule), allow_nan=False))
        return status
    console = VisibleConsole(width=None if sys.stdout.isatty() else PIPE_COLUMNS)
    show(outcomes, question, found, rule, console, pooled_ladders(grouped(outcomes, args.by).values()))
    for told in told_together(outcomes, args.by):
        say(console, f"note: {told}")
    tell_next(args.results, "compare")
    return status


def question_of(measure: str, difference: str | None, power: float, tests: int) -> PowerQuestion:
    """What was asked, checked.

    Raises:
        AnalysisError: a difference, power or number of tests that is none.
    """
    asked = ASKED[measure].difference if difference is None else _difference(measure, difference)
    if not LEVEL < power < 1:
        raise AnalysisError(f"--power {power:g}: expected more than {LEVEL:g} and less than 1, such as 0.8")
    if not 1 <= tests <= 10_000:
        raise AnalysisError(f"--tests {tests}: expected 1 to 10000")
    return PowerQuestion(measure, asked, power, tests)


def _difference(measure: str, text: str) -> float:
    digits, percent, rest = text.partition("%")
    if percent and measure != "stall_ratio":
        one = ASKED[measure]
        raise AnalysisError(
            f"--difference {text}: only a stall ratio's is a percentage; of {one.words} give"
            f" {'a number of' + one.unit if one.unit else 'a plain number'}, such as {one.difference:g}"
        )
    try:
        value = float(digits) / (100 if percent else 1)
    except ValueError:
        value = 0.0
    if rest.strip() or not 0 < abs(value) < 1e12:
        such = "0.005 or 0.5%" if measure == "stall_ratio" else f"{ASKED[measure].difference:g}"
        raise AnalysisError(f"--difference {text}: expected a number that is not 0, such as {such}")
    return abs(value)


def answers(
    outcomes: Outcomes,
    question: PowerQuestion,
    *,
    baseline: str | None = None,
    by: str | None = None,
    rule: ClusterRule,
) -> list[PowerAnswer]:
    """An answer for each pair of policies in each group; pairs over one independent trace have none.

    Raises:
        AnalysisError: there is no pair over two independent traces.
    """
    found = []
    for group, part in grouped(outcomes, by).items():
        mine = cells(part)
        for policy, other in duels(part.policies, baseline):
            one = _answer(group, policy, other, mine, question, rule)
            found += [] if one is None else [one]
    if not found:
        raise AnalysisError(
            "no two policies have two independent traces in common; how differences vary can't be known"
            " from fewer"
        )
    return found


def _answer(
    group: str | None, policy: str, baseline: str, found: Cells, question: PowerQuestion, rule: ClusterRule
) -> PowerAnswer | None:
    mine, other = found.get(policy, {}), found.get(baseline, {})
    both = [case for case in mine if case in other]
    clusters = [rule.key(case.trace) for case in both]
    if len(set(clusters)) < 2:
        return None
    get = MEASURES[question.measure]
    spread = spread_of([get(mine[case]) - get(other[case]) for case in both], clusters)

    def needed(sd: float | None) -> int | None:
        if sd is None:
            return None
        return needed_clusters(sd, question.difference, question.power, question.level)

    return PowerAnswer(
        group=group,
        policy=policy,
        baseline=baseline,
        pairs=len(both),
        spread=spread,
        needed=needed(spread.sd),
        needed_low=needed(spread.low),
        needed_high=needed(spread.high),
        detectable=detectable(spread.sd, spread.clusters, question.power, question.level),
    )


def as_json(
    outcomes: Outcomes, question: PowerQuestion, found: Sequence[PowerAnswer], rule: ClusterRule
) -> dict[str, Any]:
    """The object of `--json`."""
    return {
        "qoe": scored_json(outcomes.scored),
        **asdict(question),
        "level": question.level,
        "clusters": str(rule),
        "pairs": [
            {
                "group": one.group,
                "policy": one.policy,
                "baseline": one.baseline,
                "pairs": one.pairs,
                "clusters": one.spread.clusters,
                "difference_here": one.spread.mean,
                "sd": one.spread.sd,
                "sd_ci95": None if one.spread.low is None else [one.spread.low, one.spread.high],
                "needed": one.needed,
                "needed_ci95": None if one.spread.low is None else [one.needed_low, one.needed_high],
                "detectable": one.detectable,
            }
            for one in found
        ],
        "assumed": assumed(question),
    }


def assumed(question: PowerQuestion) -> list[str]:
    """What the answer rests on, in sentences."""
    several = f", each of {question.tests} tests at {question.level:.2g}" if question.tests > 1 else ""
    return [
        "more traces come from where these came, each with as many sessions as here, and differences vary"
        " as they do here",
        f"a mean of so many differences is about normal: Student's t test, two-sided, {LEVEL:.0%}{several}",
        "the interval is that of the variance (Bonett 2006); where few traces hold most of it, it is too"
        " narrow",
    ]


def show(
    outcomes: Outcomes,
    question: PowerQuestion,
    found: Sequence[PowerAnswer],
    rule: ClusterRule,
    console: Console,
    pooled: str | None,
) -> None:
    """Print the answers for a person.

    Args:
        pooled: that differences are over several stall weights, where they are.
    """
    asked = ASKED[question.measure]
    say(
        console,
        f"Independent traces needed to show a difference of {asked.shown(question.difference)} in"
        f" {asked.words} with a chance of {question.power:.0%}",
    )
    say(console, f"QoE per chunk: {outcomes.weights}. Independent: {rule}.")
    console.print()
    console.print(_table(asked, question, found))
    console.print()
    for text in assumed(question):
        say(console, f"assumed: {text}")
    if question.measure == "qoe" and pooled:
        say(console, f"note: {pooled}")
    few = min(one.spread.clusters for one in found)
    if few < ROUGH:
        say(console, f"note: over {few} independent traces a variance is hardly known; the answer is rough")
    if any(one.spread.sd == 0 for one in found):
        say(console, "note: where differences do not vary at all, any two traces will do; are they real?")


def _table(asked: AskedMeasure, question: PowerQuestion, found: Sequence[PowerAnswer]) -> Table:
    table = Table(box=None, pad_edge=False)
    grouped_by = any(one.group is not None for one in found)
    for name in (*(["group"] if grouped_by else []), "policy", "minus"):
        table.add_column(name)
    heads = ("traces here", "difference here", "sd of a trace's", "traces needed")
    for name in (*heads, f"{CONFIDENCE:.0%} interval", f"shown here with {question.power:.0%}"):
        table.add_column(name, justify="right")
    for one in found:
        spread = one.spread
        interval = "-"
        if spread.low is not None:
            interval = f"{_count(one.needed_low)} to {_count(one.needed_high)}"
        row = (
            *([one.group or ""] if grouped_by else []),
            short_name(one.policy),
            short_name(one.baseline),
            str(spread.clusters),
            f"{asked.scale * spread.mean:+{asked.form}}{asked.unit}",
            asked.shown(spread.sd),
            _count(one.needed),
            interval,
            f"{asked.shown(one.detectable)} or more",
        )
        table.add_row(*map(Text, row))
    return table


def _count(needed: int | None) -> str:
    return "over 10,000,000" if needed is None else f"{needed:,}"

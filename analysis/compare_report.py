"""A comparison for a person (tables and sentences) and for a machine (one object)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.beside import BESIDE, beside_verdict, with_bounds
from analysis.bootstrap import CONFIDENCE, RESAMPLES, Interval
from analysis.cases.case import Case
from analysis.comparison import ComparedGroup, Comparison, Missing, PairResult, PolicyMeans, notes
from analysis.outcomes import Accounted, F, LeftOut, Outcomes
from analysis.style import short_name
from player.qoe import scored_json
from traces.words import counted

LONGEST_NAME = 32
"""A longer name goes on in the next line."""
NAMED = 5
"""Of a list, a person is shown so many by name; the object of `--json` has all."""


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The object of `--json`."""
    outcomes = comparison.outcomes
    return {
        "qoe": scored_json(outcomes.scored),
        "baseline": comparison.baseline,
        "by": comparison.by,
        "clusters": str(comparison.rule),
        "clusters_made": comparison.rule.counted(outcomes.traces),
        "bootstrap": {"confidence": CONFIDENCE, "resamples": RESAMPLES},
        "sessions": len(outcomes.counted),
        "invalid": len(outcomes.invalid),
        "groups": [_group_json(group) for group in comparison.groups],
        **accounted(outcomes, comparison.missing),
        "notes": notes(comparison),
    }


def accounted(outcomes: Outcomes, missing: Sequence[Missing]) -> dict[str, Any]:
    """What is not counted, or not whole, session by session, as `--json` has it."""
    return {
        "missing": [{"policy": one.policy, **_case_json(one.case), "reason": one.reason} for one in missing],
        "unfinished": [
            {
                "policy": one.policy,
                **_case_json(one.case),
                "ended": one.ended,
                "chunks": one.chunks,
                "chunks_asked": one.chunks_asked,
                "record": one.record,
            }
            for one in outcomes.unfinished
        ],
        "left_out": [
            {"policy": one.policy, "record": one.record, "reason": one.reason} for one in outcomes.left_out
        ],
    }


def _case_json(case: Case) -> dict[str, Any]:
    return {
        "trace": case.trace,
        "start_s": case.start_s,
        "video": case.video,
        "link": case.link_label,
        "chunks": case.chunks,
        "besides": list(case.besides),
    }


def _group_json(group: ComparedGroup) -> dict[str, Any]:
    return {
        "group": group.name,
        "cases": group.cases,
        "traces": group.traces,
        "clusters": group.clusters,
        "together": list(group.together),
        "policies": [_policy_json(one) for one in group.policies],
        "pairs": [_pair_json(one) for one in group.pairs],
        "points": [
            {"point": one.name, "pairs": [_pair_json(pair) for pair in one.pairs]} for one in group.points
        ],
    }


def _policy_json(one: PolicyMeans) -> dict[str, Any]:
    figures = {key: value for key, value in asdict(one.figures).items() if key != "qoe"}
    return {
        "policy": one.policy,
        "cases": one.cases,
        "sessions": one.sessions,
        "unfinished": one.unfinished,
        "invalid": one.invalid,
        "qoe": one.qoe.mean,
        **figures,
        **{f"{name}_ci95": interval.bounds for name, interval in one.intervals.items()},
    }


def _pair_json(one: PairResult) -> dict[str, Any]:
    return {
        "policy": one.policy,
        "baseline": one.baseline,
        "cases": one.cases,
        "traces": one.traces,
        "clusters": one.difference.clusters,
        "difference": one.difference.mean,
        "ci95": one.difference.bounds,
        "verdict": one.verdict,
        "doubtful": one.doubtful,
        "words": one.words,
        "wilcoxon_p": one.wilcoxon_p,
        "holm_p": one.holm_p,
        "won": one.won,
        "drawn": one.drawn,
        "beside": {
            name: {"difference": found.mean, "ci95": found.bounds, "verdict": beside_verdict(found)}
            for name, found in one.beside.items()
        },
        "worst": [
            {**_case_json(worst.case), "name": worst.name, "difference": worst.difference}
            for worst in one.worst
        ],
    }


def show(comparison: Comparison, console: Console) -> None:
    """Print the comparison for a person."""
    outcomes = comparison.outcomes
    say(
        console,
        f"QoE per chunk: {outcomes.weights}; first chunk not counted."
        f" {counted(len(outcomes.counted), 'session')} counted,"
        f" {len(outcomes.invalid)} invalid left out.",
    )
    say(console, f"Intervals: {CONFIDENCE:.0%}, bootstrap over {comparison.rule}.")
    say(console, f"{comparison.rule.counted(outcomes.traces)}.")
    for group in comparison.groups:
        _show_group(group, console)
    console.print()
    for note in notes(comparison):
        say(console, f"note: {note}")
    show_missing(comparison.missing, console)
    for line in (*_unfinished_lines(outcomes), *left_out_lines(outcomes)):
        say(console, line)


def left_out_lines(outcomes: Accounted[F]) -> list[str]:
    """A line for each policy and reason, with the first records by name."""
    return left_out_words(outcomes.left_out)


def left_out_words(left_out: Sequence[LeftOut]) -> list[str]:
    """The same of any sessions that are left out."""
    groups: dict[tuple[str, str], list[str]] = {}
    for one in left_out:
        groups.setdefault((one.policy, one.reason), []).append(Path(one.record).name)
    return [
        f"left out: {counted(len(names), 'session')} of {short_name(policy)}: {reason}: {_some(names)}"
        for (policy, reason), names in groups.items()
    ]


def _unfinished_lines(outcomes: Outcomes) -> list[str]:
    """A line for each policy and what cut its sessions short."""
    groups: dict[tuple[str, str], list[str]] = {}
    for one in outcomes.unfinished:
        of = "" if one.chunks_asked is None else f" of {one.chunks_asked}"
        name = f"{Path(one.record).name} after {one.chunks}{of} chunks"
        groups.setdefault((one.policy, one.ended), []).append(name)
    return [
        f"unfinished: {counted(len(names), 'session')} of {short_name(policy)}, {ended}: {_some(names)}"
        for (policy, ended), names in groups.items()
    ]


def _some(names: Sequence[str]) -> str:
    more = f", and {len(names) - NAMED} more, named by --json" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def say(console: Console, text: str) -> None:
    """A line, not folded and without markup."""
    console.print(Text(text), soft_wrap=True)


def _show_group(group: ComparedGroup, console: Console) -> None:
    console.print()
    title = "" if group.name is None else f"{group.name}: "
    say(
        console,
        f"{title}{counted(group.cases, 'case')}, {counted(group.traces, 'trace')}"
        f" in {counted(group.clusters, 'cluster')}{f', {pooled}' if (pooled := group.pooled) else ''}",
    )
    if group.policies:
        console.print(_means_table(group.policies))
    else:
        say(
            console,
            "no case is common to all policies, so there is no table of means; see the differences",
        )
    if not group.pairs:
        say(console, "no pairs here")
        return
    console.print()
    console.print(_pairs_table(group.pairs))
    console.print()
    console.print(_beside_table(group.pairs))
    if group.points:
        console.print()
        console.print(_points_table(group))
    console.print()
    for pair in group.pairs:
        say(console, pair.words)
    for pair in group.pairs:
        cases = "; ".join(f"{worst.name} {worst.difference:+.2f}" for worst in pair.worst)
        say(console, f"worst of {short_name(pair.policy)} against {short_name(pair.baseline)}: {cases}")


def _means_table(policies: Sequence[PolicyMeans]) -> Table:
    table = Table(
        title=f"means over the {counted(policies[0].cases, 'case')} that all have",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    live = any(one.figures.latency_s is not None for one in policies)
    names = ("QoE", "95 % interval", "bitrate Mbit/s", "stall ratio", "startup s", "switches", "used of link")
    add_names(table, "policy")
    late = ("latency s",) if live else ()
    _add_numbers(table, *names, *late, "sessions", "unfinished", "invalid")
    for one in policies:
        figures = one.figures
        cells = (
            short_name(one.policy),
            f"{one.qoe.mean:.3f}",
            _bounds(one.qoe),
            f"{figures.bitrate_mbps:.3f}",
            f"{100 * figures.stall_ratio:.2f} %",
            f"{figures.startup_s:.2f}",
            f"{figures.switches:.1f}",
            "-" if figures.utilisation is None else f"{100 * figures.utilisation:.0f} %",
            *(("-" if figures.latency_s is None else f"{figures.latency_s:.2f}",) if live else ()),
            str(one.sessions),
            str(one.unfinished),
            str(one.invalid),
        )
        table.add_row(*map(Text, cells))
    return table


def _pairs_table(pairs: Sequence[PairResult]) -> Table:
    table = Table(title="differences of QoE", title_justify="left", box=None, pad_edge=False)
    add_names(table, "policy", "minus")
    names = ("pairs", "difference", "95 % interval", "p (Wilcoxon)", "p (Holm)", "traces won", "drawn")
    _add_numbers(table, *names)
    table.add_column("verdict")
    for one in pairs:
        cells = (
            short_name(one.policy),
            short_name(one.baseline),
            str(one.cases),
            f"{one.difference.mean:+.3f}",
            _bounds(one.difference, "+"),
            _p(one.wilcoxon_p),
            _p(one.holm_p),
            f"{100 * one.won:.0f} %",
            f"{100 * one.drawn:.0f} %",
            f"{one.verdict}, doubtful" if one.doubtful else one.verdict,
        )
        table.add_row(*map(Text, cells))
    return table


def _beside_table(pairs: Sequence[PairResult]) -> Table:
    """What the differences of QoE are made of, over the same pairs."""
    table = Table(
        title="beside them, with 95 % intervals and verdicts", title_justify="left", box=None, pad_edge=False
    )
    add_names(table, "policy", "minus")
    table.add_column("QoE")
    for measure in BESIDE:
        _add_numbers(table, measure.title)
        table.add_column("")
    for one in pairs:
        cells = [short_name(one.policy), short_name(one.baseline), one.verdict]
        for measure in BESIDE:
            found = one.beside[measure.name]
            cells += [with_bounds(measure, found), beside_verdict(found)]
        table.add_row(*map(Text, cells))
    return table


def _points_table(group: ComparedGroup) -> Table:
    """The differences of QoE at each setting or point that the tables above are over."""
    table = Table(
        title=f"differences of QoE at each {group.place}", title_justify="left", box=None, pad_edge=False
    )
    add_names(table, "policy", "minus")
    table.add_column(group.place)
    _add_numbers(table, "pairs", "difference", "95 % interval")
    table.add_column("verdict")
    for duel in group.pairs:
        for point in group.points:
            for one in point.pairs:
                if (one.policy, one.baseline) == (duel.policy, duel.baseline):
                    cells = (short_name(one.policy), short_name(one.baseline), point.name, str(one.cases))
                    difference = (f"{one.difference.mean:+.3f}", _bounds(one.difference, "+"))
                    table.add_row(*map(Text, (*cells, *difference, one.verdict)))
    return table


def add_names(table: Table, *heads: str) -> None:
    """Columns of names: a long one leaves the numbers their place."""
    for head in heads:
        table.add_column(head, overflow="fold", max_width=LONGEST_NAME)


def _add_numbers(table: Table, *heads: str) -> None:
    for head in heads:
        table.add_column(head, justify="right")


def _bounds(interval: Interval, sign: str = "") -> str:
    bounds = interval.bounds
    return "-" if bounds is None else f"{bounds[0]:{sign}.3f} to {bounds[1]:{sign}.3f}"


def _p(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"


def show_missing(missing: Sequence[Missing], console: Console) -> None:
    """A line for each policy and reason, with the first cases by name."""
    groups: dict[tuple[str, str], list[Missing]] = {}
    for one in missing:
        groups.setdefault((one.policy, one.reason), []).append(one)
    for (policy, reason), ones in groups.items():
        names = "; ".join(str(one.case) for one in ones[:NAMED])
        more = f"; and {len(ones) - NAMED} more, named by --json" if len(ones) > NAMED else ""
        lacks = counted(len(ones), "case")
        say(console, f"missing: {short_name(policy)} lacks {lacks} ({reason}): {names}{more}")

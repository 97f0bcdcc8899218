"""A comparison of calls for a person: tables and sentences."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.beside import UNKNOWN, beside_verdict
from analysis.bootstrap import CONFIDENCE
from analysis.calls.comparison import TESTED, CallComparison, CallGroup, CallMeans, CallPair
from analysis.calls.measures import BITRATE, LINK_SHARE, MEASURES
from analysis.compare_report import add_names, left_out_lines, say, show_missing
from analysis.comparison import FEWEST_CLUSTERS
from analysis.style import short_name
from traces.words import counted

VERDICT_WORDS = (
    "verdict: ahead is better in bitrate or in stall and not worse in the other; not worse: the interval"
    " does not say so"
)


def head_lines(compared: CallComparison) -> list[str]:
    """What the figures are and how they were counted."""
    found = compared.found
    traces = found.traces
    return [
        f"QoE: {found.qoe.in_words}. Stall ratio: time in gaps of over 200 ms between frames. Freezes:"
        " WebRTC's. The warm-up isn't scored."
        f" {counted(len(found.counted), 'call')} counted, {len(found.invalid)} invalid left out.",
        f"Intervals: {CONFIDENCE:.0%}, bootstrap over {compared.rule}.",
        f"{compared.rule.counted(traces)}.",
    ]


def notes(compared: CallComparison) -> list[str]:
    """What a reader must know to read the figures right."""
    found, pairs = compared.found, [pair for group in compared.groups for pair in group.pairs]
    told = [VERDICT_WORDS] + [text for text in (compared.rule.doubt(found.traces),) if text]
    told += [group.pooled for group in compared.groups if group.pooled]
    if len({one.simulated for one in found.counted}) > 1:
        told.append("simulated and emulated calls are both here; they are never paired with each other")
    unseen = [one for one in found.counted if one.figures.unseen]
    if unseen:
        names = ", ".join(Path(one.record).name for one in unseen[:3])
        told.append(
            f"{counted(len(unseen), 'call')} in which no frame was seen, counted with frame delays of all the"
            f" scored time: {names}"
        )
    few = [pair.intervals[BITRATE].clusters for pair in pairs]
    if few and min(few) < FEWEST_CLUSTERS:
        told.append(
            f"some differences are over {min(few)} independent traces: under {FEWEST_CLUSTERS},"
            " Wilcoxon's p is above 0.05 whatever they are, and an interval is rough"
        )
    if any(pair.doubtful for pair in pairs):
        asked = counted(len(TESTED) * len(pairs), "question")
        told.append(f"doubtful: p (Holm), held against {asked} asked here, says that it may be chance")
    return told


def show(compared: CallComparison, console: Console) -> None:
    """Print it for a person."""
    for line in head_lines(compared):
        say(console, line)
    for group in compared.groups:
        _show_group(group, console)
    console.print()
    for note in notes(compared):
        say(console, f"note: {note}")
    show_missing(compared.missing, console)
    for line in left_out_lines(compared.found):
        say(console, line)


def _show_group(group: CallGroup, console: Console) -> None:
    console.print()
    title = "" if group.name is None else f"{group.name}: "
    clusters = counted(group.clusters, "cluster")
    say(console, f"{title}{counted(group.cases, 'case')}, {counted(group.traces, 'trace')} in {clusters}")
    if group.policies:
        console.print(_means_table(group.policies))
    else:
        say(console, "no case is common to all policies, so there is no table of means; see the differences")
    if not group.pairs:
        say(console, "no pairs here")
        return
    console.print()
    console.print(_pairs_table(group.pairs))
    console.print()
    for pair in group.pairs:
        say(console, pair.words)
    for pair in group.pairs:
        cases = "; ".join(f"{worst.name} {worst.difference:+.2f}" for worst in pair.worst)
        say(console, f"worst QoE of {short_name(pair.policy)} against {short_name(pair.baseline)}: {cases}")


def _table(title: str, *names: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    add_names(table, *names)
    return table


def _means_table(policies: tuple[CallMeans, ...]) -> Table:
    table = _table(f"means over the {counted(policies[0].cases, 'case')} that all have", "policy")
    for title in (*(one.title for one in (*MEASURES, LINK_SHARE)), "calls", "unfinished", "invalid"):
        table.add_column(title, justify="right")
    for one in policies:
        figures = [each.shown(getattr(one.figures, each.name)) for each in (*MEASURES, LINK_SHARE)]
        counts = map(str, (one.calls, one.unfinished, one.invalid))
        table.add_row(*map(Text, (short_name(one.policy), *figures, *counts)))
    return table


def _pairs_table(pairs: tuple[CallPair, ...]) -> Table:
    """A row a measure, for a row a pair is wider than any screen."""
    table = _table("differences with 95 % intervals", "policy", "minus")
    for title in ("pairs", "of", "difference", "p (Wilcoxon)", "p (Holm)", "traces higher"):
        table.add_column(title, justify="left" if title == "of" else "right")
    table.add_column("")
    for pair in pairs:
        for place, measure in enumerate(MEASURES):
            interval, held = pair.intervals[measure.name], pair.tests.get(measure.name)
            names = (short_name(pair.policy), short_name(pair.baseline), str(pair.cases))
            unit = ", % points" if measure.unit else ""
            cells = (
                *(names if place == 0 else ("", "", "")),
                f"{measure.title}{unit}",
                measure.with_bounds(interval),
                _p(held.wilcoxon_p if held else None),
                _p(pair.holm_p.get(measure.name)),
                f"{100 * held.won:.0f} %" if held else "",
                beside_verdict(interval) if interval.known else UNKNOWN,
            )
            table.add_row(*map(Text, cells))
        told = f"{pair.verdict}, doubtful" if pair.doubtful else pair.verdict
        table.add_row("", "", "", "verdict", Text(told), end_section=True)
    return table


def _p(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}"

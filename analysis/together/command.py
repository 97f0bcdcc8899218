"""`python -m analysis together`: what those who shared a bottleneck got of it, with intervals over traces."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from analysis.bootstrap import CONFIDENCE, Interval
from analysis.clusters import ClusterRule
from analysis.options import add_cluster, add_command, add_json
from analysis.sessions import AnalysisError, tell_unreadable
from analysis.together.lanes import as_json, read_lanes, shared_means
from traces.commands import PIPE_COLUMNS, tell_line
from traces.console import VisibleConsole
from traces.words import counted

TOGETHER_COMMAND = "together"


def add_together(commands: Any) -> None:
    """The command and its options."""
    command = add_command(
        commands, TOGETHER_COMMAND, "what those who shared a bottleneck got of it, with intervals", together
    )
    what = command.add_argument_group("what to look at")
    what.add_argument(
        "results", nargs="+", type=Path, metavar="RESULTS", help="folders of records, or records, of any kind"
    )
    add_cluster(what)
    add_json(command.add_argument_group("output"))


def together(args: argparse.Namespace) -> int:
    """Carry it out; the exit status.

    Raises:
        AnalysisError: no lane was shared, or a pattern that is none.
    """
    try:
        rule = ClusterRule(args.cluster)
    except ValueError as error:
        raise AnalysisError(str(error)) from None
    found = read_lanes(args.results)
    status = tell_unreadable(found.unreadable)
    if not found.lanes:
        raise AnalysisError(
            f"no lane here was shared over a true link ({found.alone} records of sessions alone,"
            f" {found.invalid} of untrue links); see `testbed/run.py --help`, --beside, --cross, --together"
        )
    means = list(shared_means(found.lanes, rule))
    if args.json:
        print(json.dumps(as_json(found, means)))
        return status
    console = VisibleConsole(width=None if sys.stdout.isatty() else PIPE_COLUMNS)
    console.print(_table(means))
    left_out = f"; {counted(found.invalid, 'record')} of untrue links left out" if found.invalid else ""
    tell_line(
        f"{counted(len(found.lanes), 'shared lane')}{left_out}. Payload while all were there; intervals:"
        f" {CONFIDENCE:.0%}, bootstrap over {rule}"
    )
    return status


def _table(means: Any) -> Table:
    shown = Table(title="shared bottlenecks", title_justify="left", box=None, pad_edge=False)
    for name in ("setting", "lanes", "who", "Mbit/s", "of link %", "stall ratio %", "Jain's index"):
        shown.add_column(name, justify="left" if name in ("setting", "who") else "right")
    for group in means:
        for place, one in enumerate(group.members):
            begin = (group.setting or "-", str(group.lanes)) if place == 0 else ("", "")
            cells = (
                *begin,
                one.words,
                _with_bounds(one.mbps, ".3f"),
                _with_bounds(one.share, ".1f", 100.0),
                "-" if one.stall_ratio is None else _with_bounds(one.stall_ratio, ".2f", 100.0),
                _with_bounds(group.jain, ".3f") if place == 0 else "",
            )
            shown.add_row(*map(Text, cells), end_section=place == len(group.members) - 1)
    return shown


def _with_bounds(found: Interval, form: str, scale: float = 1.0) -> str:
    """`0.412 (0.380 to 0.451)`."""
    mean = f"{scale * found.mean:{form}}"
    if found.low is None or found.high is None:
        return mean
    return f"{mean} ({scale * found.low:{form}} to {scale * found.high:{form}})"

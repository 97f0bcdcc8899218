"""The options of `python -m analysis report`, which itself takes a while to import."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from analysis.options import (
    BASELINE,
    add_bound,
    add_cluster,
    add_command,
    add_interrupted,
    add_json,
    add_policies,
    add_scoring,
    add_seen,
)
from analysis.style import FORMATS, USUAL_FORMATS

REPORT_COMMAND = "report"


def add_report(commands: Any) -> None:
    """The command's options."""
    command = add_command(
        commands, REPORT_COMMAND, "a page, figures and tables of a sweep or of any folder of records", _report
    )
    what = command.add_argument_group("what to report")
    what.add_argument(
        "results",
        nargs="+",
        type=Path,
        metavar="RESULTS",
        help="a folder of records (the *.jsonl directly in it); several of jobs and viewports",
    )
    add_policies(what)
    what.add_argument(
        "--baseline",
        metavar="NAME",
        help=f"compare all with this policy (default: the sweep's, else {BASELINE})",
    )
    add_bound(what, "in the QoE figure, and how much of the way there each policy goes")
    add_cluster(what)
    add_seen(what)
    add_interrupted(what)
    add_scoring(command, kind=None, kind_note="the sweep's, else linear")
    output = command.add_argument_group("output")
    output.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the report (default: RESULTS/report)"
    )
    output.add_argument(
        "--format",
        type=_formats,
        default=USUAL_FORMATS,
        metavar="KIND,…",
        help=f"what figures are written as: {', '.join(FORMATS)} (default: {','.join(USUAL_FORMATS)})",
    )
    output.add_argument(
        "--jobs", type=int, metavar="N", help="processes at once (default and most: one a CPU)"
    )
    add_json(output)


def _formats(text: str) -> tuple[str, ...]:
    kinds = tuple(dict.fromkeys(word.strip().lower() for word in text.split(",")))
    for kind in kinds:
        if kind not in FORMATS:
            raise argparse.ArgumentTypeError(
                f"{kind!r} is no format of figures; there are {', '.join(FORMATS)}"
            )
    return kinds


def _report(args: argparse.Namespace) -> int:
    from analysis.report.command import report

    (args.results,) = args.results
    return report(args)

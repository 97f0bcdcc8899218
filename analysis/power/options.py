"""The options of `python -m analysis power`, which itself takes a while to import."""

from __future__ import annotations

import argparse
from typing import Any

from analysis.cases.grouping import GROUPINGS
from analysis.options import add_cluster, add_command, add_interrupted, add_json, add_scoring, add_sessions
from analysis.power.measures import ASKED, POWER


def add_power(commands: Any) -> None:
    """The command's options."""
    command = add_command(
        commands,
        "power",
        "how many traces a comparison needs, by how much differences vary in a folder",
        _power,
    )
    what = command.add_argument_group("what to look at")
    add_sessions(what)
    what.add_argument("--baseline", metavar="NAME", help="only pairs with this policy (default: all pairs)")
    what.add_argument("--by", choices=list(GROUPINGS), help="an answer for each of these")
    add_cluster(what)
    add_interrupted(what)
    question = command.add_argument_group("what to show")
    question.add_argument(
        "--measure", choices=list(ASKED), default="qoe", help="of what a difference is (default: qoe)"
    )
    defaults = ", ".join(f"{one.difference:g} {name}" for name, one in ASKED.items())
    question.add_argument(
        "--difference",
        metavar="X",
        help=f"the difference to show; of a stall ratio alone also as 0.5%% (default: {defaults})",
    )
    question.add_argument(
        "--power", type=float, default=POWER, metavar="P", help=f"chance to show it (default: {POWER:g})"
    )
    question.add_argument(
        "--tests", type=int, default=1, metavar="N", help="differences judged together (default: 1)"
    )
    add_scoring(command)
    add_json(command.add_argument_group("output"))


def _power(args: argparse.Namespace) -> int:
    from analysis.power.command import run_power

    return run_power(args)

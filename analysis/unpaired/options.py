"""The options of `python -m analysis unpaired`, which itself takes a while to import."""

from __future__ import annotations

import argparse
from typing import Any

from analysis.options import add_command, add_interrupted, add_json, add_scoring, add_sessions
from analysis.tables.collect import table_path
from analysis.tables.table_file import ENDINGS

HOURS = 1.0
"""A block's length, unless another is asked for."""


def add_unpaired(commands: Any) -> None:
    """The command's options."""
    command = add_command(
        commands,
        "unpaired",
        "compare sessions over a real network (of `python -m player`), unpaired, in blocks of time",
        _unpaired,
    )
    what = command.add_argument_group("what to compare")
    add_sessions(what)
    what.add_argument(
        "--baseline", metavar="NAME", help="differences to this policy (default: each with each)"
    )
    what.add_argument(
        "--block-hours",
        type=float,
        default=HOURS,
        metavar="H",
        help="a block lasts so long, or until it holds two sessions of each policy (default: %(default)g)",
    )
    add_interrupted(what)
    add_scoring(command)
    output = command.add_argument_group("output")
    output.add_argument(
        "--csv",
        type=table_path,
        metavar="FILE",
        help="write the differences there, a row a pair, and the means to FILE-means"
        f" (ends in {', '.join(ENDINGS)})",
    )
    add_json(output)


def _unpaired(args: argparse.Namespace) -> int:
    from analysis.unpaired.command import run_unpaired

    return run_unpaired(args)

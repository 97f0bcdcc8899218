"""The options of `collect`. What takes long to import has no place here."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from traces.commands import add_json_option
from traces.numbers import count, share, whole

EXPLORE = 0.05
"""Share of random levels."""


def add_collect(commands: Any) -> None:
    """The command line of `collect`."""
    made = commands.add_parser("collect", help="play existing policies and keep what happened")
    add_mix(made, required=True)
    how = made.add_argument_group("how")
    how.add_argument("--policy", default="hindsight,robustmpc,genet", help="by commas (default: %(default)s)")
    how.add_argument(
        "--teacher",
        type=Path,
        metavar="FILE",
        help="weights that `policies.hindsight train` made (default: the shipped ones)",
    )
    how.add_argument("--sessions", type=count, default=1536, help="in all (default: %(default)s)")
    how.add_argument(
        "--explore", type=share, default=EXPLORE, help="share of random levels (default: %(default)s)"
    )
    how.add_argument("--seed", type=whole, default=1)
    how.add_argument("--threads", type=count, default=1, help="cores to use (default: %(default)s)")
    where = made.add_argument_group("output")
    where.add_argument("--out", type=Path, required=True, metavar="DIR", help="the pool")
    add_json_option(where)


def add_mix(made: argparse.ArgumentParser, required: bool) -> None:
    """Options that say where sessions come from."""
    what = made.add_argument_group("what to stream (SPEC is a directory, a file, or like fcc[0:200])")
    what.add_argument(
        *("--traces", "--trace"),
        nargs="+",
        default=[],
        required=required,
        metavar="SPEC[@WEIGHT]",
        help="at own rates",
    )
    what.add_argument(
        "--rescaled",
        nargs="+",
        default=[],
        metavar="SPEC[@WEIGHT]",
        help="traces brought to means of 0.5 to 8 Mbit/s",
    )
    what.add_argument(
        "--video", nargs="+", default=["envivio"], metavar="SPEC[@WEIGHT]",
        help="videos; the first is the one of validation (default: envivio)",
    )  # fmt: skip
    what.add_argument(
        "--ladders",
        type=share,
        default=0.1,
        metavar="SHARE",
        help="of drawn ladders (default: 0.1)",
    )

"""The options of `ladder`'s commands. What takes long to import has no place here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from player.commands.options import add_scoring_options
from policies.hindsight.options import SPEC, add_apart, add_mix, add_setting, add_starts, add_threads
from policies.llm.arithmetic import add_dtype_option
from traces.commands import add_json_option
from traces.numbers import count, share, whole

EXPLORE = 0.05
"""Share of random levels."""


def add_collect(commands: Any) -> None:
    """The command line of `collect`."""
    made = commands.add_parser("collect", help="play policies on any ladder and keep what happened")
    add_mix(made, "stream", required=True)
    how = made.add_argument_group("how")
    how.add_argument("--policy", default="hindsight,robustmpc", help="by commas (default: %(default)s)")
    how.add_argument(
        "--teacher", type=Path, metavar="FILE",
        help="weights that `policies.hindsight train` made (default: the shipped ones)",
    )  # fmt: skip
    how.add_argument("--sessions", type=count, default=1536, help="in all (default: %(default)s)")
    how.add_argument(
        "--explore", type=share, default=EXPLORE, help="share of random levels (default: %(default)s)"
    )
    how.add_argument("--seed", type=whole, default=1)
    add_threads(how)
    where = made.add_argument_group("output")
    where.add_argument("--out", type=Path, required=True, metavar="DIR", help="the pool")
    add_json_option(where)


def add_test(commands: Any) -> None:
    """The command line of `test`."""
    made = commands.add_parser("test", help="score an adapter beside other policies, under any setting")
    what = made.add_argument_group("what to stream")
    what.add_argument(
        "--adapter", type=Path, metavar="DIR", help="what `adapt` made (default: the shipped one)"
    )
    what.add_argument(
        *("--traces", "--trace"), nargs="+", default=["fcc[400:440]", "3g[400:440]"], metavar="SPEC",
        help="each is a setting: 4g[0:100], a file, a folder (default: %(default)s)",
    )  # fmt: skip
    what.add_argument("--video", nargs="+", default=["envivio"], metavar="SPEC", help="(default: envivio)")
    add_starts(what, 1)
    what.add_argument("--held-out", action="store_true", help="only traces of lines that training leaves out")
    add_setting(made)
    add_scoring_options(made)
    against = made.add_argument_group("beside what")
    against.add_argument("--policy", default="robustmpc", help="by commas (default: %(default)s)")
    against.add_argument("--teacher", type=Path, metavar="FILE", help="also `hindsight` with these weights")
    against.add_argument("--oracle", action="store_true", help="also the oracle, which takes its time")
    how = made.add_argument_group("how")
    how.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add_dtype_option(how)
    add_threads(how)
    add_json_option(made.add_argument_group("output"))


def add_beside(commands: Any) -> None:
    """The command line of `beside`."""
    made = commands.add_parser(
        "beside", help="model, small net, teacher, other policies and the oracle on lines kept apart"
    )
    add_apart(made, 4).add_argument("--video", default="envivio", metavar="SPEC", help="(default: envivio)")
    add_setting(made)
    add_scoring_options(made)
    who = made.add_argument_group("whom")
    who.add_argument("--adapter", type=Path, metavar="DIR", help="of netllm (default: the shipped one)")
    who.add_argument("--small", type=Path, metavar="DIR", help="adapter of small (default: the shipped one)")
    who.add_argument("--teacher", type=Path, metavar="FILE", help="weights of hindsight (default: shipped)")
    who.add_argument("--policy", default="genet", help="others, by commas (default: %(default)s)")
    who.add_argument("--no-oracle", action="store_true", help="it takes its time")
    _add_how(made)


def add_settings(commands: Any) -> None:
    """The command line of `settings`."""
    made = commands.add_parser("settings", help="thirty drawn settings, and a rising cost of stalls")
    what = made.add_argument_group(f"what to stream ({SPEC})")
    what.add_argument(
        "--traces", nargs="+", metavar="SPEC", default=["fcc[400:430]", "3g[400:430]", "4g[400:430]"],
        help="together (default: %(default)s)",
    )  # fmt: skip
    what.add_argument(
        "--fast", nargs="+", metavar="SPEC", default=["lte[400:430]", "5g[400:430]"],
        help="for uhd, which asks for 1 to 40 Mbit/s (default: %(default)s)",
    )  # fmt: skip
    what.add_argument("--all", action="store_true", help="measured traces that training saw, too")
    add_starts(what, 1)
    what.add_argument("--policy", default="netllm", help="such as netllm:adapter=DIR (default: %(default)s)")
    what.add_argument("--first", type=whole, metavar="N", help="of the thirty settings (default: all)")
    what.add_argument("--no-mu", action="store_true", help="without the rising cost of stalls")
    _add_how(made)


def _add_how(made: Any) -> None:
    add_threads(made.add_argument_group("how"))
    add_json_option(made.add_argument_group("output"))

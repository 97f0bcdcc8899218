"""The options of `ladder`'s commands. What takes long to import has no place here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from player.commands.options import add_scoring_options
from policies.llm.tasks.abr.options import EXPLORE
from traces.commands import add_json_option
from traces.numbers import count, positive, share, whole, wholes


def add_collect(commands: Any) -> None:
    """The command line of `collect`."""
    made = commands.add_parser("collect", help="play policies on any ladder and keep what happened")
    what = made.add_argument_group("what to stream (SPEC is a directory, a file, or like fcc[0:200])")
    what.add_argument(
        "--traces", nargs="+", default=[], required=True, metavar="SPEC[@WEIGHT]", help="at own rates"
    )
    what.add_argument(
        "--rescaled", nargs="+", default=[], metavar="SPEC[@WEIGHT]",
        help="traces brought to means of 0.5 to 8 Mbit/s",
    )  # fmt: skip
    what.add_argument(
        "--video", nargs="+", default=["envivio"], metavar="SPEC[@WEIGHT]",
        help="videos; the first is the one of validation (default: envivio)",
    )  # fmt: skip
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
    how.add_argument("--threads", type=count, default=1, help="cores to use (default: %(default)s)")
    where = made.add_argument_group("output")
    where.add_argument("--out", type=Path, required=True, metavar="DIR", help="the pool")
    add_json_option(where)


def add_test(commands: Any) -> None:
    """The command line of `test`."""
    made = commands.add_parser("test", help="score an adapter beside other policies, under any setting")
    what = made.add_argument_group("what to stream")
    what.add_argument("--adapter", type=Path, required=True, metavar="DIR", help="what `adapt` made")
    what.add_argument(
        "--traces", nargs="+", default=["fcc[400:440]", "3g[400:440]"], metavar="SPEC",
        help="each is a setting: 4g[0:100], a file, a folder (default: %(default)s)",
    )  # fmt: skip
    what.add_argument("--video", default="envivio", metavar="SPEC", help="(default: envivio)")
    what.add_argument("--starts", type=count, default=1, help="sessions on each trace (default: %(default)s)")
    what.add_argument("--held-out", action="store_true", help="only traces of lines that training leaves out")
    setting = made.add_argument_group("under what")
    setting.add_argument(
        "--ladder", type=wholes, metavar="KBPS,…", help="bring the video to these rates (default: its own)"
    )
    setting.add_argument("--chunk-s", type=positive, metavar="S", help="and to this chunk length")
    setting.add_argument("--cap-s", type=positive, default=60.0, help="of the buffer (default: %(default)s)")
    setting.add_argument("--rtt-ms", type=positive, default=80.0, help="(default: %(default)s)")
    add_scoring_options(made)
    against = made.add_argument_group("beside what")
    against.add_argument("--policy", default="robustmpc", help="by commas (default: %(default)s)")
    against.add_argument("--teacher", type=Path, metavar="FILE", help="also `hindsight` with these weights")
    how = made.add_argument_group("how")
    how.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    how.add_argument("--threads", type=count, default=1, help="cores to use (default: %(default)s)")
    add_json_option(made.add_argument_group("output"))


def add_beside(commands: Any) -> None:
    """The command line of `beside`."""
    made = commands.add_parser(
        "beside", help="model, small net, teacher, other policies and the oracle on lines kept apart"
    )
    what = made.add_argument_group("what to stream (SPEC is a directory, a file, or like fcc[0:200])")
    what.add_argument("--traces", nargs="+", required=True, metavar="SPEC", help="each is a set")
    what.add_argument("--all", action="store_true", help="measured traces that training saw, too")
    what.add_argument("--starts", type=count, default=4, help="sessions on each trace (default: 4)")
    what.add_argument("--video", default="envivio", metavar="SPEC", help="(default: envivio)")
    setting = made.add_argument_group("under what")
    setting.add_argument(
        "--ladder", type=wholes, metavar="KBPS,…", help="bring the video to these rates (default: its own)"
    )
    setting.add_argument("--chunk-s", type=positive, metavar="S", help="and to this chunk length")
    setting.add_argument("--buffer-cap-s", type=positive, default=60.0, metavar="S", help="(default: 60)")
    setting.add_argument("--rtt-ms", type=positive, default=80.0, metavar="MS", help="(default: 80)")
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
    what = made.add_argument_group("what to stream (SPEC is a directory, a file, or like fcc[0:200])")
    what.add_argument(
        "--traces", nargs="+", metavar="SPEC", default=["fcc[400:430]", "3g[400:430]", "4g[400:430]"],
        help="together (default: %(default)s)",
    )  # fmt: skip
    what.add_argument(
        "--fast", nargs="+", metavar="SPEC", default=["lte[400:430]", "5g[400:430]"],
        help="for uhd, which asks for 1 to 40 Mbit/s (default: %(default)s)",
    )  # fmt: skip
    what.add_argument("--all", action="store_true", help="measured traces that training saw, too")
    what.add_argument("--starts", type=count, default=1, help="sessions on each trace (default: 1)")
    what.add_argument("--policy", default="netllm", help="such as netllm:adapter=DIR (default: %(default)s)")
    what.add_argument("--first", type=whole, metavar="N", help="of the thirty settings (default: all)")
    what.add_argument("--no-mu", action="store_true", help="without the rising cost of stalls")
    _add_how(made)


def _add_how(made: Any) -> None:
    how = made.add_argument_group("how")
    how.add_argument("--threads", type=count, default=1, help="cores to use (default: %(default)s)")
    add_json_option(made.add_argument_group("output"))

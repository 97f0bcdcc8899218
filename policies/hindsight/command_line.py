"""The command line of `python -m policies.hindsight`. What takes long to import has no place here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from traces.commands import Parser, add_json_option
from traces.numbers import count, counts, not_negative, positive

PROG = "python -m policies.hindsight"
DESCRIPTION = "Train the network anew, join networks of several seeds into one file, score one."


def parser() -> Parser:
    """The command line."""
    made = Parser(prog=PROG, description=DESCRIPTION)
    commands = made.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="command")
    train = commands.add_parser("train", help="learn from traces; goes on from --out's checkpoint")
    what = train.add_argument_group("what to learn from (SPEC is a directory, a file, or like fcc[0:200])")
    what.add_argument(
        *("--traces", "--trace"),
        nargs="+",
        default=[],
        metavar="SPEC[@WEIGHT]",
        help="traces at their own rates",
    )
    what.add_argument(
        "--rescaled", nargs="+", default=[], metavar="SPEC[@WEIGHT]",
        help="traces brought to means of 0.5 to 8 Mbit/s",
    )  # fmt: skip
    what.add_argument(
        "--video", nargs="+", default=["envivio"], metavar="SPEC[@WEIGHT]",
        help="videos; the first is the one of validation (default: envivio)",
    )  # fmt: skip
    how = train.add_argument_group("how")
    how.add_argument("--seed", type=int, default=1)
    how.add_argument("--rounds", type=int, help="of planned values, half a batch's states each")
    how.add_argument("--ppo-steps", type=int, help="decisions that PPO plays")
    how.add_argument("--sessions", type=int, help="in a batch")
    how.add_argument("--threads", type=int, help="cores to use")
    where = train.add_argument_group("where to")
    where.add_argument("--out", type=Path, required=True, metavar="DIR", help="weights, log, checkpoint")
    add_json_option(where, "the best score as one object on stdout")
    join = commands.add_parser("join", help="one file whose decisions are the average of several")
    files = join.add_argument_group("files")
    files.add_argument("weights", nargs="+", type=Path, metavar="FILE", help="safetensors that train made")
    files.add_argument("--out", type=Path, required=True, metavar="FILE")
    files.add_argument(
        "--caution", type=positive, default=1.0, metavar="TIMES",
        help="decide as if a stall cost so many times what is asked (default: 1)",
    )  # fmt: skip
    add_json_option(join, "what was written as one object on stdout")
    _add_score(commands)
    return made


def _add_score(commands: Any) -> None:
    made = commands.add_parser("score", help="the gain over RobustMPC on the same sessions, in any setting")
    what = made.add_argument_group("what to stream (SPEC is a directory, a file, or like fcc[0:200])")
    what.add_argument("--traces", nargs="+", required=True, metavar="SPEC")
    what.add_argument("--all", action="store_true", help="measured traces that training saw, too")
    what.add_argument("--starts", type=count, default=12, help="sessions on each trace (default: 12)")
    what.add_argument("--video", default="envivio", metavar="SPEC", help="(default: envivio)")
    what.add_argument(
        "--ladder", type=counts, metavar="KBPS,…", help="bring the video's sizes to other nominal bitrates"
    )
    what.add_argument("--chunk-s", type=positive, help="and to chunks of another length")
    what.add_argument("--rtt-ms", type=positive, default=80.0, help="(default: 80)")
    what.add_argument("--buffer-cap-s", type=positive, default=60.0, help="(default: 60)")
    how = made.add_argument_group("how to score")
    how.add_argument("--weights", type=Path, metavar="FILE", help="(default: the shipped ones)")
    how.add_argument("--qoe", choices=("linear", "log", "hd"), default="linear", help="(default: linear)")
    how.add_argument("--mu", type=not_negative, help="cost of a second of stall (default: the top's quality)")
    how.add_argument("--smooth", type=not_negative, default=1.0, help="(default: 1)")
    how.add_argument("--threads", type=count, default=1, help="cores to use (default: 1)")
    add_json_option(made.add_argument_group("output"), "the rows as one object on stdout")

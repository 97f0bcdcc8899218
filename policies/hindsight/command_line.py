"""The command line of `python -m policies.hindsight`. What takes long to import has no place here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from player.commands.options import add_scoring_options
from policies.hindsight.options import add_apart, add_mix, add_setting, add_threads
from traces.commands import Parser, add_json_option
from traces.numbers import positive

PROG = "python -m policies.hindsight"
DESCRIPTION = "Train the network anew, join networks of several seeds into one file, score one."


def parser() -> Parser:
    """The command line."""
    made = Parser(prog=PROG, description=DESCRIPTION)
    commands = made.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="command")
    train = commands.add_parser("train", help="learn from traces; goes on from --out's checkpoint")
    add_mix(train, "learn from")
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
    add_apart(made, 12).add_argument("--video", default="envivio", metavar="SPEC", help="(default: envivio)")
    add_setting(made)
    add_scoring_options(made)
    how = made.add_argument_group("how to score")
    how.add_argument("--weights", type=Path, metavar="FILE", help="(default: the shipped ones)")
    add_threads(how)
    add_json_option(made.add_argument_group("output"), "the rows as one object on stdout")

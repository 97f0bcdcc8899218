"""The command line of `python -m policies.hindsight`. What takes long to import has no place here."""

from __future__ import annotations

from pathlib import Path

from traces.commands import Parser, add_json_option
from traces.numbers import positive

PROG = "python -m policies.hindsight"
DESCRIPTION = "Train the network anew; join networks of several seeds into one file."


def parser() -> Parser:
    """The command line."""
    made = Parser(prog=PROG, description=DESCRIPTION)
    commands = made.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="command")
    train = commands.add_parser("train", help="learn from traces; goes on from --out's checkpoint")
    what = train.add_argument_group("what to learn from (SPEC is a directory, a file, or like fcc[0:200])")
    what.add_argument(
        "--traces", nargs="+", default=[], metavar="SPEC[@WEIGHT]", help="traces at their own rates"
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
    return made

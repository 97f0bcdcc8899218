"""The command line of `python -m policies.call.small`. What takes long to import has no place here."""

from __future__ import annotations

from pathlib import Path

from policies.call.small.settings import TrainSettings
from traces.commands import Parser, add_json_option, add_options
from traces.numbers import count, positive

PROG = "python -m policies.call.small"
LEARNED = ("3g-fast[0:100]", "4g-fast[0:100]", "lte-fast[0:100]")
UNSEEN = ("3g-fast[1000:1100]", "4g-fast[1000:1100]", "lte-fast[1000:1100]")


def parser() -> Parser:
    """Both subcommands."""
    top = Parser(
        prog=PROG, description="Teach the small net of calls, or score one beside GCC and the oracle."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    train = commands.add_parser("train", help="teach a net by the oracle")
    train.add_argument(
        *("--traces", "--trace"), nargs="+", default=list(LEARNED), metavar="SPEC",
        help="to learn on (default: %(default)s)",
    )  # fmt: skip
    add_options(train, TrainSettings)
    train.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .safetensors file")
    add_json_option(train)
    score = commands.add_parser("score", help="bitrate and stall beside GCC and the oracle")
    score.add_argument(
        *("--traces", "--trace"), nargs="+", default=list(UNSEEN), metavar="SPEC",
        help="each is a set (default: %(default)s)",
    )  # fmt: skip
    score.add_argument("--weights", nargs="+", default=[], metavar="FILE", help="(default: the shipped ones)")
    score.add_argument("--scales", nargs="+", type=positive, default=[1.0], metavar="X", help="(default: 1)")
    score.add_argument("--policy", default="", help="other rules, by commas, such as copa,nada")
    score.add_argument("--threads", type=count, default=1, help="cores to use (default: %(default)s)")
    add_json_option(score)
    return top

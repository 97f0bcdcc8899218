"""The command line of `python -m policies.call.small`. What takes long to import has no place here."""

from __future__ import annotations

from pathlib import Path

from policies.call.small.settings import TrainSettings
from traces.commands import Parser, add_json_option, add_options
from traces.numbers import count, positive

PROG = "python -m policies.call.small"
_FAMILIES = ("3g-fast", "4g-fast", "lte-fast", "rural-fast", "bursty-fast")
LEARNED = tuple(f"{family}[0:60]" for family in _FAMILIES)
CHOOSE = tuple(f"{family}[500:516]" for family in _FAMILIES)
OVERS = (5.0, 11.0, 2.0, 12.0, 48.0)
"""Of the five families, by `CHOOSE`: the more a link may fall, the less may be risked on it."""
UNSEEN = tuple(f"{family}[1000:1100]" for family in _FAMILIES)


def parser() -> Parser:
    """Both subcommands."""
    top = Parser(
        prog=PROG, description="Teach the small net of calls, or score one beside GCC and the oracle."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    train = commands.add_parser("train", help="teach a net by who is told the link")
    train.add_argument(
        *("--traces", "--trace"), nargs="+", default=list(LEARNED), metavar="SPEC",
        help="to learn on (default: %(default)s)",
    )  # fmt: skip
    train.add_argument(
        *("--over",), nargs="+", type=positive, default=list(OVERS), metavar="X",
        help="what the square of an error upwards counts, of one downwards: for each SPEC, or one for all"
        " (default: %(default)s)",
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
    score.add_argument(
        "--starts", type=count, default=1, metavar="N", help="calls over each trace (default: 1)"
    )
    score.add_argument("--pooled", action="store_true", help="all sets as one besides; intervals over sets")
    score.add_argument("--threads", type=count, default=1, help="cores to use (default: %(default)s)")
    add_json_option(score)
    return top

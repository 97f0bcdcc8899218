"""The command line of `python -m policies.knowable`. What takes long to import has no place here."""

from __future__ import annotations

from pathlib import Path

from player.commands.options import add_scoring_options, add_video_option
from traces.commands import Parser, add_json_option

PROG = "python -m policies.knowable"
DESCRIPTION = (
    "Bound the mean QoE of every causal controller over members of a family, by information relaxation, and"
    " say how much of the way there each policy goes."
)
BASELINE = "robustmpc"


def parser() -> Parser:
    """The command line."""
    made = Parser(
        prog=PROG,
        description=DESCRIPTION,
        examples=(
            f"{PROG} --family 3g --members 400:410",
            f"{PROG} --family 3g 4g fcc lte --policy robustmpc,small,netllm --out bounds.json",
            f"{PROG} --out bounds.json --add genet",
        ),
    )
    what = made.add_argument_group("what to bound")
    what.add_argument("--family", nargs="+", default=[], metavar="NAME", help="families with a generator")
    what.add_argument("--members", default="400:500", metavar="A:B", help="of each (default: %(default)s)")
    add_video_option(what)
    what.add_argument("--chunks", type=int, metavar="N", help="of the video (default: 48, or all it has)")
    what.add_argument(
        "--policy",
        default=f"{BASELINE},small",
        metavar="NAME,…",
        help=f"what is held against it (default: %(default)s); ways are counted from {BASELINE}; informed: is"
        " told what the link hides, but not its future",
    )
    what.add_argument(
        "--add", metavar="NAME,…",
        help="play these on the members that --out has, of --family or of all, and compute no bound",
    )  # fmt: skip
    add_scoring_options(made)
    output = made.add_argument_group("output")
    output.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="keep the bounds there, member by member; the same command goes on, and --policy may name more",
    )
    add_json_option(output)
    return made

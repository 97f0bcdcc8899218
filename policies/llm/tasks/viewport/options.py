"""The options of the commands of `viewport`. What takes long to import has no place here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from policies.llm.arithmetic import add_dtype_option
from traces.commands import add_json_option
from traces.numbers import count, whole, wholes

CONTROLS = "pretrained,random,frozen,frozen-random,scratch"


def add_collect(commands: Any) -> None:
    """The command line of `collect`."""
    made = commands.add_parser(
        "collect", help="cut recordings of heads into windows, and keep where they went"
    )
    made.add_argument(
        *("--traces", "--trace"), nargs="+", default=["heads[1000:1060]"], metavar="SPEC",
        help="heads[1000:1060], or folders with videoV/userU.csv (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--hold-out", type=count, default=3, metavar="N", help="videos of each that choose (default: 3)"
    )
    made.add_argument(
        "--every", type=count, default=5, metavar="N", help="samples from window to window (default: 5)"
    )
    made.add_argument("--sessions", type=count, default=32768, help="windows at the most (default: 32768)")
    made.add_argument("--seed", type=whole, default=1)
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="the pool")
    add_json_option(made)


def add_test(commands: Any) -> None:
    """The command line of `test`."""
    made = commands.add_parser("test", help="score an adapter beside the head that stays and the small nets")
    made.add_argument(
        "--adapter", type=Path, metavar="DIR", help="what `adapt` made (default: the shipped one)"
    )
    _add_over(made)
    made.add_argument("--policy", default="small,crowd", help="others, by commas (default: %(default)s)")
    made.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add_dtype_option(made)
    add_json_option(made)


def add_controls(commands: Any) -> None:
    """The command line of `controls`."""
    made = commands.add_parser("controls", help="the same data and steps without the language model")
    made.add_argument("--pool", type=Path, required=True, metavar="DIR", help="what `collect` made")
    made.add_argument("--only", default=CONTROLS, metavar="NAME,…", help="(default: %(default)s)")
    made.add_argument("--seeds", type=wholes, default="1", metavar="N,…", help="(default: %(default)s)")
    made.add_argument("--layers", type=count, default=4, help="of the base's first (default: %(default)s)")
    made.add_argument("--steps", type=count, default=300, help="of each (default: %(default)s)")
    made.add_argument("--batch", type=count, default=64, help="windows of a step (default: %(default)s)")
    made.add_argument("--threads", type=count, default=1, help="cores to use (default: %(default)s)")
    _add_over(made)
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="results.jsonl and each run")
    add_json_option(made)


def _add_over(made: Any) -> None:
    made.add_argument(
        *("--traces", "--trace"), nargs="+", default=["heads[0:20]"], metavar="SPEC",
        help="videos to predict (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--earlier", type=Path, metavar="FOLDER",
        help="viewers who have a recording in there are not judged, but known to the others",
    )  # fmt: skip

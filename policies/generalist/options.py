"""The options of `generalist`. What takes long to import has no place here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from policies.generalist.plan import PERCENTS, SEEDS
from policies.llm.model.base_names import DEFAULT
from policies.llm.model.shape import Shape
from policies.llm.studies.options import percents
from traces.commands import add_json_option
from traces.numbers import count, wholes

ACTIONS = ("table", "figure", "run")
FIGURE = "generalist.png"


def add_generalist(commands: Any) -> None:
    """The command line of `generalist`."""
    made = commands.add_parser("generalist", help="one LoRA for several tasks: shared, own, transfer")
    made.add_argument(
        "action", nargs="?", choices=ACTIONS, default=ACTIONS[0],
        help="table and verdict of rows, a figure of them, or run what has none (default: %(default)s)",
    )  # fmt: skip
    what = made.add_argument_group("what")
    what.add_argument(
        "--pool", nargs="+", type=Path, default=[], metavar="DIR",
        help="what `collect` made, one for each task",
    )  # fmt: skip
    what.add_argument(
        "--rows", nargs="+", type=Path, default=[], metavar="FILE", help="rows that count as done, too"
    )
    what.add_argument("--base", default=DEFAULT, help="(default: %(default)s)")
    what.add_argument("--seeds", type=wholes, default=list(SEEDS), metavar="N,…", help="(default: 1,2,3)")
    what.add_argument(
        "--percent", type=percents, default=list(PERCENTS), metavar="N,…", help="(default: 1,10,100)"
    )
    what.add_argument("--only", default="", metavar="TEXT", help="runs whose names hold this alone")
    _add_how(made.add_argument_group("how"))
    where = made.add_argument_group("output")
    where.add_argument(
        "--out", type=Path, metavar="DIR", help="rows and each run (default: the shipped rows)"
    )
    where.add_argument("--into", type=Path, metavar="FILE", help="all rows as one file, too")
    where.add_argument("--plot", type=Path, metavar="FILE", help=f"the figure (default: {FIGURE} in --out)")
    add_json_option(where)


def _add_how(how: Any) -> None:
    how.add_argument("--layers", type=count, default=4, help="of the base's first (default: %(default)s)")
    how.add_argument("--rank", type=count, default=32, help="of LoRA (default: %(default)s)")
    how.add_argument("--hidden", type=count, default=Shape.hidden, help="encoder's (default: %(default)s)")
    how.add_argument("--steps", type=count, default=150, help="of each task (default: %(default)s)")
    how.add_argument("--tokens", type=count, default=512, help="of a step, about (default: %(default)s)")
    how.add_argument(
        "--judged", type=count, default=2400, metavar="TOKENS",
        help="of the sessions of a source that runs are scored by, about (default: %(default)s)",
    )  # fmt: skip
    how.add_argument("--threads", type=count, default=1, help="cores to use (default: %(default)s)")

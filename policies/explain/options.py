"""The options of `explain`. What takes long to import has no place here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from policies.llm.arithmetic import DTYPES
from traces.commands import add_json_option
from traces.numbers import count, whole

TREE_SESSIONS = 192
"""That a tree is grown on; half as many more are for its fidelity."""


def add_explain(commands: Any) -> None:
    """The command line of `explain`."""
    made = commands.add_parser(
        "explain", help="why each level of a record was chosen; beside it, for plots and reports"
    )
    what = made.add_argument_group("what")
    what.add_argument("record", nargs="+", type=Path, metavar="RECORD", help="a session's .jsonl")
    what.add_argument("--chunk", type=whole, metavar="N", help="this decision alone, counted from 0")
    what.add_argument(
        "--adapter",
        type=Path,
        metavar="DIR",
        help="that decided (default: the shipped one of the record's hash)",
    )
    what.add_argument(
        "--anyway",
        action="store_true",
        help="though another adapter decided, or none: what this one would have",
    )
    tree = made.add_argument_group("tree")
    tree.add_argument("--no-tree", action="store_true", help="distil no decision tree of the model")
    tree.add_argument("--show-tree", action="store_true", help="print the whole tree")
    tree.add_argument(
        "--tree-sessions", type=count, default=TREE_SESSIONS, metavar="N",
        help="generated ones that it is grown on, half as many more to test it (default: %(default)s)",
    )  # fmt: skip
    how = made.add_argument_group("how")
    how.add_argument(
        "--exact", action="store_true",
        help="hold occlusion against the exact ablation, which computes every session anew",
    )  # fmt: skip
    how.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    how.add_argument("--dtype", choices=DTYPES, help="(default: the record's)")
    add_json_option(made.add_argument_group("output"))

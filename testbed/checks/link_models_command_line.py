"""The command line of `testbed/link_models.py`. What takes long to import has no place here."""

from __future__ import annotations

from pathlib import Path

from testbed.checks.fidelity.plot import ENDINGS
from traces.commands import Parser, add_json_option


def parser() -> Parser:
    """The command line."""
    command = Parser(prog="link_models.py", description="Simulated links against emulated ones.")
    actions = command.add_subparsers(dest="action", required=True, metavar="compare|fit")
    compare = actions.add_parser("compare", help="both models against emulated sessions")
    fit = actions.add_parser("fit", help="the tcp model's constant that suits emulated sessions best")
    for action in (compare, fit):
        action.add_argument(
            "results",
            nargs="+",
            type=Path,
            metavar="RESULTS",
            help="folders that testbed/run.py wrote, or records",
        )
        add_json_option(action)
    compare.add_argument("--out", type=Path, metavar="FILE", help=f"draw a picture ({', '.join(ENDINGS)})")
    compare.add_argument(
        "--trust", action="store_true", help="run the policy files that the records name: you have read them"
    )
    compare.add_argument(
        "--invalid", action="store_true", help="of calls: also those whose links were not true, and say so"
    )
    return command

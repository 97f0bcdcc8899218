"""The command line of `testbed/clients.py`. What takes long to import has no place here."""

from __future__ import annotations

from pathlib import Path

from testbed.checks.fidelity.plot import ENDINGS
from traces.commands import Parser, add_json_option


def parser() -> Parser:
    """The command line."""
    command = Parser(
        prog="clients.py", description="Our player against another client: same policies, same traces."
    )
    command.add_argument(
        "results",
        nargs="+",
        type=Path,
        metavar="RESULTS",
        help="folders that testbed/run.py or sweep.py wrote, or records, of both clients",
    )
    command.add_argument("--out", type=Path, metavar="FILE", help=f"draw a picture ({', '.join(ENDINGS)})")
    command.add_argument(
        "--trust", action="store_true", help="run the policy files that the records name: you have read them"
    )
    add_json_option(command)
    return command

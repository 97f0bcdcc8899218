"""The command line of `testbed/tamper.py`. What takes long to import has no place here."""

from __future__ import annotations

from pathlib import Path

from testbed.checks.tampering import KINDS, UNTOUCHED
from traces.commands import Parser, add_json_option

TRACE = "4g"


def parser() -> Parser:
    """The command line."""
    command = Parser(prog="tamper.py", description="Change lanes by hand while sessions stream over them.")
    command.add_argument(
        "--kinds",
        metavar="NAME[,NAME…]",
        help=f"of: {', '.join(kind.name for kind in (*UNTOUCHED, *KINDS))} (default: all)",
    )
    command.add_argument("--sessions", type=int, default=5, metavar="N", help="of each kind (default: 5)")
    command.add_argument("--lanes", type=int, default=8, metavar="N", help="at once (default: 8)")
    command.add_argument(
        *("--trace", "--traces"),
        default=TRACE,
        metavar="FAMILY",
        help="whose members are replayed (default: %(default)s)",
    )
    command.add_argument(
        "--no-watch", action="store_true", help="nobody listens: kinds that packets and clocks show"
    )
    command.add_argument("--keep", type=Path, metavar="DIR", help="keep the records there")
    add_json_option(command)
    return command

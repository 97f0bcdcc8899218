"""`python -m policies list`: every policy that is installed, of videos, calls, viewports and jobs, with its
options."""

from __future__ import annotations

if __name__ == "__main__":
    from traces.handover import hand_over

    hand_over()

import dataclasses
import json
import sys
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from player.registry import CALL, JOBS, VIDEO, VIEWPORT, OfferedPolicy, PolicyError, offered_policies
from traces.commands import PIPE_COLUMNS, Parser, add_json_option, carried_out, exit_with
from traces.console import VisibleConsole

EVERYWHERE = (
    "every one takes delay_ms (0): its decisions come so much later; (-): nothing, what comes along is taken"
)
USE = "use: --policy NAME:OPTION=VALUE:OPTION=VALUE,NAME, or FILE.py:Class of your own; docs/policies.md"
KINDS = {
    "policies": (VIDEO, ""),
    "call_policies": (CALL, " of calls"),
    "viewport_policies": (VIEWPORT, " of viewports"),
    "jobs_policies": (JOBS, " of jobs"),
}
"""What `--json` calls those of a kind, the kind, and what a person reads."""


def parser() -> Parser:
    """The command line."""
    command = Parser(prog="python -m policies", description=__doc__)
    command.add_argument("command", nargs="?", choices=("list",), default="list")
    add_json_option(command)
    return command


def table(policies: Sequence[OfferedPolicy], of: str = "") -> Table:
    """A line a policy.

    Args:
        of: what they control, for the heading.
    """
    shown = Table(box=None, pad_edge=False)
    for name in (f"policy{of}", "what it is", "options (default)"):
        shown.add_column(name, overflow="fold")
    for one in policies:
        options = ", ".join(f"{name} ({_written(value)})" for name, value in one.options.items())
        needed = ", ".join(f"{name} (has to be given)" for name in one.needed)
        where = " (simulated sessions only)" if one.simulated_only else ""
        words = ", ".join(filter(None, (needed, options))) or "-"
        shown.add_row(Text(one.name), Text(f"{one.about}{where}"), Text(words))
    return shown


def _written(value: object) -> str:
    """As it would be typed; `-` for nothing."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    command = parser()
    options = command.parse_args(arguments)

    def work() -> int:
        found = {name: offered_policies(kind) for name, (kind, _) in KINDS.items()}
        if options.json:
            rows = {name: [dataclasses.asdict(one) for one in offered] for name, offered in found.items()}
            print(json.dumps(rows))
            return 0
        console = VisibleConsole(width=None if sys.stdout.isatty() else PIPE_COLUMNS, highlight=False)
        for name, (_, of) in KINDS.items():
            console.print(table(found[name], of))
        for line in (EVERYWHERE, USE):
            console.print(Text(line), soft_wrap=True)
        return 0

    return carried_out(command.prog, work, (PolicyError,))


if __name__ == "__main__":
    exit_with(main)

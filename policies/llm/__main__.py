"""`python -m policies.llm`: the commands of an adapted language model."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from policies.llm import serve
from traces.arguments import BAD_INPUT, Parser, exit_with

COMMANDS = (serve,)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit status."""
    top = Parser(prog="python -m policies.llm", description=__doc__)
    commands = top.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    for command in COMMANDS:
        command.add_parser(commands)
    args = top.parse_args(arguments)
    try:
        return int(args.run(args))
    except (ValueError, OSError) as error:
        print(f"{top.prog}: {error}", file=sys.stderr)
    return BAD_INPUT


if __name__ == "__main__":
    exit_with(main)

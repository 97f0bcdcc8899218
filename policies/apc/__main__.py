"""`python -m policies.apc`: who decides, the light policy or the language model.

    train    measure what asking the model gains, and make candidate schedulers from it
    sweep    play candidates on validation traces, draw the front, pick; --write ships them
    test     the shipped schedulers on other traces, beside the model alone, the light policy alone, random
    bench    how long routing takes

Exit status: 0 done, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

if __name__ == "__main__":
    from traces.handover import hand_over

    hand_over()

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from types import ModuleType

from player.registry import PolicyError
from player.video.video import VideoError
from traces.commands import Parser, carried_out, exit_with
from traces.progress import say
from traces.trace import TraceError

PROG = "python -m policies.apc"
COMMANDS = {"train": "train", "sweep": "sweep", "test": "score", "bench": "bench"}
"""Command: its module in `policies.apc.study`, which has `add_parser(commands)` and `run(args, say)`."""


def _module(command: str) -> ModuleType:
    return importlib.import_module(f"policies.apc.study.{COMMANDS[command]}")


def parser(wanted: str | None) -> Parser:
    """The command line.

    Args:
        wanted: the command whose own options are needed; the others' modules take long to import.
    """
    top = Parser(prog=PROG, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    for name in COMMANDS:
        if name == wanted:
            _module(name).add_parser(commands)
        else:
            commands.add_parser(name)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    args = parser(words[0] if words else None).parse_args(words)
    return carried_out(PROG, lambda: _run(args), (PolicyError, TraceError, VideoError, ValueError))


def _run(args: argparse.Namespace) -> int:
    report = _module(args.command).run(args, say)
    if args.json:
        print(json.dumps(report))
    return 0


if __name__ == "__main__":
    exit_with(main)

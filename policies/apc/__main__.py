"""`python -m policies.apc`: who decides, the light policy or the language model.

    train    measure what asking the model gains, and make candidate schedulers from it
    sweep    play candidates on validation traces, draw the front, pick; --write ships them
    test     the shipped schedulers on other traces, beside the model alone, the light policy alone, random
    refit    all of that for a new adapter or light policy
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
from collections.abc import Sequence

from player.registry import PolicyError
from player.video.video import VideoError
from policies.apc.study.options import add_bench, add_refit, add_sweep, add_test, add_train
from traces.commands import Parser, carried_out, exit_with
from traces.progress import say
from traces.trace import TraceError

PROG = "python -m policies.apc"
COMMANDS = {"train": "train", "sweep": "sweep", "test": "score", "refit": "refit", "bench": "bench"}
"""Command: its module in `policies.apc.study`, which has `run(args, say)`."""


def parser() -> Parser:
    """The command line."""
    top = Parser(prog=PROG, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    for add in (add_train, add_sweep, add_test, add_refit, add_bench):
        add(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    args = parser().parse_args(arguments)
    return carried_out(PROG, lambda: _run(args), (PolicyError, TraceError, VideoError, ValueError))


def _run(args: argparse.Namespace) -> int:
    module = importlib.import_module(f"policies.apc.study.{COMMANDS[args.command]}")
    report = module.run(args, say)
    if args.json:
        print(json.dumps(report))
    return 0


if __name__ == "__main__":
    exit_with(main)

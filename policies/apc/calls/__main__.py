"""`python -m policies.apc.calls`: who decides in calls, the light rule or the language model.

    train    measure what asking the model gains, make rules from it, choose one; --write ships it
    test     the shipped rule beside the model alone, the light policy alone and random routing
    load     many calls in real time against the server

Exit status: 0 done, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

if __name__ == "__main__":
    from traces.handover import hand_over

    hand_over()

    from policies.apc.calls.options import parser

    parser().parse_args()  # help and mistakes don't wait for the imports that follow

import argparse
import json
from collections.abc import Sequence

from player.registry import PolicyError
from policies.apc.calls.load import run_load
from policies.apc.calls.options import PROG, parser
from policies.apc.calls.study import run_test, run_train
from traces.commands import carried_out, exit_with
from traces.progress import say
from traces.trace import TraceError


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    options = parser().parse_args(arguments)
    return carried_out(PROG, lambda: _run(options), (PolicyError, TraceError, ValueError))


def _run(options: argparse.Namespace) -> int:
    report = {"train": run_train, "test": run_test, "load": run_load}[options.command](options, say)
    if options.json:
        print(json.dumps(report))
    return 0


if __name__ == "__main__":
    exit_with(main)

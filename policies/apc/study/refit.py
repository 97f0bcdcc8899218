"""`refit`: all that a new adapter or light policy asks for, in one go: train, sweep, write, test.

Each step adds its own generated members to the measured traces that are named, and of these takes the
lines that are for it (`starts.py`). What was written is what `apc` decides by from then on.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from policies.apc.study import score, sweep, train
from policies.apc.study.files import write_json
from policies.apc.study.options import KINDS, SWEEP_TRACES, TEST_TRACES, TRAIN_TRACES


def run(args: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Do all four; what `--json` says.

    Raises:
        ValueError, OSError: something named can't be used.
    """
    report = {}
    steps: tuple[tuple[str, Any, tuple[str, ...]], ...] = (
        ("train", train, TRAIN_TRACES), ("sweep", sweep, SWEEP_TRACES), ("test", score, TEST_TRACES)
    )  # fmt: skip
    for name, module, members in steps:
        asked = argparse.Namespace(**vars(args))
        asked.traces = [*args.traces, *(members if args.members else ())]
        asked.candidates, asked.write, asked.scheduler = args.out, True, list(KINDS)
        say(f"{name}: {', '.join(asked.traces)}")
        report[name] = module.run(asked, say)
        write_json(args.out / f"{name}-{args.light}.json", report[name])
    return report

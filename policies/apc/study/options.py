"""Options that the commands share, and the engine that they ask for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from policies.apc.light import TRAINED

TOGETHER = 32
"""Sessions at a time: more share a forward, and take more memory."""


def add_model_options(command: argparse.ArgumentParser) -> None:
    """The model, and how it is run."""
    model = command.add_argument_group("model")
    model.add_argument(
        "--adapter", type=Path, metavar="DIR", help="what `adapt` made (default: the shipped one)"
    )
    model.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: %(default)s"
    )
    model.add_argument(
        "--threads", type=count, default=1, metavar="N", help="of the model on the CPU (default: 1)"
    )
    model.add_argument(
        "--dtype", choices=("auto", "float32", "bfloat16"), default="auto", help="default: %(default)s"
    )
    model.add_argument(
        "--together",
        type=count,
        default=TOGETHER,
        metavar="N",
        help="sessions at a time (default: %(default)s)",
    )


def add_light_option(group: Any) -> None:
    """The light policy."""
    group.add_argument(
        "--light", default=TRAINED, metavar="POLICY", help="the light policy (default: %(default)s)"
    )


def count(text: str) -> int:
    """A whole number, 1 or more."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be 1 or more")
    return value


def share(text: str) -> float:
    """A number between 0 and 1."""
    value = float(text)
    if not 0.0 < value < 1.0:
        raise argparse.ArgumentTypeError(f"{text}: must be between 0 and 1")
    return value


def load_engine(args: argparse.Namespace) -> Any:
    """The engine that was asked for.

    Raises:
        ValueError, OSError: it can't be loaded.
    """
    from policies.llm.engine.engine import Engine
    from policies.llm.tasks.abr.task import TASK

    slots = args.together + 1
    return Engine(TASK, args.adapter, device=args.device, slots=slots, threads=args.threads, dtype=args.dtype)

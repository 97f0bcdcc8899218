"""Options that the commands share, and the engine that they ask for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from player.simulated.session import CHUNKS
from policies.apc.names import TRAINED
from policies.llm.arithmetic import add_dtype_option
from traces.commands import add_json_option

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
    add_dtype_option(model)
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


TRAIN_TRACES = ("fcc[300:332]", "3g[300:332]", "4g[300:316]")
"""Members that the shipped adapter was not trained on; validation and test use others again."""
SHARES = (0.25, 0.4, 0.55, 0.7)


def add_train(commands: Any) -> None:
    """The command line of `train`."""
    command = commands.add_parser("train", help="make candidate schedulers from simulated decisions")
    what = command.add_argument_group("what to play")
    what.add_argument(
        *("--traces", "--trace"),
        nargs="+",
        default=list(TRAIN_TRACES),
        metavar="SPEC",
        help="default: generated ones",
    )
    what.add_argument("--video", metavar="NAME", help="default: the one that fits each family")
    what.add_argument("--chunks", type=count, default=CHUNKS, help="of a session (default: %(default)s)")
    add_light_option(what)
    add_model_options(command)
    how = command.add_argument_group("how")
    how.add_argument("--seed", type=int, default=0, help="of the network's beginning (default: %(default)s)")
    how.add_argument(
        "--shares", nargs="+", type=share, default=list(SHARES), metavar="SHARE",
        help="of decisions that candidates may ask for (default: 0.25 0.4 0.55 0.7)",
    )  # fmt: skip
    output = command.add_argument_group("output")
    output.add_argument("--out", type=Path, required=True, metavar="DIR", help="moments and candidates")
    add_json_option(output)


SWEEP_TRACES = ("fcc[340:372]", "3g[340:372]")


def add_sweep(commands: Any) -> None:
    """The command line of `sweep`."""
    command = commands.add_parser("sweep", help="play candidates on validation traces and pick")
    what = command.add_argument_group("what to play")
    what.add_argument(
        *("--traces", "--trace"),
        nargs="+",
        default=list(SWEEP_TRACES),
        metavar="SPEC",
        help="default: generated ones",
    )
    what.add_argument("--video", metavar="NAME", help="default: the one that fits each family")
    what.add_argument("--candidates", type=Path, required=True, metavar="DIR", help="what `train` made")
    add_light_option(what)
    add_model_options(command)
    output = command.add_argument_group("output")
    output.add_argument(
        "--out", type=Path, metavar="DIR", help="sweep-LIGHT.json and .png (default: --candidates)"
    )
    output.add_argument("--write", action="store_true", help="ship what was picked: rule.json, learned.json")
    add_json_option(output)


TEST_TRACES = ("fcc[400:460]", "3g[400:460]")
KINDS = ("rule", "learned")


def add_test(commands: Any) -> None:
    """The command line of `test`."""
    command = commands.add_parser("test", help="score the shipped schedulers beside their controls")
    what = command.add_argument_group("what to play")
    what.add_argument(
        *("--traces", "--trace"),
        nargs="+",
        default=list(TEST_TRACES),
        metavar="SPEC",
        help="default: generated ones",
    )
    what.add_argument("--video", metavar="NAME", help="default: the one that fits each family")
    what.add_argument(
        "--scheduler", nargs="+", choices=KINDS, default=list(KINDS), help="default: rule learned"
    )
    add_light_option(what)
    add_model_options(command)
    output = command.add_argument_group("output")
    add_json_option(output)


def add_bench(commands: Any) -> None:
    """The command line of `bench`."""
    command = commands.add_parser("bench", help="time the routing itself")
    what = command.add_argument_group("what to time")
    what.add_argument("--scheduler", nargs="+", default=["rule", "learned"], help="default: rule learned")
    what.add_argument("--sessions", type=count, default=20, help="simulated ones (default: %(default)s)")
    add_light_option(what)
    output = command.add_argument_group("output")
    add_json_option(output)

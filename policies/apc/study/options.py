"""Options that the commands share, and the engine that they ask for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from player.commands.options import add_scoring_options
from policies.apc.names import TRAINED
from policies.llm.arithmetic import add_dtype_option
from traces.commands import add_json_option
from traces.numbers import positive, wholes

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


def add_play_options(command: argparse.ArgumentParser, traces: tuple[str, ...], purpose: str | None) -> Any:
    """What to play, under which setting and QoE; the group of the first.

    Args:
        purpose: what measured lines are for here, in words; None: it is not asked.
    """
    what = command.add_argument_group("what to play")
    what.add_argument(
        *("--traces", "--trace"), nargs="+", default=list(traces), metavar="SPEC",
        help=f"families' members, files, folders of measured traces (default: {' '.join(traces) or 'none'})",
    )  # fmt: skip
    what.add_argument("--starts", type=count, default=1, help="sessions on each trace (default: %(default)s)")
    command.set_defaults(all_lines=False)
    if purpose is not None:
        what.add_argument(
            "--all-lines", action="store_true", help=f"of measured traces not only those on lines {purpose}"
        )
    what.add_argument("--video", metavar="NAME", help="default: the one that fits each family")
    what.add_argument("--ladder", type=wholes, metavar="KBPS,…", help="bring the video to these rates")
    what.add_argument("--chunk-s", type=positive, metavar="S", help="and to this chunk length")
    what.add_argument("--chunks", type=count, metavar="N", help="of a session (default: as published)")
    add_light_option(what)
    add_scoring_options(command)
    return what


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
    from policies.llm.tasks.ladder.task import TASK

    slots = args.together + 1
    return Engine(TASK, args.adapter, device=args.device, slots=slots, threads=args.threads, dtype=args.dtype)


TRAIN_TRACES = ("fcc[300:332]", "3g[300:332]", "4g[300:316]")
"""Members that the shipped adapter was not trained on; validation and test use others again."""
SWEEP_TRACES = ("fcc[340:372]", "3g[340:372]")
TEST_TRACES = ("fcc[400:460]", "3g[400:460]")
SHARES = (0.2, 0.3, 0.4, 0.5)
KINDS = ("rule", "learned")
FUTURES = 4


def add_train(commands: Any) -> None:
    """The command line of `train`."""
    command = commands.add_parser("train", help="make candidate schedulers from simulated decisions")
    add_play_options(command, TRAIN_TRACES, "to fit to")
    add_model_options(command)
    add_fit_options(command)
    output = command.add_argument_group("output")
    output.add_argument("--out", type=Path, required=True, metavar="DIR", help="moments and candidates")
    add_json_option(output)


def add_fit_options(command: argparse.ArgumentParser) -> None:
    """How moments are judged and schedulers fitted."""
    how = command.add_argument_group("how")
    how.add_argument("--seed", type=int, default=0, help="of the network's beginning (default: %(default)s)")
    how.add_argument(
        "--futures", type=count, default=FUTURES, metavar="N",
        help="that each choice is played out in (default: %(default)s)",
    )  # fmt: skip
    how.add_argument(
        "--then", default="hindsight", metavar="POLICY",
        help="decides after a choice: hindsight, robustmpc, genet or bba (default: %(default)s)",
    )  # fmt: skip
    how.add_argument(
        "--shares", nargs="+", type=share, default=list(SHARES), metavar="SHARE",
        help=f"of decisions that candidates may ask for (default: {' '.join(map(str, SHARES))})",
    )  # fmt: skip


def add_random_option(group: Any) -> None:
    """The shares of the control."""
    group.add_argument(
        "--random", nargs="*", type=share, default=[0.25, 0.5, 0.75], metavar="SHARE",
        help="that are drawn without a look, as a control (default: 0.25 0.5 0.75)",
    )  # fmt: skip


def add_sweep(commands: Any) -> None:
    """The command line of `sweep`."""
    command = commands.add_parser("sweep", help="play candidates on validation traces and pick")
    what = add_play_options(command, SWEEP_TRACES, "to choose by")
    what.add_argument("--candidates", type=Path, required=True, metavar="DIR", help="what `train` made")
    add_random_option(what)
    add_model_options(command)
    output = command.add_argument_group("output")
    output.add_argument(
        "--out", type=Path, metavar="DIR", help="sweep-LIGHT.json and .png (default: --candidates)"
    )
    output.add_argument("--write", action="store_true", help="ship what was picked: rule.json, learned.json")
    add_json_option(output)


def add_test(commands: Any) -> None:
    """The command line of `test`."""
    command = commands.add_parser("test", help="score the shipped schedulers beside their controls")
    what = add_play_options(command, TEST_TRACES, "held out")
    what.add_argument(
        "--scheduler", nargs="+", choices=KINDS, default=list(KINDS), help="default: rule learned"
    )
    add_model_options(command)
    output = command.add_argument_group("output")
    add_json_option(output)


def add_refit(commands: Any) -> None:
    """The command line of `refit`."""
    command = commands.add_parser("refit", help="train, sweep, write and test: for a new adapter")
    what = add_play_options(command, (), None)
    add_random_option(what)
    what.add_argument(
        "--no-members", dest="members", action="store_false", help="leave each step's generated members away"
    )
    add_model_options(command)
    add_fit_options(command)
    output = command.add_argument_group("output")
    output.add_argument("--out", type=Path, required=True, metavar="DIR", help="moments, candidates, reports")
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

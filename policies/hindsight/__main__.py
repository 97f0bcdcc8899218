"""`python -m policies.hindsight`: train the network anew; join networks of several seeds into one file."""

from __future__ import annotations

if __name__ == "__main__":
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C among the imports that follow leaves no traceback

import argparse
import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from player.video.video import VideoError
from policies.hindsight.data import DataError, read_source
from policies.hindsight.net import ValueNet, ValueNetError, write_net
from traces.commands import Parser, carried_out, exit_with
from traces.trace import TraceError

if TYPE_CHECKING:
    from policies.hindsight.train import HindsightSettings

PROG = "python -m policies.hindsight"


def parser() -> Parser:
    """The command line."""
    made = Parser(prog=PROG, description=__doc__)
    commands = made.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="command")
    train = commands.add_parser("train", help="learn from traces; goes on from --out's checkpoint")
    what = train.add_argument_group("what to learn from (SPEC is a directory, a file, or like fcc[0:200])")
    what.add_argument(
        "--traces", nargs="+", default=[], metavar="SPEC[@WEIGHT]", help="traces at their own rates"
    )
    what.add_argument(
        "--rescaled", nargs="+", default=[], metavar="SPEC[@WEIGHT]",
        help="traces brought to means of 0.5 to 8 Mbit/s",
    )  # fmt: skip
    what.add_argument(
        "--video", nargs="+", default=["envivio"], metavar="SPEC[@WEIGHT]",
        help="videos; the first is the one of validation (default: envivio)",
    )  # fmt: skip
    how = train.add_argument_group("how")
    how.add_argument("--seed", type=int, default=1)
    how.add_argument("--rounds", type=int, help="of planned values, 24,064 states each")
    how.add_argument("--ppo-steps", type=int, help="decisions that PPO plays")
    how.add_argument("--sessions", type=int, help="in a batch")
    how.add_argument("--threads", type=int, help="cores to use")
    where = train.add_argument_group("where to")
    where.add_argument("--out", type=Path, required=True, metavar="DIR", help="weights, log, checkpoint")
    where.add_argument("--json", action="store_true", help="the best score as one object on stdout")
    join = commands.add_parser("join", help="one file whose decisions are the average of several")
    files = join.add_argument_group("files")
    files.add_argument("weights", nargs="+", type=Path, metavar="FILE", help="safetensors that train made")
    files.add_argument("--out", type=Path, required=True, metavar="FILE")
    join.add_argument("--json", action="store_true", help="what was written as one object on stdout")
    return made


def settings_of(args: argparse.Namespace) -> HindsightSettings:
    """The defaults, and what the command line says otherwise."""
    from policies.hindsight.train import HindsightSettings

    names = {each.name for each in fields(HindsightSettings)}
    return HindsightSettings(
        **{key: value for key, value in vars(args).items() if key in names and value is not None}
    )


def train(args: argparse.Namespace) -> dict[str, Any]:
    """Train; what `--json` says.

    Raises:
        DataError, TraceError, VideoError: sources or a checkpoint that cannot be used.
        ModuleNotFoundError: torch is not installed.
    """
    from policies.hindsight.train import Training

    sources = [read_source(word, False) for word in args.traces]
    sources += [read_source(word, True) for word in args.rescaled]
    if not sources:
        raise DataError("nothing to learn from; name --traces or --rescaled")
    training = Training(sources, args.video, args.out, settings_of(args))
    training.go()
    return {"best": training.run.best, "seed": args.seed, "out": str(args.out)}


def join(args: argparse.Namespace) -> dict[str, Any]:
    """Join; what `--json` says.

    Raises:
        WeightsError: a file that cannot be used.
        OSError: the new one cannot be written.
    """
    nets = [ValueNet.read(path) for path in args.weights]
    members = [member for net in nets for member in net.members]
    write_net(args.out, members, {"joined": " ".join(net.sha256 for net in nets)})
    return {"members": len(members), "sha256": ValueNet.read(args.out).sha256, "out": str(args.out)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = parser().parse_args(arguments)
    expected = (DataError, TraceError, VideoError, ValueNetError)
    said = "interrupted; the same command goes on from there"
    return carried_out(PROG, lambda: _run(args), expected, interrupted=said)


def _run(args: argparse.Namespace) -> int:
    report = train(args) if args.command == "train" else join(args)
    if args.json:
        print(json.dumps(report))
    return 0


if __name__ == "__main__":
    exit_with(main)

"""`python -m policies.hindsight`: train the network anew, join networks into one file, score one."""

from __future__ import annotations

if __name__ == "__main__":
    from traces.handover import hand_over

    hand_over()

    from policies.hindsight.command_line import parser

    parser().parse_args()  # help and mistakes don't wait for the imports that follow

import argparse
import json
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from player.video.video import VideoError
from policies.hindsight.command_line import PROG, parser
from policies.hindsight.data import DataError, read_source
from policies.hindsight.net import OptionNet, OptionNetError, write_net
from traces.commands import carried_out, exit_with
from traces.trace import TraceError

if TYPE_CHECKING:
    from policies.hindsight.run import HindsightSettings


def settings_of(args: argparse.Namespace) -> HindsightSettings:
    """The defaults, and what the command line says otherwise."""
    from policies.hindsight.run import HindsightSettings

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
        OptionNetError: a file that cannot be used.
        OSError: the new one cannot be written.
    """
    nets = [OptionNet.read(path) for path in args.weights]
    members = [member for net in nets for member in net.members]
    write_net(args.out, members, {"joined": " ".join(net.sha256 for net in nets)}, args.caution)
    return {"members": len(members), "sha256": OptionNet.read(args.out).sha256, "out": str(args.out)}


def _score(args: argparse.Namespace) -> dict[str, Any]:
    from policies.hindsight.score import score

    return score(args)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = parser().parse_args(arguments)
    expected = (DataError, TraceError, VideoError, OptionNetError, ValueError)
    said = "interrupted; the same command goes on from there"
    return carried_out(PROG, lambda: _run(args), expected, interrupted=said)


def _run(args: argparse.Namespace) -> int:
    report = {"train": train, "join": join, "score": _score}[args.command](args)
    if args.json:
        print(json.dumps(report))
    return 0


if __name__ == "__main__":
    exit_with(main)

"""The command line of `python -m policies.viewport`: train the predictors that have weights, or judge how.

    python -m policies.viewport --train FOLDER --out policies/viewport/weights
    python -m policies.viewport --train FOLDER --folds 5

With folds a part of the videos is kept each time, and the nets that have not seen it are judged there: what
settings are chosen by. Crowds are the other viewers of a video.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from policies.viewport.examples import Examples, examples_of
from policies.viewport.net import answer_of
from policies.viewport.units import UNIT
from traces.commands import Parser, carried_out, exit_with
from traces.files import write_aside
from traces.heads.catalogue import watched_videos
from traces.heads.head import HeadError, WatchedVideo
from traces.numbers import count, whole
from traces.ownership import make_directory
from traces.progress import say
from traces.trace import TraceError

PROG = "python -m policies.viewport"
EPOCHS = {"small": 15, "crowd": 10}
"""Nets, and passes over all windows; found by folds."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = _parser().parse_args(arguments)

    def work() -> int:
        videos = watched_videos(args.train)
        (_cross if args.folds else _train)(videos, args)
        return 0

    return carried_out(PROG, work, (TraceError,))


def _parser() -> Parser:
    parser = Parser(prog=PROG, description="Train the predictors of viewports that have weights.")
    parser.add_argument(
        "--train", required=True, metavar="TRACES", help="a folder of recordings, or heads[0:40]"
    )
    parser.add_argument(
        "--net", choices=tuple(EPOCHS), action="append", help="which (default: all, and `ridge` with `small`)"
    )
    parser.add_argument(
        "--seed", type=whole, default=1, metavar="N", help="of weights and order (default: 1)"
    )
    parser.add_argument(
        "--epochs", type=count, metavar="N", help="passes over all (default: 15 of small, 10 of crowd)"
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", type=Path, metavar="DIR", help="the weights' folder")
    what.add_argument("--folds", type=count, metavar="N", help="judge by so many parts of the videos")
    return parser


def _train(videos: Sequence[WatchedVideo], args: argparse.Namespace) -> None:
    """Write `small`, `crowd` and `ridge`."""
    from safetensors.numpy import save

    from policies.viewport.learn import ridge

    make_directory(args.out)
    for name in args.net or EPOCHS:
        learned = _learned(name, examples_of(name, videos, every=True), args)
        weights = {key: np.ascontiguousarray(value, np.float32) for key, value in learned.items()}
        write_aside(args.out / f"{name}.safetensors", save(weights))
        if name == "small":
            linear = np.ascontiguousarray(ridge(examples_of("ridge", videos, every=True)), np.float32)
            write_aside(args.out / "ridge.safetensors", save({"0.weight": linear}))


def _cross(videos: Sequence[WatchedVideo], args: argparse.Namespace) -> None:
    """Tell the error in windows of videos that a net has not seen, and that of the head that stays.

    Raises:
        HeadError: more parts than videos.
    """
    if not 1 < args.folds <= len(videos):
        raise HeadError(f"--folds {args.folds}: there are {len(videos)} videos; take 2 to that many")
    for name in args.net or EPOCHS:
        closely = [examples_of(name, [video], every=True) for video in videos]
        judged = [examples_of(name, [video], every=False) for video in videos]
        errors, stays = [], []
        for fold in range(args.folds):
            kept = [place for place in range(len(videos)) if place % args.folds == fold]
            rest = [closely[place] for place in range(len(videos)) if place not in kept]
            weights = _learned(name, _joined(rest), args)
            for place in kept:
                answers = answer_of(weights, judged[place].inputs.astype(np.float64))
                errors.append(np.abs(answers - judged[place].targets).mean(axis=1))
                stays.append(np.abs(judged[place].targets).mean(axis=1))
        mae, static = (UNIT * float(np.concatenate(parts).mean()) for parts in (errors, stays))
        report = {"net": name, "seed": args.seed, "mae": round(mae, 4), "static": round(static, 4)}
        print(json.dumps(report | {"of_static": round(mae / static, 4)}), flush=True)


def _learned(name: str, examples: Examples, args: argparse.Namespace) -> dict[str, np.ndarray]:
    from policies.viewport.learn import LearningSettings, learn

    settings = LearningSettings(epochs=args.epochs or EPOCHS[name])
    return learn(examples, name == "crowd", args.seed, settings, lambda line: say(f"{name}: {line}"))


def _joined(parts: Sequence[Examples]) -> Examples:
    return Examples(
        np.concatenate([part.inputs for part in parts]), np.concatenate([part.targets for part in parts])
    )


if __name__ == "__main__":
    exit_with(main)

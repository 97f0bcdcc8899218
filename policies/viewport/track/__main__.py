"""The command line of `python -m policies.viewport.track`: train TRACK, mended or as published.

    python -m policies.viewport.track --train FOLDER --out FILE
    python -m policies.viewport.track --train FOLDER --as-published --traces OTHER --earlier FOLDER

The last videos of the folder choose the epoch. What is told at the end is the error over `--traces`; as
published it is the net's that is fed the first true sample of what it predicts, so it is no policy.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from traces.commands import Parser, carried_out, exit_with
from traces.files import write_aside
from traces.heads.catalogue import watched_videos
from traces.heads.files import viewers_in
from traces.heads.head import HeadError
from traces.numbers import count, whole
from traces.progress import say
from traces.trace import TraceError

PROG = "python -m policies.viewport.track"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = _parser().parse_args(arguments)
    return carried_out(PROG, lambda: _train(args), (TraceError,))


def _parser() -> Parser:
    parser = Parser(
        prog=PROG, description="Train TRACK, with the map of earlier viewers in place of saliency."
    )
    parser.add_argument(
        "--train", required=True, metavar="TRACES", help="a folder of recordings, heads[0:40]"
    )
    parser.add_argument(
        "--hold-out", type=count, default=3, metavar="N", help="videos that choose (default: 3)"
    )
    parser.add_argument("--as-published", action="store_true", help="as NetLLM's port is trained and tested")
    parser.add_argument(
        "--seed", type=whole, default=1, metavar="N", help="of weights and order (default: 1)"
    )
    parser.add_argument("--epochs", type=count, default=8, metavar="N", help="passes over all (default: 8)")
    parser.add_argument("--traces", metavar="TRACES", help="what is predicted at the end")
    parser.add_argument(
        "--earlier", type=Path, metavar="FOLDER", help="viewers in there are known to the others, not judged"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="the weights")
    return parser


def _train(args: argparse.Namespace) -> int:
    from safetensors.numpy import save

    from policies.viewport.track.learn import TrackSettings, examples_of, learn, scored

    if args.as_published and args.out:
        raise HeadError("--as-published: no policy, for it is fed the first true sample; leave --out away")
    videos = watched_videos(args.train)
    if args.hold_out >= len(videos):
        raise HeadError(f"--hold-out {args.hold_out}: there are {len(videos)} videos; leave one at least")
    settings = TrackSettings(args.epochs, args.as_published)
    learned, chooses = (
        examples_of(videos[: -args.hold_out], True),
        examples_of(videos[-args.hold_out :], False),
    )
    model, weights, error = learn(learned, chooses, args.seed, settings, say)
    report = {"as_published": args.as_published, "seed": args.seed, "held_mae": round(error, 4)}
    if args.traces:
        earlier = viewers_in(args.earlier) if args.earlier else frozenset()
        judged = examples_of(watched_videos(args.traces, earlier), False)
        report |= scored(model, judged)
    if args.out:
        held = {name: np.ascontiguousarray(value, np.float32) for name, value in weights.items()}
        write_aside(args.out, save(held))
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    exit_with(main)

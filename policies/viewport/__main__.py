"""The command line of `python -m policies.viewport`: train the predictors that have weights.

    python -m policies.viewport --train FOLDER --hold-out 3 --out policies/viewport/weights

The last videos of the folder are held out, to choose the epoch. Crowds are the other viewers of a video.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from policies.viewport.examples import examples_of
from traces.commands import Parser, carried_out, exit_with
from traces.files import write_aside
from traces.heads.catalogue import watched_videos
from traces.heads.head import HeadError
from traces.ownership import make_directory
from traces.trace import TraceError

PROG = "python -m policies.viewport"
NETS = ("small", "crowd")


def train(spec: str, hold_out: int, seed: int, epochs: int, out: Path) -> None:
    """Train and write `small`, `crowd` and `ridge`.

    Raises:
        HeadError: fewer videos than are to be held out.
    """
    from safetensors.numpy import save

    from policies.viewport.learn import LearningSettings, learn, ridge

    videos = watched_videos(spec)
    if not 0 < hold_out < len(videos):
        raise HeadError(f"--hold-out {hold_out}: there are {len(videos)} videos; leave one at least")
    make_directory(out)
    for name in NETS:
        learned_from = examples_of(name, videos[:-hold_out], every=True)
        valid = examples_of(name, videos[-hold_out:], every=False)
        made = learn(learned_from, valid, seed, LearningSettings(epochs=epochs))
        print(json.dumps({"net": name, "epoch": made.epoch, "held_mae": round(made.error, 4)}), flush=True)
        weights = {key: np.ascontiguousarray(value, np.float32) for key, value in made.weights.items()}
        write_aside(out / f"{name}.safetensors", save(weights))
        if name == "small":
            linear = np.ascontiguousarray(ridge(learned_from), np.float32)
            write_aside(out / "ridge.safetensors", save({"0.weight": linear}))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = Parser(prog=PROG, description="Train the predictors of viewports that have weights.")
    parser.add_argument(
        "--train", required=True, metavar="TRACES", help="a folder of recordings, or heads[0:40]"
    )
    parser.add_argument(
        "--hold-out", type=int, default=3, metavar="N", help="videos that choose (default: 3)"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of weights and order (default: 1)")
    parser.add_argument("--epochs", type=int, default=30, metavar="N", help="passes over all (default: 30)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the weights' folder")
    args = parser.parse_args(arguments)

    def work() -> int:
        train(args.train, args.hold_out, args.seed, args.epochs, args.out)
        return 0

    return carried_out(PROG, work, (TraceError,))


if __name__ == "__main__":
    exit_with(main)

"""Fit the encoder model to x264 on generated pictures, and write its figures.

    python -m player.call.encoder_fit --out x264.json

Takes some minutes; needs ffmpeg and its libx264 (`apt-get install ffmpeg`).
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from player.call.encoder_fit.fitting import after_key, key_ratio, lag_frames, payback_share, size_cv
from player.call.encoder_fit.pictures import FPS, HEIGHT, SOURCES, WIDTH, pictures
from player.call.encoder_fit.x264 import Encoder, EncoderError, find_library
from traces.commands import Parser, carried_out, exit_with
from traces.files import write_aside

COMMAND = "python -m player.call.encoder_fit --out player/call/encoder_fit/x264.json"
BUFFER_S = 0.5
RATES_KBPS = (300, 1000, 2000)
KEY_FRAMES = 250
FRAMES = 800
CHANGES_KBPS = ((1500, 500), (500, 1500), (1000, 300), (300, 1000))
CHANGE_AT = 200
FITTED = ("size_cv", "key_ratio", "key_payback", "lag_down_frames", "lag_up_frames")


def constant(source: str, kbps: int) -> dict[str, Any]:
    """Figures of a source at a constant rate."""
    encoder = Encoder(WIDTH, HEIGHT, FPS, kbps, KEY_FRAMES, BUFFER_S)
    sizes = np.array([encoder.encode(picture) for picture in pictures(source, FRAMES)], float)
    encoder.close()
    keys = range(0, FRAMES - KEY_FRAMES, KEY_FRAMES)
    ratio = key_ratio(sizes, keys)
    return {
        "source": source,
        "kbps": kbps,
        "made_kbps": round(float(sizes.mean()) * 8 * FPS / 1000, 1),
        "size_cv": round(size_cv(sizes, range(0, FRAMES, KEY_FRAMES)), 4),
        "key_ratio": round(ratio, 3),
        "key_payback": round(payback_share(after_key(sizes, keys), ratio), 3),
    }


def changed(source: str, before_kbps: int, after_kbps: int) -> dict[str, Any]:
    """Figures of a source whose rate changes once."""
    encoder = Encoder(WIDTH, HEIGHT, FPS, before_kbps, 10 * KEY_FRAMES, BUFFER_S)
    sizes = []
    for frame, picture in enumerate(pictures(source, 2 * CHANGE_AT)):
        if frame == CHANGE_AT:
            encoder.set_rate(after_kbps)
        sizes.append(float(encoder.encode(picture)))
    encoder.close()
    made = np.array(sizes)
    before, after = float(made[CHANGE_AT // 2 : CHANGE_AT].mean()), float(made[-CHANGE_AT // 2 :].mean())
    lag = lag_frames(made, CHANGE_AT, before, after)
    name = "lag_down_frames" if after_kbps < before_kbps else "lag_up_frames"
    first = made[CHANGE_AT : CHANGE_AT + 5].mean() / after
    return {
        "source": source,
        "kbps": [before_kbps, after_kbps],
        "first_5_frames": round(float(first), 3),
        name: round(lag, 2),
    }


def measured() -> Iterator[dict[str, Any]]:
    """Every run, as it is done."""
    for source in SOURCES:
        for kbps in RATES_KBPS:
            yield constant(source, kbps)
        for before_kbps, after_kbps in CHANGES_KBPS:
            yield changed(source, before_kbps, after_kbps)


def fit(out: Path) -> int:
    """Measure, tell, and write."""
    runs = []
    for run in measured():
        runs.append(run)
        print(json.dumps(run), flush=True)
    figures = {name: round(statistics.median(run[name] for run in runs if name in run), 3) for name in FITTED}
    told = {
        "command": COMMAND,
        "encoder": f"x264 build {find_library()[1]}, superfast, zerolatency, vbv {BUFFER_S:g} s",
        "pictures": {"width": WIDTH, "height": HEIGHT, "fps": FPS, "sources": SOURCES},
        "figures": figures,
        "figures_are": "medians over the runs",
        "runs": runs,
    }
    write_aside(out, json.dumps(told, indent=1) + "\n")
    print(json.dumps(figures))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = Parser(prog="python -m player.call.encoder_fit", description="Fit the encoder model to x264.")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="where to write the figures")
    args = parser.parse_args(arguments)
    return carried_out("python -m player.call.encoder_fit", lambda: fit(args.out), (EncoderError,))


if __name__ == "__main__":
    exit_with(main)

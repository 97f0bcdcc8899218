"""`test --task viewport`: an adapter beside other predictors, in the same windows."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

from player.registry import VIEWPORT, load_policy, split_policies
from player.viewport.errors import errors_of
from player.viewport.policy import ViewportPolicy, checked_prediction
from player.viewport.windows import windows_of
from policies.bootstrap import mean_interval
from policies.llm.model.adapter import read
from policies.llm.tasks.viewport.policy import NetLLM
from policies.llm.tasks.viewport.task import TASK
from traces.heads.catalogue import watched_videos
from traces.heads.files import viewers_in
from traces.heads.head import HeadError, WatchedVideo

BASELINE, NAME = "static", "netllm"


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Test; what `--json` says. Without it the table is printed.

    Raises:
        AdapterError, BaseError, PolicyError, HeadError, ValueError: something is not there.
    """
    earlier = viewers_in(args.earlier) if args.earlier else frozenset()
    videos = [video for spec in args.traces for video in watched_videos(spec, earlier)]
    names = list(dict.fromkeys((BASELINE, *split_policies(args.policy))))
    policies: dict[str, Any] = {name: load_policy(name, kind=VIEWPORT, seed=0).policy for name in names}
    adapter = "" if args.adapter is None else str(args.adapter)
    policies[NAME] = NetLLM("none", adapter=adapter, device=args.device, dtype=args.dtype)
    rows = scored(videos, policies)
    if not args.json:
        for line in table(rows):
            print(line)
    shape = read(args.adapter, TASK).shape
    return {
        "adapter_sha256": policies[NAME].weights_sha256,
        "base": shape.base,
        "layers": shape.layers,
        "traces": list(args.traces),
        "policies": rows,
    }


def scored(videos: Sequence[WatchedVideo], policies: dict[str, ViewportPolicy]) -> list[dict[str, Any]]:
    """Each predictor's mean error over all windows, and how much less it is than the first one's, with
    intervals over viewers and over videos.

    Raises:
        HeadError: no window to judge.
    """
    errors: dict[str, list[Any]] = {name: [] for name in policies}
    viewers: list[str] = []
    films: list[str] = []
    for video in videos:
        for place, trace in enumerate(video.viewers):
            found = windows_of(video, place)
            viewers += [trace.viewer] * len(found.at)
            films += [video.name] * len(found.at)
            for name, policy in policies.items():
                if found.at:
                    policy.reset(0)
                    predicted = checked_prediction(policy.predict(found.seen), len(found.at))
                    errors[name].append(errors_of(predicted, found.future).mae)
    if not viewers:
        raise HeadError("recordings too short for a window")
    every = {name: np.concatenate(parts) for name, parts in errors.items()}
    first = every[next(iter(policies))]
    return [
        {
            "policy": name,
            "windows": len(mae),
            "mae": float(mae.mean()),
            "less_by_viewer": mean_interval(mae - first, viewers),
            "less_by_video": mean_interval(mae - first, films),
        }
        for name, mae in every.items()
    ]


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each predictor, as Markdown."""
    first = rows[0]
    lines = [
        f"| predictor | MAE over {first['windows']} windows | less {first['policy']}, by viewer | by video |",
        "| --- | --- | --- | --- |",
    ]
    for row in rows:
        mean, low, high = row["less_by_viewer"]
        _, least, most = row["less_by_video"]
        less = f"{mean:+.3f} [{low:+.3f}, {high:+.3f}] | [{least:+.3f}, {most:+.3f}]"
        lines.append(f"| {row['policy']} | {row['mae']:.3f} | {less if mean else '|'} |")
    return lines

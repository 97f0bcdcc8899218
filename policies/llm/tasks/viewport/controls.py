"""`controls --task viewport`: what the language model is worth, by the same windows and steps without it.

Each control is scored as its last step left it: nothing is chosen. A line of `results.jsonl` for each; what
stands there is not run again, and a control that was killed goes on from its checkpoint.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from policies.llm.learning import pool
from policies.llm.learning.adaptation import LAST, Adaptation
from policies.llm.learning.settings import LearningSettings
from policies.llm.model.shape import Shape
from policies.llm.studies.control_list import Control, controls_of
from policies.llm.tasks.viewport.evaluate import BASELINE, scored
from policies.llm.tasks.viewport.policy import NetLLM
from policies.llm.tasks.viewport.task import TASK
from policies.viewport.rules import Static
from traces.files import growing, sync
from traces.heads.catalogue import watched_videos
from traces.heads.files import viewers_in
from traces.ownership import make_directory
from traces.progress import say
from traces.safe_reading import read_json_lines

RESULTS = "results.jsonl"
LOOKS = 3
"""At the validation windows."""


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Run what is not yet in the results; what `--json` says. Without it the table is printed.

    Raises:
        ValueError: an unknown control, results of another run, and what `adapt` raises.
        OSError: something cannot be written.
    """
    known = {control.name: control for control in controls_of(TASK)}
    names = args.only.split(",")
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"--only {unknown[0]}: no such control; there are {', '.join(known)}")
    make_directory(args.out)
    path = args.out / RESULTS
    rows = list(read_json_lines(path)) if path.exists() else []
    done = {(row["control"], row["seed"]) for row in rows}
    for row in rows:
        _check_same(row, known[row["control"]], args)
    for seed in args.seeds:
        for name in names:
            if (name, seed) not in done:
                rows.append(_run_one(known[name], seed, args))
                with growing(path) as file:
                    file.write(json.dumps(rows[-1]) + "\n")
                    sync(file)
    if not args.json:
        for line in table(rows):
            print(line)
    return {"out": str(path), "runs": rows}


def _conditions(control: Control, args: argparse.Namespace) -> dict[str, Any]:
    """What a line has to say of how it was run for it to stand in another one's place."""
    manifest = (args.pool / pool.MANIFEST).read_bytes()
    layers = control.shape.get("layers", args.layers)
    return {
        "steps": control.steps(args.steps),
        "batch": args.batch,
        "layers": layers,
        "pool": hashlib.sha256(manifest).hexdigest()[:12],
        "traces": list(args.traces),
        "earlier": None if args.earlier is None else str(args.earlier),
    }


def _check_same(row: dict[str, Any], control: Control, args: argparse.Namespace) -> None:
    for name, asked in _conditions(control, args).items():
        if row.get(name) != asked:
            raise ValueError(
                f"{args.out / RESULTS}: {control.name} {row['seed']} was run with {name} {row.get(name)}, not"
                f" {asked}; name another --out, or ask for the same"
            )


def _run_one(control: Control, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    conditions = _conditions(control, args)
    settings = LearningSettings(
        **{
            "seed": seed,
            "steps": conditions["steps"],
            "batch": args.batch,
            "rounds": 0,
            "check_every": max(conditions["steps"] // LOOKS, 1),
            "threads": args.threads,
            "validation_sessions": 256,
            **control.settings,
        }
    )
    shape = Shape(control.based(seed), **{"layers": args.layers} | control.shaped(TASK))
    folder = args.out / f"{control.name}-{seed}"
    adapted = Adaptation(
        TASK, shape, args.pool, folder, settings, lambda text: say(f"{control.name} {seed}: {text}")
    ).go()
    earlier = viewers_in(args.earlier) if args.earlier else frozenset()
    videos = [video for spec in args.traces for video in watched_videos(spec, earlier)]
    (_, row) = scored(videos, {BASELINE: Static(), control.name: NetLLM("none", adapter=str(folder / LAST))})
    return {
        "control": control.name,
        "seed": seed,
        **conditions,
        "learned": adapted["learned"],
        "seconds": adapted["seconds"],
        **{name: row[name] for name in ("windows", "mae", "less_by_viewer", "less_by_video")},
    }


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each run, as Markdown."""
    lines = [
        "| control | seed | layers | steps | learned | seconds | MAE | less static, by viewer |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        mean, low, high = row["less_by_viewer"]
        lines.append(
            f"| {row['control']} | {row['seed']} | {row['layers']} | {row['steps']}"
            f" | {row['learned'] / 1e6:.2f} M | {row['seconds']:.0f} | {row['mae']:.3f}"
            f" | {mean:+.3f} [{low:+.3f}, {high:+.3f}] |"
        )
    return lines

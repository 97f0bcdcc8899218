"""`controls`: what the language model itself is worth: the same pool and number of steps without it.

Each control is an adaptation without rounds of its own, so that all learn from the very same sessions, and
each is scored as its last step left it: nothing is chosen. One line of `results.jsonl` for each; what stands
there is not run again (and must be of the same pool, steps and traces), and a control that was killed goes on
from its checkpoint.

    pretrained      LoRA on the first layers of the language model: what is shipped, without rounds
    random          the same shape and LoRA, weights drawn at random
    frozen          no LoRA: encoder and head alone learn
    frozen-random   the same on random weights
    scratch         a 2-layer transformer, width 256, from nothing, every weight learns
    modality-tokens a token for each modality
    task-prompt     words in front of the steps: task, goal, units
    full            no LoRA: every weight of the language model learns, at a tenth of the learning rate
    layers-N        4, 8, 15 and 30 layers, a third of the steps each
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from player.defaults import CHUNKS
from policies.bootstrap import mean_interval
from policies.llm.engine.engine import Engine
from policies.llm.learning import pool
from policies.llm.learning.adaptation import LAST, Adaptation
from policies.llm.learning.settings import LearningSettings
from policies.llm.model.shape import Shape
from policies.llm.studies.control_list import Control, controls_of
from policies.llm.studies.options import BASELINE
from policies.llm.task import task_named
from policies.llm.tasks.ladder.play import BATCH
from policies.llm.tasks.ladder.sets import SessionSet, engine_qoe, maker, played
from traces.files import growing, sync
from traces.ownership import make_directory
from traces.progress import say
from traces.safe_reading import read_json_lines

RESULTS = "results.jsonl"
SMALL = "hindsight"
"""The small network, the teacher itself, scored beside every control."""
CHECKS = 6
"""Looks at the validation traces."""


def run_one(control: Control, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """Adapt and score one control."""
    task, settings = task_named(args.task), settings_of(control, seed, args)
    shape = Shape(control.based(seed), **{"layers": 8} | control.shaped(task))
    folder = args.out / f"{control.name}-{seed}"
    adaptation = Adaptation(
        task, shape, args.pool, folder, settings, lambda text: say(f"{control.name} {seed}: {text}")
    )
    adapted = adaptation.go()
    engine = Engine(task, folder / LAST, slots=BATCH, max_steps=CHUNKS, threads=args.threads)
    log = list(read_json_lines(folder / "log.jsonl"))
    return {
        "control": control.name,
        "seed": seed,
        **conditions(control, args),
        "lr": settings.lr,
        "base": shape.base,
        "shape": asdict(shape),
        "objective": settings.objective,
        "loss": log[-1]["loss"],
        "validation": [entry["score"] for entry in log],
        "target": adapted["target"],
        "learned": adapted["learned"],
        "parameters": engine.info.parameters,
        "seconds": adapted["seconds"],
        "scores": dict(scored(engine, args)),
    }


def settings_of(control: Control, seed: int, args: argparse.Namespace) -> LearningSettings:
    """How a control is adapted."""
    steps = control.steps(args.steps)
    settings = LearningSettings(
        seed=seed,
        steps=steps,
        batch=args.batch,
        rounds=0,
        check_every=max(steps // CHECKS, 1),
        validation_sessions=args.validation_sessions,
        threads=args.threads,
    )
    return replace(settings, **control.settings)


def scored(engine: Engine, args: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each setting's name with what an engine is worth there."""
    for spec in args.traces:
        setting = SessionSet.on(spec, args.video)
        others = {name: played(setting, maker(name)).qoe for name in (BASELINE, SMALL)}
        qoe = engine_qoe(engine, setting)
        yield (
            setting.name,
            {
                "sessions": len(qoe),
                "less_robustmpc": mean_interval(qoe - others[BASELINE], setting.lines),
                "less_hindsight": mean_interval(qoe - others[SMALL], setting.lines),
                "gains": np.round(qoe - others[BASELINE], 4).tolist(),
            },
        )


def conditions(control: Control, args: argparse.Namespace) -> dict[str, Any]:
    """What a control's line has to say of how it was run for the line to stand in another one's place.

    Raises:
        OSError: no such pool.
    """
    manifest = (args.pool / pool.MANIFEST).read_bytes()
    return {
        "steps": control.steps(args.steps),
        "batch": args.batch,
        "pool": hashlib.sha256(manifest).hexdigest()[:12],
        "traces": list(args.traces),
        "video": args.video,
    }


def check_same(found: dict[str, Any], control: Control, args: argparse.Namespace) -> None:
    """Raise unless a line is of the run that is asked for; what a line does not say is not held against it.

    Raises:
        ValueError: names what differs.
    """
    for name, asked in conditions(control, args).items():
        if (was := found.get(name, asked)) != asked:
            raise ValueError(
                f"{args.out / RESULTS}: {control.name} {found['seed']} was run with {name} {was}, not {asked}"
                "; name another --out, or ask for the same"
            )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Run what is not yet in the results; what `--json` says. Without it the table is printed.

    Raises:
        ValueError: an unknown control, results of another run, and what `adapt` raises.
        OSError: something cannot be written.
    """
    known = {control.name: control for control in controls_of(task_named(args.task))}
    names = args.only.split(",") if args.only else list(known)
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"--only {unknown[0]}: no such control; there are {', '.join(known)}")
    make_directory(args.out)
    done = {(row["control"], row["seed"]): row for row in read(args.out)}
    wanted = [(name, seed) for seed in args.seeds for name in names]
    for name, seed in wanted:
        if (name, seed) in done:
            check_same(done[name, seed], known[name], args)
    for name, seed in wanted:
        if (name, seed) not in done:
            row = run_one(known[name], seed, args)
            with growing(args.out / RESULTS) as file:
                file.write(json.dumps(row) + "\n")
                sync(file)
    rows = read(args.out)
    if not args.json:
        for line in table(rows):
            print(line)
    return {"out": str(args.out / RESULTS), "runs": rows}


def read(folder: Path) -> list[dict[str, Any]]:
    """What has been found so far."""
    path = folder / RESULTS
    if not path.exists():
        return []
    return list(read_json_lines(path))


def table(rows: list[dict[str, Any]]) -> list[str]:
    """A line for each run, as Markdown."""
    if not rows:
        return []
    settings = list(dict.fromkeys(name for row in rows for name in row["scores"]))
    head = "| control | seed | steps | learned | seconds | loss |"
    lines = [head + "".join(f" {name}: gain over RobustMPC |" for name in settings)]
    lines.append("| --- " * (6 + len(settings)) + "|")
    for row in rows:
        line = (
            f"| {row['control']} | {row['seed']} | {row['steps']} | {row['learned'] / 1e6:.2f} M "
            f"| {row['seconds']:.0f} | {row['loss']:.3f} |"
        )
        for name in settings:
            if name not in row["scores"]:
                line += " - |"
                continue
            mean, low, high = row["scores"][name]["less_robustmpc"]
            line += f" {mean:+.3f} [{low:+.3f}, {high:+.3f}] |"
        lines.append(line)
    return lines

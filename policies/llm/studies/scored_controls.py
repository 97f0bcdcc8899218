"""Controls of a task that scores adapters in its own way: the same pool and steps without the language model.

Each control is scored as its last step left it: nothing is chosen. A line of `results.jsonl` for each; what
stands there is not run again, and a control that was killed goes on from its checkpoint.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from policies.llm.learning import pool
from policies.llm.learning.adaptation import LAST, Adaptation
from policies.llm.learning.settings import LearningSettings
from policies.llm.model.shape import Shape
from policies.llm.studies.control_list import Control, controls_of
from policies.llm.task import Task
from traces.files import growing, sync
from traces.ownership import make_directory
from traces.progress import say
from traces.safe_reading import read_json_lines

RESULTS = "results.jsonl"
LOOKS = 3
"""At the validation sessions."""
COLUMNS = ("control", "seed", "layers", "steps", "learned", "seconds")


class ScoredControls(ABC):
    """How a task scores its controls."""

    task: Task
    validation_sessions: int
    columns: tuple[str, ...]
    """Of a table, behind `COLUMNS`."""

    @abstractmethod
    def over(self, args: argparse.Namespace) -> dict[str, Any]:
        """What a line has to say of what it was scored over."""

    @abstractmethod
    def scored(self, name: str, adapter: Path, args: argparse.Namespace) -> dict[str, Any]:
        """What a line says of an adapter's scores."""

    @abstractmethod
    def cells(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        """Of `columns`."""

    def run(self, args: argparse.Namespace) -> dict[str, Any]:
        """Run what is not yet in the results; what `--json` says. Without it the table is printed.

        Raises:
            ValueError: an unknown control, results of another run, and what `adapt` raises.
            OSError: something cannot be written.
        """
        known = {control.name: control for control in controls_of(self.task)}
        names = args.only.split(",")
        if unknown := [name for name in names if name not in known]:
            raise ValueError(f"--only {unknown[0]}: no such control; there are {', '.join(known)}")
        make_directory(args.out)
        path = args.out / RESULTS
        rows = list(read_json_lines(path)) if path.exists() else []
        done = {(row["control"], row["seed"]) for row in rows}
        for row in rows:
            self._check_same(row, known[row["control"]], args)
        for seed in args.seeds:
            for name in names:
                if (name, seed) not in done:
                    rows.append(self._run_one(known[name], seed, args))
                    with growing(path) as file:
                        file.write(json.dumps(rows[-1]) + "\n")
                        sync(file)
        if not args.json:
            for line in self.table(rows):
                print(line)
        return {"out": str(path), "runs": rows}

    def table(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        """A line for each run, as Markdown."""
        columns = (*COLUMNS, *self.columns)
        lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
        for row in rows:
            known = [str(row[name]) for name in COLUMNS[:4]]
            cells = (*known, f"{row['learned'] / 1e6:.2f} M", f"{row['seconds']:.0f}", *self.cells(row))
            lines.append(f"| {' | '.join(cells)} |")
        return lines

    def _conditions(self, control: Control, args: argparse.Namespace) -> dict[str, Any]:
        """What a line has to say of how it was run for it to stand in another one's place."""
        manifest = (args.pool / pool.MANIFEST).read_bytes()
        layers = control.shape.get("layers", args.layers)
        return {
            "steps": control.steps(args.steps),
            "batch": args.batch,
            "layers": layers,
            "pool": hashlib.sha256(manifest).hexdigest()[:12],
            **self.over(args),
        }

    def _check_same(self, row: Mapping[str, Any], control: Control, args: argparse.Namespace) -> None:
        for name, asked in self._conditions(control, args).items():
            if row.get(name) != asked:
                raise ValueError(
                    f"{args.out / RESULTS}: {control.name} {row['seed']} was run with {name} {row.get(name)},"
                    f" not {asked}; name another --out, or ask for the same"
                )

    def _run_one(self, control: Control, seed: int, args: argparse.Namespace) -> dict[str, Any]:
        conditions = self._conditions(control, args)
        settings = LearningSettings(
            **{
                "seed": seed,
                "steps": conditions["steps"],
                "batch": args.batch,
                "rounds": 0,
                "check_every": max(conditions["steps"] // LOOKS, 1),
                "threads": args.threads,
                "validation_sessions": self.validation_sessions,
                **control.settings,
            }
        )
        shape = Shape(control.based(seed), **{"layers": args.layers} | control.shaped(self.task))
        folder = args.out / f"{control.name}-{seed}"
        adapted = Adaptation(
            self.task, shape, args.pool, folder, settings, lambda text: say(f"{control.name} {seed}: {text}")
        ).go()
        return {
            "control": control.name,
            "seed": seed,
            **conditions,
            "learned": adapted["learned"],
            "seconds": adapted["seconds"],
            **self.scored(control.name, folder / LAST, args),
        }

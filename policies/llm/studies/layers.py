"""`layers`: how many of a language model's layers a decision needs, at equal and at sufficient steps.

Each number of layers is adapted on one pool with as many steps as the others, and once more with `--enough`.
What the last quarter of those still brought is said beside the score. A line in `results.jsonl` for each run;
the same command goes on where it was killed.
"""

from __future__ import annotations

import argparse
from typing import Any

from policies.llm.model.base import placed
from policies.llm.model.shape import Shape
from policies.llm.studies.pool_runs import StudyResult, StudyRun, studied

EQUAL, ENOUGH = "equal steps", "sufficient steps"
FIGURE = "layers.png"
LOOKS = 4
"""At the validation sessions, so that it can be told what the last quarter brought."""


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Run what is not yet in the results; what `--json` says. Without it the table is printed.

    Raises:
        ValueError: results of another run, and what `adapt` raises.
        OSError: something cannot be written.
    """
    if args.enough < args.steps:
        raise ValueError(f"--enough {args.enough}: fewer steps than --steps {args.steps}; name more")
    base = placed(args.base)
    named = {EQUAL: args.steps, ENOUGH: args.enough} if args.enough > args.steps else {EQUAL: args.steps}
    runs = {
        (name, layers): [
            StudyRun(f"layers-{layers}", _shape(base, layers, args), seed, steps, looks=LOOKS)
            for seed in args.seeds
        ]
        for name, steps in named.items()
        for layers in args.layers
    }
    found = studied(runs, args, FIGURE, "layers")
    if not args.json:
        last = list(named)[-1]
        print("\n".join(table(found, [found.rows_of(runs[last, layers]) for layers in args.layers])))
        print(f"figure: {found.figure}")
    return found.to_json("layers")


def _shape(base: str, layers: int, args: argparse.Namespace) -> Shape:
    return Shape(base, layers, rank=args.rank, alpha=2.0 * args.rank, hidden=args.hidden)


def table(found: StudyResult, last: list[list[dict[str, Any]]]) -> list[str]:
    """A line for each number of layers, as Markdown.

    Args:
        last: of each number, the lines of its longest runs.
    """
    lines = [
        "| layers |"
        + "".join(f" {name} |" for name in found.scores)
        + " the last quarter brought | seconds |",
        "| --- " * (3 + len(found.scores)) + "|",
    ]
    first = next(iter(found.scores.values()))
    for place, ((layers, _), rows) in enumerate(zip(first, last, strict=True)):
        scores = [points[place][1] for points in found.scores.values()]
        cells = "".join(f" {each.mean:+.3f} [{each.low:+.3f}, {each.high:+.3f}] |" for each in scores)
        risen = sum(row["checks"][-1] - row["checks"][-2 if len(row["checks"]) > 1 else -1] for row in rows)
        seconds = sum(row["seconds"] for row in rows) / len(rows)
        lines.append(f"| {layers:g} |{cells} {risen / len(rows):+.3f} | {seconds:.0f} |")
    return lines

"""`efficiency`: how much data a language model saves: the same few sessions with and without what it knows.

    pretrained   LoRA on the first layers of the language model
    random       the same shape and LoRA, weights drawn at random
    frozen       no LoRA: encoder and head alone learn
    scratch      a 2-layer transformer, width 256, from nothing, every weight learns

Each on shares of one pool, with several seeds, which also draw the share. A table, a figure with intervals,
and a line in `results.jsonl` for each run; the same command goes on where it was killed. What the first kind
has more than the others is paired by seed and session: its intervals are narrower than those of the scores.
"""

from __future__ import annotations

import argparse
from typing import Any

from policies.llm.model.base import placed
from policies.llm.model.shape import FROZEN, FULL, LORA, Shape
from policies.llm.studies.pool_runs import StudyResult, StudyRun, studied

PRETRAINED, RANDOM, FROZEN_BASE, SCRATCH = "pretrained", "random", "frozen", "scratch"
KINDS = (PRETRAINED, RANDOM, FROZEN_BASE, SCRATCH)
FIGURE = "efficiency.png"


def shape_of(kind: str, seed: int, args: argparse.Namespace) -> Shape:
    """What a kind is made of; random weights are drawn anew for each seed."""
    if kind == SCRATCH:
        return Shape(f"scratch:2x256:{seed}", 2, train=FULL, hidden=args.hidden)
    base = placed(args.base)
    if kind == RANDOM:
        base = f"random:{seed}:{base}"
    train = FROZEN if kind == FROZEN_BASE else LORA
    return Shape(base, args.layers, train, args.rank, 2.0 * args.rank, hidden=args.hidden)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Run what is not yet in the results; what `--json` says. Without it the table is printed.

    Raises:
        ValueError: no such kind, results of another run, and what `adapt` raises.
        OSError: something cannot be written.
    """
    kinds = args.only.split(",") if args.only else list(KINDS)
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise ValueError(f"--only {unknown[0]}: no such kind; there are {', '.join(KINDS)}")
    runs = {
        (kind, percent): [
            StudyRun(kind, shape_of(kind, seed, args), seed, args.steps, percent) for seed in args.seeds
        ]
        for percent in args.percent
        for kind in kinds
    }
    found = studied(runs, args, FIGURE, "% of the pool", log=True)
    if not args.json:
        print("\n".join(table(found)))
        print(f"figure: {found.figure}")
    return found.to_json("percent")


def table(found: StudyResult) -> list[str]:
    """A line for each kind, a column for each share, as Markdown."""
    percents = [percent for percent, _ in next(iter(found.scores.values()))]
    sessions = {row["percent"]: row["sessions"] for row in found.rows}
    head = "".join(f" {percent:g} % ({sessions[percent]} sessions) |" for percent in percents)
    lines = [f"| |{head}", "| --- " * (1 + len(percents)) + "|"]
    first = next(iter(found.scores))
    rows = found.scores | {f"{first} - {kind}": points for kind, points in found.behind.items()}
    for kind, points in rows.items():
        cells = "".join(f" {each.mean:+.3f} [{each.low:+.3f}, {each.high:+.3f}] |" for _, each in points)
        lines.append(f"| {kind} |{cells}")
    teacher = found.rows[0]["teacher_score"]
    if teacher is not None:
        lines.append(f"The teacher has {teacher:+.3f}. Intervals draw seeds and sessions.")
    return lines

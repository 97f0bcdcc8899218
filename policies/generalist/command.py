"""`generalist`: is one LoRA for all tasks as good as one a task, and does it help another task?

    own        encoder, LoRA and head of one task
    shared     one LoRA, and an encoder and a head a task; batches alternate between the tasks
    transfer   LoRA of the other tasks, frozen; encoder and head of the last on 1, 10 and 100 % of its pool

with pre-trained, random and frozen weights, two layers from scratch, and the small nets that ship. Every run
has a file of rows; table, figure and verdict are made of those alone, and say what is missing.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from policies.generalist import rows, table, verdict
from policies.generalist.options import FIGURE
from policies.generalist.plan import planned
from policies.generalist.rows import Rows, RowsError


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Table, figure or runs; what `--json` says. Without it the table is printed.

    Raises:
        RowsError: no rows, or of another study.
        ValueError: what learning raises.
        OSError: something cannot be written.
    """
    if args.action == "run":
        found = _run(args)
    else:
        places = [*([args.out] if args.out is not None else []), *args.rows] or [rows.SHIPPED]
        found = rows.read(*places)
    if not found.runs:
        raise RowsError(f"{args.out or rows.SHIPPED}: no rows; make some with: generalist run --pool DIR …")
    if args.into is not None:
        rows.write_all(args.into, found)
    drawn = _drawn(found, args) if args.action == "figure" else None
    if not args.json:
        print("\n".join(table.lines(found)) if drawn is None else f"figure: {drawn}")
    return {
        "figure": None if drawn is None else str(drawn),
        "verdicts": {each.claim: each.word for each in (verdict.generalist(found), verdict.transfer(found))},
        "runs": [
            {name: value for name, value in asdict(row).items() if name not in ("gains", "conditions")}
            for row in found.runs
        ],
    }


def _run(args: argparse.Namespace) -> Rows:
    from policies.generalist.lessons import lessons_of
    from policies.generalist.running import HowRun, carried_out
    from policies.llm.model.base import placed

    if args.out is None or not args.pool:
        raise RowsError("generalist run: name the pools, --pool DIR …, and where runs go, --out DIR")
    how = HowRun(
        placed(args.base),
        args.layers,
        args.rank,
        args.hidden,
        args.steps,
        args.tokens,
        args.judged,
        args.threads,
    )
    lessons = lessons_of(args.pool, args.tokens, args.judged, how.settings(args.seeds[0]))
    runs = [each for each in planned(tuple(lessons), args.seeds, args.percent) if args.only in each.key]
    return carried_out(runs, lessons, how, args.out, args.rows)


def _drawn(found: Rows, args: argparse.Namespace) -> Path:
    from policies.generalist.figure import draw

    path: Path = args.plot or (args.out or Path()) / FIGURE
    draw(found, path)
    return path

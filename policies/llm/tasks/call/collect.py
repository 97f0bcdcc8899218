"""`collect --task call`: simulated calls, and what the teacher would send at every decision.

The teacher (`teacher.py`) says its rate in any state, so anybody may drive: GCC, the small net, and its own
rate gone astray. Members of families whose number is `HELD_OUT` times something are kept to
choose by.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from player.call.settings import CallSettings
from player.call.simulated.batch import SimulatedCalls
from policies.call.gcc import GCC
from policies.call.small.collect import (
    GROUP,
    Drives,
    by_oracle_astray,
    by_rule,
    drawn_link,
    drawn_path,
)
from policies.call.small.policy import Small
from policies.llm.learning import pool
from policies.llm.learning.pool import Experience
from policies.llm.tasks.call.play import EngineRates, in_parts, watch
from policies.llm.tasks.call.task import TASK
from policies.llm.tasks.call.teacher import teacher_of
from traces.families.catalogue import resolve_many
from traces.ownership import make_directory
from traces.progress import say
from traces.trace import Trace

HELD_OUT = 5
PLAYERS = ("gcc", "small", "astray")
Makes = Callable[[int], Drives | EngineRates]
"""(calls of a group) who drives it."""


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Collect; what `--json` says.

    Raises:
        TraceError, ValueError: something is not there.
        OSError: the pool cannot be written.
    """
    learned, _ = traces_of(args.traces)
    call = CallSettings(duration_s=args.duration_s, warm_up_s=0.0)
    make_directory(args.out)
    (args.out / pool.MANIFEST).unlink(missing_ok=True)
    parts, counts = [], {}
    for number, name in enumerate(PLAYERS):
        mine = args.sessions * (number + 1) // len(PLAYERS) - args.sessions * number // len(PLAYERS)
        random = np.random.default_rng([args.seed, number])
        makes = _makes(name, call, random)
        part = calls_of(learned, call, mine, random, makes, args.teacher, args.threads)
        parts.append(f"{number}-{name}.npz")
        pool.write_part(args.out / parts[-1], part)
        counts[name] = len(part)
        say(f"{name}: {len(part)} calls of {call.duration_s:g} s")
    facts = {
        "traces": args.traces,
        "duration_s": args.duration_s,
        "seed": args.seed,
        "teacher": args.teacher,
        "policies": counts,
        "parts": parts,
    }
    pool.write_manifest(args.out, facts, TASK)
    return {"out": str(args.out), "sessions": sum(counts.values()), "policies": counts}


def traces_of(specs: Sequence[str]) -> tuple[list[Trace], list[Trace]]:
    """Those to learn on, and those that choose.

    Raises:
        TraceError: something is not there.
        ValueError: too few, so that one of both would be none.
    """
    learned: list[Trace] = []
    kept: list[Trace] = []
    for spec in specs:
        for place, trace in enumerate(resolve_many(spec)):
            (kept if place % HELD_OUT == 0 else learned).append(trace)
    if not learned:
        raise ValueError(f"--traces {' '.join(specs)}: every fifth is held out; give two or more of each")
    return learned, kept


def calls_of(
    traces: Sequence[Trace],
    call: CallSettings,
    count: int,
    random: np.random.Generator,
    makes: Makes,
    teacher: str,
    threads: int,
) -> Experience:
    """So many calls over drawn traces and paths, each from a drawn moment, in groups of one path."""
    parts = []
    for group in in_parts(count, GROUP):
        places = random.integers(len(traces), size=len(group))
        drawn = [drawn_link(traces[place], random) for place in places]
        starts = [float(random.uniform(0.0, trace.duration_s)) for trace in drawn]
        seeds = random.integers(1 << 62, size=len(group))
        calls = SimulatedCalls(call, drawn, drawn_path(random), seeds, starts, threads)
        drives = makes(len(group))
        parts.append(watch(calls, drives, teacher_of(teacher, calls)))
        if isinstance(drives, EngineRates):
            drives.close()
    return Experience.joined(parts)


def _makes(name: str, call: CallSettings, random: np.random.Generator) -> Makes:
    if name == "astray":
        return partial(by_oracle_astray, random)
    rule = (Small() if name == "small" else GCC()).compiled_rule()
    return partial(by_rule, rule, call)

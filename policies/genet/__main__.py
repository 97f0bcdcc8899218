"""`python -m policies.genet`: train the network, or score a weight file beside the rules.

    python -m policies.genet train --seeds 1,2,3            the shipped weights' recipe (resumes by itself)
    python -m policies.genet train --udr --seeds 1,2,3      the same budget without the curriculum
    python -m policies.genet train --traces my/logs         with logs of one's own in the mix
    python -m policies.genet score --traces my/logs         means with intervals, and paired differences

Exit status: 0 done, 2 bad input, 130 interrupted (the same command goes on from the last iteration).
"""

from __future__ import annotations

if __name__ == "__main__":
    from traces.handover import hand_over

    hand_over()

    from policies.genet.command_line import parser

    parser().parse_args()  # help and mistakes don't wait for the imports that follow

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from player.video.built_in import load_video
from player.video.video import Video, VideoError
from policies.bootstrap import percentile_interval
from policies.genet.command_line import BASELINES, PROG, parser
from policies.genet.inputs import LEVELS, TOP_KBPS
from policies.genet.net import PensieveNetError, read
from policies.genet.policy import UDR, WEIGHTS, Genet
from policies.genet.score import Chooser, by_actor, by_baseline, over_traces
from traces.commands import carried_out, exit_with
from traces.families.catalogue import resolve_many
from traces.totals import running_total
from traces.trace import TraceError

if TYPE_CHECKING:
    from policies.genet.train import GenetSettings

SHIPPED = {"genet": Genet.shipped, "udr": UDR.shipped}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    top = parser()
    options = top.parse_args(arguments)
    return carried_out(
        PROG,
        lambda: _train(top, options) if options.command == "train" else _score(options),
        (TraceError, VideoError, PensieveNetError, ValueError),
        interrupted="interrupted; the same command goes on from the last iteration",
    )


def _seeds(top: argparse.ArgumentParser, options: argparse.Namespace) -> list[int]:
    if options.seeds is not None and options.seed is not None:
        top.error("--seed and --seeds: give one of them")
    try:
        return [int(word) for word in (options.seeds or str(options.seed or 1)).split(",")]
    except ValueError:
        top.error(f"--seeds {options.seeds}: expected whole numbers by commas, such as 1,2,3")


def _train(top: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    for name, least in (("iterations", 1), ("sessions", 1), ("trials", 1), ("members", 1)):
        value = getattr(options, name)
        if value is not None and value < least:
            top.error(f"--{name} {value}: must be {least} or more")
    seeds = _seeds(top, options)
    from policies.genet.train import GenetRun

    kind = "udr" if options.udr else "genet"
    results = []
    for seed in seeds:
        run = GenetRun(_settings(options, seed), options.out / f"{kind}-seed{seed}", _sayer(kind, seed))
        results.append(asdict(run.carry_out()))
    scores = [result["score"] for result in results]
    spread = float(np.std(scores, ddof=1)) if len(scores) > 1 else None
    if options.json:
        mean = running_total(scores) / len(scores)
        print(json.dumps({"kind": kind, "runs": results, "mean": mean, "deviation": spread}))
        return 0
    _print_runs(kind, results, scores, spread)
    return 0


def _settings(options: argparse.Namespace, seed: int) -> GenetSettings:
    from policies.genet.train import GenetSettings

    return GenetSettings(
        seed=seed,
        udr=options.udr,
        traces=tuple(options.traces),
        baseline=options.baseline,
        warm_start=not options.no_warm_start,
        iterations=options.iterations,
        sessions=options.sessions,
        trials=options.trials,
        members=options.members,
        families=tuple(options.families.split(",")),
    )


def _sayer(kind: str, seed: int) -> Callable[[str], None]:
    return lambda line: print(f"{kind} seed {seed}: {line}", file=sys.stderr, flush=True)


def _print_runs(
    kind: str, results: list[dict[str, Any]], scores: Sequence[float], spread: float | None
) -> None:
    sets = list(results[0]["scores"])
    print(f"mean QoE a chunk (linear, mu 4.3) on validation traces; {kind}, chosen checkpoint of each seed")
    for result in results:
        row = ", ".join(f"{name} {result['scores'][name]:.3f}" for name in sets)
        print(
            f"  seed {result['seed']}: {result['score']:.4f} ({row}), iteration {result['best_iteration']}, "
            f"{result['spent_s'] / 60:.0f} min of a core, {result['weights']}"
        )
    if spread is not None:
        mean = running_total(scores) / len(scores)
        print(f"  {len(scores)} seeds: {mean:.4f} +- {spread:.4f} (standard deviation)")
    for rule, means in results[0]["baselines"].items():
        row = ", ".join(f"{name} {means[name]:.3f}" for name in sets)
        print(f"  {rule}: {running_total(means.values()) / len(means):.4f} ({row})")


def _score(options: argparse.Namespace) -> int:
    video = load_video(options.video)
    if video.levels != LEVELS or video.ladder_kbps[-1] != TOP_KBPS:
        raise ValueError(f"{video.name}: its ladder is not 6 levels up to {TOP_KBPS} kbit/s; use simulate.py")
    choosers: dict[str, Chooser] = {
        name: by_actor(read(WEIGHTS / SHIPPED[name] if name in SHIPPED else Path(name)))
        for name in options.weights
    } | {rule: by_baseline(rule) for rule in BASELINES}
    tables = {spec: _table(spec, video, choosers) for spec in options.traces}
    if options.json:
        print(json.dumps({"qoe": {"kind": "linear", "mu": 4.3}, "video": video.name, "traces": tables}))
        return 0
    for spec, table in tables.items():
        print(f"{spec}: {table['sessions']} sessions, {video.name}; mean QoE a chunk [bootstrap 95 %]")
        for name, row in table["policies"].items():
            low, high = row["qoe_ci95"]
            line = f"  {name}: {row['qoe']:.3f} [{low:.3f}, {high:.3f}]"
            if name not in BASELINES:
                low, high = row["less_robustmpc_ci95"]
                line += f"; less robustmpc {row['less_robustmpc']:+.3f} [{low:+.3f}, {high:+.3f}]"
            print(line)
    return 0


def _table(spec: str, video: Video, choosers: dict[str, Chooser]) -> dict[str, Any]:
    traces = resolve_many(spec)
    means = {name: over_traces(traces, video, choose) for name, choose in choosers.items()}
    rows: dict[str, dict[str, Any]] = {}
    for name, values in means.items():
        rows[name] = {"qoe": float(values.mean()), "qoe_ci95": list(percentile_interval(values))}
        if name not in BASELINES:
            ahead = values - means["robustmpc"]
            rows[name] |= {
                "less_robustmpc": float(ahead.mean()),
                "less_robustmpc_ci95": list(percentile_interval(ahead)),
            }
    return {"sessions": len(traces), "policies": rows}


if __name__ == "__main__":
    exit_with(main)

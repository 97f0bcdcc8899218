"""`scale`: QoE on seen and unseen settings, and the time of a decision, against the number of layers.

Takes adapters that differ in their layers (or their base): what `adapt` or `controls` made. The question is
Trailblazer's "early saturation": from how many layers on does more of the model bring nothing.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from player.simulated.batch.library import Floats
from policies.bootstrap import mean_interval
from policies.llm.engine.engine import Engine
from policies.llm.tasks.ladder.sets import SessionSet, engine_qoe, maker, played
from policies.llm.tasks.ladder.task import TASK
from traces.files import aside
from traces.progress import say

BASELINE = "robustmpc"
TIMED = 40


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Play and time every adapter; what `--json` says.

    Raises:
        ValueError, OSError: something named can't be used.
    """
    settings = {
        name: SessionSet.on(spec, video)
        for name, spec, video in (
            ("seen", args.seen, args.seen_video),
            ("unseen", args.unseen, args.unseen_video),
        )
    }
    baselines = {name: played(each, maker(BASELINE)).qoe for name, each in settings.items()}
    rows = []
    for folder in args.adapters:
        engine = Engine(TASK, folder.absolute(), device=args.device, threads=args.threads)
        row = {"adapter": str(folder), **row_of(engine, settings, baselines)}
        rows.append(row)
        say(
            f"{row['base']}, {row['layers']} layers: {row['decision_ms']:.1f} ms;"
            + ";".join(f" {name} {_shown(row[name])}" for name in settings)
        )
    rows.sort(key=lambda row: row["parameters"])
    report = {"rows": rows, "baseline": BASELINE, "settings": {k: v.name for k, v in settings.items()}}
    if args.plot is not None:
        draw(report, args.plot)
    return report


def row_of(engine: Engine, settings: dict[str, SessionSet], baselines: dict[str, Floats]) -> dict[str, Any]:
    """One adapter's figures."""
    row: dict[str, Any] = {
        "base": engine.info.base,
        "layers": engine.info.layers,
        "parameters": engine.info.parameters,
        "device": engine.info.device,
        "decision_ms": decision_ms(engine),
    }
    for name, setting in settings.items():
        qoe = engine_qoe(engine, setting)
        mean, low, high = mean_interval(qoe - baselines[name], setting.lines)
        row[name] = {"qoe": float(qoe.mean()), "gain": mean, "gain_ci95": [low, high]}
    return row


def _shown(scores: dict[str, Any]) -> str:
    low, high = scores["gain_ci95"]
    return f"QoE {scores['qoe']:.3f}, minus {BASELINE} {scores['gain']:+.3f} [{low:+.3f}, {high:+.3f}]"


def decision_ms(engine: Engine) -> float:
    """Median of one session's decisions, each of one new step, over a session's length."""
    slot, took = engine.open(), []
    step = np.zeros((1, engine.info.feature_width), np.float32)
    for _ in range(TIMED):
        begun_s = time.perf_counter()
        engine.forward([(slot, step)])
        took.append(1000.0 * (time.perf_counter() - begun_s))
    engine.close(slot)
    return median(took)


def draw(report: dict[str, Any], path: Path) -> None:
    """QoE gained, and time, against layers.

    Raises:
        OSError: it can't be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    gain = figure.subplots()
    layers = [row["layers"] for row in report["rows"]]
    for name, colour in (("seen", "#0072B2"), ("unseen", "#D55E00")):
        means = np.array([row[name]["gain"] for row in report["rows"]])
        bounds = np.array([row[name]["gain_ci95"] for row in report["rows"]])
        errors = np.abs(bounds.T - means)
        gain.errorbar(layers, means, errors, color=colour, marker="o", capsize=2, linewidth=1, label=name)
    gain.axhline(0.0, color="0.6", linewidth=0.8)
    gain.set_xlabel("layers")
    gain.set_ylabel(f"QoE a chunk more than {report['baseline']}")
    times = gain.twinx()
    times.plot(layers, [row["decision_ms"] for row in report["rows"]], ":", color="0.4", marker=".")
    times.set_ylabel("decision (ms, dotted)")
    times.set_ylim(bottom=0.0)
    gain.legend(fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    with aside(path, keep_suffix=True) as partial:
        figure.savefig(partial, dpi=150)

"""Adaptations of a study, each in a folder of its own: none is done twice, and what was killed goes on.

All learn from one pool, or from a share of it, without rounds of their own, and are scored as their last step
left them: nothing is chosen. A line of `results.jsonl` for each, with what every validation session gained.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from policies.bootstrap import EDGES
from policies.llm.learning import pool
from policies.llm.learning.adaptation import LOG, Adaptation
from policies.llm.learning.course import Course, Floats, Imitation
from policies.llm.learning.pool import Experience
from policies.llm.learning.settings import LearningSettings
from policies.llm.model.shape import Shape
from policies.llm.task import Task, task_named
from traces.files import aside, growing, sync
from traces.ownership import make_directory
from traces.progress import say
from traces.safe_reading import read_json_lines

RESULTS, POOLS, PART = "results.jsonl", "pools", "part.npz"
RESAMPLES = 2_000


@dataclass(frozen=True)
class StudyRun:
    """One adaptation."""

    name: str
    """What is studied: which model, or how many layers."""
    shape: Shape
    seed: int
    steps: int
    percent: float = 100.0
    """Of the pool's sessions."""
    looks: int = 1
    """At the validation sessions, evenly over the steps; the last one counts."""

    @property
    def key(self) -> str:
        """Its folder."""
        return f"{self.name}-{self.percent:g}-{self.steps}-{self.seed}"


@dataclass(frozen=True)
class SeedsScore:
    """What runs that differ in their seed come to."""

    mean: float
    low: float
    high: float
    """The middle 95 % when seeds and validation sessions are drawn anew."""
    seeds: int


@dataclass(frozen=True)
class StudyResult:
    """What lines of runs come to, drawn."""

    figure: Path
    rows: tuple[dict[str, Any], ...]
    """As `results.jsonl` has them."""
    scores: dict[str, list[tuple[float, SeedsScore]]]
    """Of each line, along x."""
    behind: dict[str, list[tuple[float, SeedsScore]]]
    """What the first line has more than each other one, same seeds and sessions."""

    def rows_of(self, runs: Sequence[StudyRun]) -> list[dict[str, Any]]:
        """The lines of some runs."""
        by_key = {row["key"]: row for row in self.rows}
        return [by_key[each.key] for each in runs]

    def to_json(self, x: str) -> dict[str, Any]:
        """What `--json` says.

        Args:
            x: what is varied along a line.
        """
        return {
            "figure": str(self.figure),
            "runs": [{name: value for name, value in row.items() if name != "gains"} for row in self.rows],
            "scores": _by_line(self.scores, x),
            "behind": _by_line(self.behind, x),
        }


def _by_line(lines: Mapping[str, Sequence[tuple[float, SeedsScore]]], x: str) -> dict[str, Any]:
    return {line: [{x: at, **asdict(score)} for at, score in points] for line, points in lines.items()}


def studied(
    runs: Mapping[tuple[str, float], Sequence[StudyRun]],
    args: argparse.Namespace,
    figure: str,
    x_label: str,
    *,
    log: bool = False,
) -> StudyResult:
    """Run what is not yet in the results, score it, and draw it.

    Args:
        runs: by line and x, those that differ in their seed.
        args: as of `carried_out`, and `seeds`, `steps`.
        figure: the file's name.

    Raises:
        ValueError, OSError: as of `carried_out`.
    """
    course = course_of(args)
    rows = carried_out([each for some in runs.values() for each in some], args)
    result = StudyResult(args.out / figure, tuple(rows), {}, {})
    scores: dict[str, list[tuple[float, SeedsScore]]] = {}
    behind: dict[str, list[tuple[float, SeedsScore]]] = {}
    first = next(iter(runs), ("", 0.0))[0]
    for (line, at), some in runs.items():
        mine = result.rows_of(some)
        scores.setdefault(line, []).append((at, scores_of(mine, course.score)))
        if line != first and (first, at) in runs:
            less = less_than(result.rows_of(runs[first, at]), mine)
            behind.setdefault(line, []).append((at, scores_of(less, course.score)))
    draw_lines(scores, result.figure, x_label, log=log)
    return replace(result, scores=scores, behind=behind)


def less_than(rows: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What runs gain more than those of the same seeds, session by session, as `scores_of` takes them."""
    return [
        {
            "score": mine["score"] - their["score"],
            "gains": {
                name: np.subtract(each, their["gains"][name]).tolist() for name, each in mine["gains"].items()
            },
        }
        for mine, their in zip(rows, other, strict=True)
    ]


def carried_out(runs: Sequence[StudyRun], args: argparse.Namespace) -> list[dict[str, Any]]:
    """All runs' lines, those run that are not there yet.

    Args:
        args: `task`, `pool`, `out`, `batch`, `validation_sessions`, `threads`.

    Raises:
        ValueError: lines of another pool or of other settings, and what `adapt` raises.
        OSError: something cannot be written.
    """
    task = task_named(args.task)
    make_directory(args.out)
    done = {row["key"]: row for row in _read(args.out)}
    for run in runs:
        if run.key in done:
            _check_same(done[run.key], _conditions(run, args), args.out)
    for run in runs:
        if run.key not in done:
            done[run.key] = _run_one(run, task, args)
            with growing(args.out / RESULTS) as file:
                file.write(json.dumps(done[run.key]) + "\n")
                sync(file)
    return [done[run.key] for run in runs]


def _read(folder: Path) -> list[dict[str, Any]]:
    path = folder / RESULTS
    return list(read_json_lines(path)) if path.exists() else []


def _run_one(run: StudyRun, task: Task, args: argparse.Namespace) -> dict[str, Any]:
    folder = shared_out(args.pool, args.out / POOLS, task, run.percent, run.seed)
    mine = args.out / run.key
    adaptation = Adaptation(
        task,
        run.shape,
        folder,
        mine,
        _settings(run.seed, run.steps, run.looks, args),
        lambda text: say(f"{run.key}: {text}"),
    )
    report = adaptation.go()
    gains = adaptation.last_gains()
    row = _conditions(run, args) | {
        "sessions": len(adaptation.experience),
        "score": adaptation.course.score(gains),
        "teacher_score": report["teacher_score"],
        "learned": report["learned"],
        "seconds": report["seconds"],
        "checks": [entry["score"] for entry in read_json_lines(mine / LOG)],
        "gains": {name: np.round(each, 4).tolist() for name, each in gains.items()},
    }
    say(f"{run.key}: score {row['score']:.4f}")
    return row


def _settings(seed: int, steps: int, looks: int, args: argparse.Namespace) -> LearningSettings:
    return LearningSettings(
        seed=seed,
        steps=steps,
        batch=args.batch,
        rounds=0,
        check_every=max(steps // looks, 1),
        validation_sessions=args.validation_sessions,
        threads=args.threads,
    )


def _conditions(run: StudyRun, args: argparse.Namespace) -> dict[str, Any]:
    """What a line has to say of how it was run for the line to stand in another one's place."""
    return {
        "key": run.key,
        "name": run.name,
        "percent": run.percent,
        "seed": run.seed,
        "steps": run.steps,
        "task": args.task,
        "pool": hashlib.sha256((args.pool / pool.MANIFEST).read_bytes()).hexdigest()[:12],
        "batch": args.batch,
        "validation_sessions": args.validation_sessions,
        "shape": asdict(run.shape),
    }


def _check_same(found: Mapping[str, Any], asked: Mapping[str, Any], out: Path) -> None:
    """Raises ValueError where a line is of another run than the one that is asked for."""
    for name, value in asked.items():
        if found.get(name) != value:
            raise ValueError(
                f"{out / RESULTS}: {asked['key']} was run with {name} {found.get(name)}, not {value}"
                "; name another --out, or ask for the same"
            )


def shared_out(folder: Path, pools: Path, task: Task, percent: float, seed: int) -> Path:
    """The pool, or a pool of a share of its sessions: with one seed a larger share holds the smaller ones.

    Raises:
        PoolError: there is no such pool.
        OSError: it cannot be written.
    """
    if percent >= 100.0:
        return folder
    out = pools / f"{percent:g}-{seed}"
    if (out / pool.MANIFEST).exists():
        return out
    held, facts = pool.read(folder, task)
    order = np.random.default_rng([seed, 0x5EED]).permutation(len(held))
    kept = np.sort(order[: max(round(len(held) * percent / 100.0), 1)])
    make_directory(out)
    pool.write_part(out / PART, Experience(**{name: value[kept] for name, value in vars(held).items()}))
    pool.write_manifest(out, facts | {"parts": [PART], "percent": percent, "drawn_with": seed}, task)
    return out


def scores_of(
    rows: Sequence[Mapping[str, Any]], score: Callable[[Mapping[str, Floats]], float]
) -> SeedsScore:
    """The mean score of runs that differ in their seed, with its interval.

    Args:
        score: says what gains of validation sessions come to, as a course does.
    """
    gains = [{name: np.array(each) for name, each in row["gains"].items()} for row in rows]
    random = np.random.default_rng(len(rows))
    means = [np.mean([score(each) for each in _drawn(gains, random)]) for _ in range(RESAMPLES)]
    low, high = np.quantile(means, EDGES)
    return SeedsScore(float(np.mean([row["score"] for row in rows])), float(low), float(high), len(rows))


def _drawn(gains: Sequence[Mapping[str, Floats]], random: np.random.Generator) -> Iterator[dict[str, Floats]]:
    """As many seeds as there are, drawn anew, all over the same drawn sessions."""
    places = {name: random.integers(len(each), size=len(each)) for name, each in gains[0].items()}
    for which in random.integers(len(gains), size=len(gains)):
        yield {name: each[places[name]] for name, each in gains[which].items()}


def course_of(args: argparse.Namespace) -> Course:
    """The course of a pool's task, its validation sessions drawn.

    Raises:
        PoolError, AdaptError: there is none.
    """
    task = task_named(args.task)
    held, facts = pool.read(args.pool, task)
    course: Course = task.course(facts) or Imitation(task, facts)
    course.begin(held, _settings(args.seeds[0], args.steps, 1, args))
    return course


def draw_lines(
    lines: Mapping[str, Sequence[tuple[float, SeedsScore]]], path: Path, x_label: str, *, log: bool
) -> None:
    """A figure of scores with their intervals, a line each.

    Raises:
        OSError: it can't be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    for place, (name, points) in enumerate(lines.items()):
        where = [x for x, _ in points]
        means = np.array([score.mean for _, score in points])
        errors = [
            np.maximum(means - [score.low for _, score in points], 0.0),
            np.maximum([score.high for _, score in points] - means, 0.0),
        ]
        axis.errorbar(
            where, means, errors, color=COLOURS[place % len(COLOURS)], marker="osD^v"[place % 5], capsize=2,
            linewidth=1, markersize=4, label=name,
        )  # fmt: skip
    if log:
        axis.set_xscale("log")
    ticks = sorted({x for points in lines.values() for x, _ in points})
    axis.set_xticks(ticks, [f"{each:g}" for each in ticks])
    axis.minorticks_off()
    axis.set_xlabel(x_label)
    axis.set_ylabel("score on lines kept apart")
    figure.legend(loc="outside upper center", ncols=min(len(lines), 4), fontsize="small", frameon=False)
    with aside(path, keep_suffix=True) as partial:
        figure.savefig(partial, dpi=150)


COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000")

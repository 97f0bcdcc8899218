"""`bench --tasks`: one server for several tasks, beside a server for each of them alone.

Memory, times and answers of so many sessions: all of one task at a server of its own, for each task; spread
over the tasks at one server whose adapter holds them all; and the same with an adapter a task. What the one
server answers is held against each task's engine alone in this process, session by session, to the last bit.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from policies.llm.serving.protocol import Answer
from policies.llm.serving.transcript import Transcript
from policies.llm.studies.light_clients import Heard, ask_each
from policies.llm.studies.through_server import TimeSpread, a_server
from policies.llm.task import Task, task_named
from traces.progress import say

BOUND = 1.3
"""Of the largest single task's memory, for all of them."""
DIFFERENT = 16
"""Sessions of a task at the most; more clients play them again."""
DEFAULT_LAYERS = 4

TOGETHER, APART = "one server, one adapter", "one server, an adapter a task"

Session = tuple[Any, list[Any]]
"""Context and steps."""
Asks = list[tuple[Task, Any, list[Any]]]


@dataclass(frozen=True)
class TaskServerRow:
    """A server under all its sessions at once."""

    name: str
    sessions: int
    memory_mib: float
    asked: TimeSpread
    decisions_per_s: float
    mean_batch: float


def measured_tasks(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure; what `--json` says. Without it the tables are printed.

    Raises:
        TaskError, AdapterError, BaseError: something is not there.
        BenchError: a server does not start.
    """
    threads = args.threads if args.threads is not None else max(len(os.sched_getaffinity(0)) // 2, 1)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # before torch is imported
    tasks = [task_named(name) for name in args.tasks]
    several, own = _adapters(args, tasks, folder)
    sessions = {task.name: [task.sample(number) for number in range(DIFFERENT)] for task in tasks}
    serves = partial(_served, args=args, threads=threads, folder=folder)
    rows, same = [], {}
    for count in args.sessions:
        for task in tasks:
            asks = _asks([task], sessions, count)
            rows.append(serves(task.name, ("--task", f"{task.name}={several}"), asks)[0])
        asks = _asks(tasks, sessions, count)
        row, heard = serves(TOGETHER, ("--adapter", str(several)), asks)
        rows.append(row)
        same[count] = _equal(several, asks, heard, args, threads)
        if own:
            words = [word for name, place in own.items() for word in ("--task", f"{name}={place}")]
            rows.append(serves(APART, words, asks)[0])
    report = {
        "tasks": list(args.tasks),
        "threads": threads,
        "load_average": os.getloadavg()[0],
        "random_adapter": args.adapter is None,
        "rows": [asdict(row) for row in rows],
        "same_as_alone": same,
        "memory_of_largest": {count: _share(rows, args.tasks, count) for count in args.sessions},
        "bound": BOUND,
    }
    if not args.json:
        print("\n".join(lines(report)))
    return report


def _adapters(args: argparse.Namespace, tasks: Sequence[Task], folder: Path) -> tuple[Path, dict[str, Path]]:
    """One that holds all tasks, and, where that is a random one, one for each task besides."""
    from policies.llm.model.base import DEFAULT, placed
    from policies.llm.model.random import random_several

    if args.adapter is not None:
        return args.adapter, {}
    base, layers = placed(args.base or DEFAULT), args.layers or DEFAULT_LAYERS
    own = {task.name: random_several([task], folder / task.name, base, layers) for task in tasks}
    return random_several(tasks, folder / "several", base, layers), own


def _asks(tasks: Sequence[Task], sessions: Mapping[str, Sequence[Session]], count: int) -> Asks:
    """So many sessions, the tasks in turns."""
    found: Asks = []
    for place in range(count):
        task = tasks[place % len(tasks)]
        context, steps = sessions[task.name][place // len(tasks) % DIFFERENT]
        found.append((task, context, steps))
    return found


def _served(
    name: str, words: Sequence[str], asks: Asks, args: argparse.Namespace, threads: int, folder: Path
) -> tuple[TaskServerRow, Heard]:
    """What a server of its own comes to."""
    options = (*words, "--device", args.device, "--dtype", args.dtype)
    with a_server(None, options, len(asks), threads, folder / "s.sock") as served:
        heard = ask_each(served.address, asks)
        memory_mib = served.resident_mib()
    row = TaskServerRow(
        name, len(asks), memory_mib, TimeSpread.of(heard.times_ms), heard.decisions_per_s, heard.mean_batch
    )
    say(f"{name}: {len(asks)} sessions, {memory_mib:.0f} MiB, {row.decisions_per_s:.0f} decisions/s")
    return row, heard


def _equal(several: Path, asks: Asks, heard: Heard, args: argparse.Namespace, threads: int) -> bool:
    """Whether every answer is that of its task's engine alone, to the last bit."""
    from policies.llm.engine.engine import Engine

    engines: dict[str, Any] = {}
    known: dict[int, list[tuple[Any, float | None]]] = {}
    for (task, context, steps), answers in zip(asks, heard.answers, strict=True):
        if task.name not in engines:
            options = {"device": args.device, "dtype": args.dtype, "threads": threads}
            engines[task.name] = Engine(task, several, slots=1, alike=True, **options)
        if id(steps) not in known:
            known[id(steps)] = _alone(engines[task.name], task, context, steps)
        if [_said(answer) for answer in answers] != known[id(steps)]:
            return False
    return True


def _alone(engine: Any, task: Task, context: Any, steps: Sequence[Any]) -> list[tuple[Any, float | None]]:
    """Value and margin after each step of a session that nobody else shares a forward with."""
    transcript, slot, found = Transcript(task, context, engine.info.target), engine.open(), []
    for step in steps:
        vectors = transcript.features([step])
        (output,) = engine.forward([(slot, vectors)])
        transcript.append([step])
        decided = transcript.decide(output, vectors[-1])
        found.append((decided.value, decided.margin))
    engine.close(slot)
    return found


def _said(answer: Answer) -> tuple[Any, float | None]:
    return answer.value, answer.margin


def _share(rows: Sequence[TaskServerRow], tasks: Sequence[str], count: int) -> float:
    """Memory of the one server with one adapter, over the largest single task's."""
    of_count = [row for row in rows if row.sessions == count]
    largest = max(row.memory_mib for row in of_count if row.name in tasks)
    (all_of_them,) = (row.memory_mib for row in of_count if row.name == TOGETHER)
    return all_of_them / largest


def lines(report: dict[str, Any]) -> Iterator[str]:
    """The report for a person, as Markdown."""
    known = ", random adapter" if report["random_adapter"] else ""
    yield f"{report['threads']} threads, load {report['load_average']:.1f}{known}"
    yield "| server | sessions | memory, MiB | p50 / p99, ms | decisions/s | sessions a forward |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for row in report["rows"]:
        asked = row["asked"]
        yield (
            f"| {row['name']} | {row['sessions']} | {row['memory_mib']:.0f}"
            f" | {asked['p50_ms']:.1f} / {asked['p99_ms']:.1f} | {row['decisions_per_s']:.0f}"
            f" | {row['mean_batch']:.1f} |"
        )
    for count, share in report["memory_of_largest"].items():
        equal = "each answers as its engine alone" if report["same_as_alone"][count] else "ANSWERS DIFFER"
        yield f"{count} sessions: {share:.2f} times the largest single task's memory (bound {BOUND}); {equal}"

"""The runs of a plan that have no rows yet, one after the other; several processes may share the work."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from policies.generalist import rows as files
from policies.generalist.learning import ADAPTER, SharedLearning
from policies.generalist.lessons import Lesson
from policies.generalist.plan import FROZEN_BASE, FROZEN_RANDOM, RANDOM, SCRATCH, SPECIALIST, Run
from policies.generalist.rows import RowsError, RunRow
from policies.llm.learning.course import Floats
from policies.llm.learning.settings import LearningSettings
from policies.llm.model import adapter
from policies.llm.model.shape import FROZEN, FULL, LORA, Shape
from traces.ownership import make_directory
from traces.progress import say

LOCK = "lock"
WAIT_S = 5.0
"""Until what another process runs is looked at once more."""


@dataclass(frozen=True)
class HowRun:
    """What holds for all runs of a study."""

    base: str
    layers: int
    rank: int
    hidden: int
    steps: int
    tokens: int
    judged: int
    threads: int

    def settings(self, seed: int) -> LearningSettings:
        """Of a run."""
        return LearningSettings(
            seed=seed,
            steps=self.steps,
            rounds=0,
            threads=self.threads,
        )

    def shape(self, run: Run) -> Shape:
        """What a run's model is made of; random weights are other ones for each seed."""
        if run.backbone == SCRATCH:
            return Shape(f"scratch:2x256:{run.seed}", 2, train=FULL, hidden=self.hidden)
        random = run.backbone in (RANDOM, FROZEN_RANDOM)
        base = f"random:{run.seed}:{self.base}" if random else self.base
        train = FROZEN if run.backbone in (FROZEN_BASE, FROZEN_RANDOM) else LORA
        return Shape(base, self.layers, train, self.rank, 2.0 * self.rank, hidden=self.hidden)

    def conditions(self, lesson: Lesson) -> dict[str, Any]:
        """What a row has to say of how it was run for it to stand in another one's place."""
        told = {name: value for name, value in asdict(self).items() if name != "threads"}
        return told | {"pool": lesson.pool, "batch": lesson.batch}


def carried_out(
    runs: Sequence[Run], lessons: Mapping[str, Lesson], how: HowRun, out: Path, known: Sequence[Path] = ()
) -> files.Rows:
    """All runs' rows, those run that are not there yet.

    Args:
        known: other places with rows that count as done.

    Raises:
        RowsError: rows that were run otherwise.
        OSError: something cannot be written.
        ValueError: what learning raises.
    """
    make_directory(out)
    held = files.read(out, *known)
    check_same(held, lessons, how)
    for lesson in lessons.values():
        _specialists(lesson, how, out, held)
    left = [run for run in runs if any(held.of(run, task) is None for task in run.tasks)]
    while left:
        before = len(left)
        left = [run for run in left if not _done(run, lessons, how, out)]
        if left and len(left) == before:
            time.sleep(WAIT_S)
    return files.read(out, *known)


def check_same(held: files.Rows, lessons: Mapping[str, Lesson], how: HowRun) -> None:
    """Raises RowsError where a row of a task that is asked for was run otherwise than is asked."""
    for row in held.runs:
        if row.task not in lessons:
            continue
        for name, asked in how.conditions(lessons[row.task]).items():
            if (was := row.conditions.get(name)) != asked:
                raise RowsError(
                    f"{row.run.key}: was run with {name} {was}, not {asked}; name another --out, or ask for"
                    " the same"
                )


def _specialists(lesson: Lesson, how: HowRun, out: Path, held: files.Rows) -> None:
    """Rows of the small nets that ship for a task, and of the task itself."""
    task = lesson.task.name
    if task in held.tasks and held.specialists(task):
        return
    found = lesson.course.specialists()
    if not found and task in held.tasks:
        return
    rows: list[files.TaskRow | RunRow] = []
    for name, gains in found.items():
        run = Run(SPECIALIST, name, (task,), 0)
        row = _row(run, lesson, how, gains, sessions=0, loss=None, learned=0, seconds=0.0)
        rows.append(row)
        say(f"{task}: {name} {row.score:+.4f}")
    if found:
        rows.append(lesson.row(next(iter(found.values()))))
        with _mine(out / f"{SPECIALIST}-{task}") as mine:
            if mine:  # whoever else is there writes the same
                files.write(out, f"{SPECIALIST}-{task}", rows)


def _done(run: Run, lessons: Mapping[str, Lesson], how: HowRun, out: Path) -> bool:
    """Run it, unless another process does; whether its rows are there."""
    if files.has(out, run.key):
        return True
    source = run.source
    if source is not None and not (out / source.key / ADAPTER / adapter.CONFIG).exists():
        with _mine(out / source.key) as mine:
            if not mine:
                return False
            _learned(source, lessons, how, out)
    with _mine(out / run.key) as mine:
        if not mine:
            return False
        if not files.has(out, run.key):
            _write_rows(run, lessons, how, out)
    return True


def _write_rows(run: Run, lessons: Mapping[str, Lesson], how: HowRun, out: Path) -> None:
    learning = _learned(run, lessons, how, out)
    rows: list[files.TaskRow | RunRow] = []
    learned = sum(each.numel() for each in learning.model.learned())
    for lesson in learning.lessons:
        gains, task = learning.gains(lesson), lesson.task.name
        row = _row(
            run,
            lessons[task],
            how,
            gains,
            sessions=len(lesson.held),
            loss=learning.last_loss(task),
            learned=learned,
            seconds=round(learning.seconds, 1),
        )
        rows += [lessons[task].row(gains), row]
        say(f"{run.key}: {task} {row.score:+.4f} after {learning.seconds:.0f} s")
    files.write(out, run.key, rows)


def _row(run: Run, lesson: Lesson, how: HowRun, gains: dict[str, Floats], **facts: Any) -> RunRow:
    kept = files.rounded(gains)
    return RunRow(
        setup=run.setup,
        backbone=run.backbone,
        tasks=run.tasks,
        task=lesson.task.name,
        seed=run.seed,
        percent=run.percent,
        sources=run.sources,
        gains=kept,
        score=lesson.course.score({name: np.array(each) for name, each in kept.items()}),
        conditions=how.conditions(lesson),
        **facts,
    )


def _learned(run: Run, lessons: Mapping[str, Lesson], how: HowRun, out: Path) -> SharedLearning:
    """A run at its end."""
    source = None
    if run.source is not None:
        taught = adapter.read(out / run.source.key / ADAPTER, lessons[run.sources[0]].task)
        source = taught.tensors()
    mine = [lessons[task].share(run.percent, run.seed) for task in run.tasks]
    settings, folder = how.settings(run.seed), out / run.key
    learning = SharedLearning(
        mine, how.shape(run), folder, settings, lambda text: say(f"{run.key}: {text}"), source
    )
    learning.go()
    return learning


@contextmanager
def _mine(folder: Path) -> Iterator[bool]:
    """Whether no other process is at the run of a folder, which none can begin meanwhile."""
    make_directory(folder)
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(lock)

"""What is kept of runs: a file of rows each, which appears when the run is done. Tables are made of them.

A folder `rows` with `KEY.jsonl`, or one file with the lines of all. A line is a run's gains in one task, or
what holds for a task: its sessions that choose, and what they have in common.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.generalist.plan import SPECIALIST, Run
from traces.files import write_aside
from traces.ownership import make_within
from traces.safe_reading import BadFileError, read_json_lines
from traces.words import of_a_fault

FOLDER = "rows"
SHIPPED = Path(__file__).resolve().parent / "rows.jsonl"
TASK, RUN = "task", "run"
"""Kinds of lines."""
DIGITS = 4
"""Of gains."""
WAY_OUT = "name rows that `generalist run` wrote"
MOST = 1e4
"""A gain or a loss counts as no more: a job that is never done takes for ever."""

Floats = NDArray[np.float64]
Gains = Mapping[str, Sequence[float]]
"""By set of sessions."""


class RowsError(ValueError):
    """Rows that can't be read, or are of another study; the message names the file and the way out."""


@dataclass(frozen=True)
class TaskRow:
    """What holds for a task."""

    task: str
    gained: str
    """What gains are, in words."""
    cluster: str
    """What intervals draw, in a word."""
    clusters: Mapping[str, Sequence[int]]
    """By set: the number of the cluster of each session."""
    weights: Mapping[str, float]
    """By set: what its mean counts in the score."""
    pool: str
    """Begin of the digest of its manifest."""
    teacher: float | None
    """The teacher's score."""


@dataclass(frozen=True)
class RunRow:
    """What a run gained in one task."""

    setup: str
    backbone: str
    """Of a specialist its name."""
    tasks: tuple[str, ...]
    task: str
    seed: int
    percent: float
    sources: tuple[str, ...]
    gains: Mapping[str, Sequence[float]]
    score: float
    sessions: int
    """Learned from."""
    loss: float | None
    """Mean over the last tenth of the steps."""
    learned: int
    seconds: float
    conditions: Mapping[str, Any] = field(default_factory=dict)
    """How it was run, for it to stand in another one's place."""

    @property
    def run(self) -> Run:
        """Whose it is."""
        return Run(self.setup, self.backbone, self.tasks, self.seed, self.percent, self.sources)


@dataclass(frozen=True)
class Rows:
    """All lines of a study."""

    tasks: Mapping[str, TaskRow]
    runs: tuple[RunRow, ...]

    def of(self, run: Run, task: str) -> RunRow | None:
        """A run's row for a task; None where there is none yet."""
        return next((row for row in self.runs if row.task == task and row.run == run), None)

    def specialists(self, task: str) -> list[RunRow]:
        """Small nets that are shipped for a task."""
        return [row for row in self.runs if row.task == task and row.setup == SPECIALIST]


def rounded(gains: Mapping[str, Floats]) -> dict[str, list[float]]:
    """As a row has them."""
    return {name: np.round(np.clip(values, -MOST, MOST), DIGITS).tolist() for name, values in gains.items()}


def numbered(clusters: Mapping[str, Sequence[str]], gains: Mapping[str, Floats]) -> dict[str, list[int]]:
    """Clusters by their numbers; where none are told, each session is one of its own."""
    found = {}
    for name, values in gains.items():
        told = clusters.get(name)
        found[name] = (
            list(range(len(values))) if told is None else np.unique(told, return_inverse=True)[1].tolist()
        )
    return found


def weights_of(score: Callable[[Mapping[str, Floats]], float], sets: Iterable[str]) -> dict[str, float]:
    """What each set's mean counts in a score, which is a weighted mean of theirs."""
    names = list(sets)
    return {name: score({each: np.array([float(each == name)]) for each in names}) for name in names}


def write(out: Path, key: str, rows: Sequence[TaskRow | RunRow]) -> None:
    """A file of rows, which appears when it is complete.

    Raises:
        OSError: it can't be written.
    """
    make_within(out, FOLDER)
    write_aside(out / FOLDER / f"{key}.jsonl", _text(rows))


def write_all(path: Path, rows: Rows) -> None:
    """All rows of a study as one file.

    Raises:
        OSError: it can't be written.
    """
    runs = sorted(rows.runs, key=lambda row: (row.run.key, row.task))
    write_aside(path, _text([*rows.tasks.values(), *runs]))


def _text(rows: Sequence[TaskRow | RunRow]) -> str:
    lines = ({"row": TASK if isinstance(row, TaskRow) else RUN, **asdict(row)} for row in rows)
    return "".join(json.dumps(line) + "\n" for line in lines)


def has(out: Path, key: str) -> bool:
    """Whether a run's file is there."""
    return (out / FOLDER / f"{key}.jsonl").exists()


def read(*places: Path) -> Rows:
    """The rows of files, or of folders that `generalist run` wrote to; of a run that stands in several the
    first place's.

    Raises:
        RowsError: a file that holds others, or runs on other pools of one task.
    """
    tasks: dict[str, TaskRow] = {}
    runs: dict[tuple[Run, str], RunRow] = {}
    for path in (file for place in places for file in _files(place)):
        for row in _lines(path):
            if isinstance(row, RunRow):
                runs.setdefault((row.run, row.task), row)
                continue
            held = tasks.setdefault(row.task, row)
            if held.pool != row.pool or held.clusters != row.clusters:
                raise RowsError(f"{path}: {row.task} on pool {row.pool}, not {held.pool}; name another --out")
    for row in runs.values():
        _check_sessions(row, tasks)
    return Rows(dict(sorted(tasks.items())), tuple(runs.values()))


def _check_sessions(row: RunRow, tasks: Mapping[str, TaskRow]) -> None:
    """Raises RowsError where a run's gains are not those of its task's sessions."""
    sizes = {name: len(values) for name, values in row.gains.items()}
    held = tasks.get(row.task)
    expected = {} if held is None else {name: len(numbers) for name, numbers in held.clusters.items()}
    if sizes != expected:
        raise RowsError(
            f"{row.run.key}: gains of {sizes} sessions in {row.task}, which has {expected}; {WAY_OUT}"
        )


def _files(place: Path) -> list[Path]:
    return sorted((place / FOLDER).glob("*.jsonl")) if place.is_dir() else [place]


def _lines(path: Path) -> list[TaskRow | RunRow]:
    try:
        return [_row(line) for line in read_json_lines(path)]
    except OSError as error:
        raise RowsError(f"{path}: {error.strerror}; {WAY_OUT}") from None
    except BadFileError as error:
        raise RowsError(f"{error}; {WAY_OUT}") from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RowsError(f"{path}: {of_a_fault(error)}; {WAY_OUT}") from None


def _row(line: Mapping[str, Any]) -> TaskRow | RunRow:
    """Raises AttributeError, KeyError, TypeError, ValueError for what is none."""
    held = {name: value for name, value in line.items() if name != "row"}
    if line["row"] == TASK:
        held["clusters"] = {str(name): _places(each) for name, each in held["clusters"].items()}
        held["weights"] = {str(name): float(each) for name, each in held["weights"].items()}
        made = TaskRow(**held)
        if made.clusters.keys() != made.weights.keys() or not made.clusters:
            raise ValueError(f"sets {sorted(made.clusters)} with weights of {sorted(made.weights)}")
        _check_texts(made.task, made.gained, made.cluster, made.pool)
        return made
    tasks, sources = (tuple(map(str, held[name])) for name in ("tasks", "sources"))
    gains = {str(name): _numbers(each) for name, each in held["gains"].items()}
    seed, percent, score = int(held["seed"]), float(held["percent"]), float(held["score"])
    changed: dict[str, Any] = {
        "tasks": tasks,
        "sources": sources,
        "gains": gains,
        "seed": seed,
        "percent": percent,
    }
    run = RunRow(**{**held, **changed, "score": score, "conditions": dict(held["conditions"])})
    _check_texts(run.setup, run.backbone, run.task)
    return run


def _check_texts(*texts: object) -> None:
    """Raises TypeError for what is no text."""
    for each in texts:
        if not isinstance(each, str):
            raise TypeError(f"{each!r:.40} where a text belongs")


def _places(values: Any) -> list[int]:
    """Numbers of clusters: whole, from 0 to less than there are sessions."""
    found = [int(each) for each in values]
    if not found or min(found) < 0 or max(found) >= len(found):
        raise ValueError("clusters are not numbered from 0 on")
    return found


def _numbers(values: Any) -> list[float]:
    found = np.asarray(values, np.float64)
    if found.ndim != 1 or not np.isfinite(found).all():
        raise ValueError("gains that are no list of finite numbers")
    return [float(each) for each in found]

"""What an engine's process is asked to load, and what it says once that is loaded. Nothing here imports
torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policies.llm.engine.contract import EngineInfo
from policies.llm.model import adapter as files
from policies.llm.task import Task


@dataclass(frozen=True)
class AskedEngine:
    """An engine that is to be loaded."""

    task: Task
    adapter: Path | None
    options: Mapping[str, Any]
    """As `Engine` has them."""

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Those that it decides."""
        return (self.task,)


@dataclass(frozen=True)
class AskedSeveral:
    """An engine for several tasks that is to be loaded."""

    tasks: tuple[Task, ...]
    adapter: Path
    """Holds them all."""
    options: Mapping[str, Any]
    """As `SeveralEngine` has them."""


@dataclass(frozen=True)
class Loaded:
    """What is said of an engine of one task."""

    info: EngineInfo
    slots: int
    max_steps: int
    keep_steps: int
    caches: bool
    versions: Mapping[str, str]
    """Of what its process has loaded."""


Asked = AskedEngine | AskedSeveral
LoadedSeveral = Mapping[str, Loaded]
"""By task, of one engine."""


def held_together(folder: Path) -> tuple[str, ...]:
    """The tasks that a folder's adapter holds, where it holds several."""
    return files.tasks_of(folder)


def engines_for(adapters: Mapping[Task, Path | None], options: Mapping[str, Any]) -> list[Asked]:
    """An engine for each task; one for all that are to come from an adapter which holds several.

    Where there are several tasks, nobody's answers depend on who else is in the batch.

    Args:
        adapters: None for the shipped one.
        options: as `Engine` has them.
    """
    together: dict[Path, list[Task]] = {}
    for task, folder in adapters.items():
        if folder is not None and held_together(folder):
            together.setdefault(folder.resolve(), []).append(task)
    several = [
        AskedSeveral(tuple(tasks), folder, options) for folder, tasks in together.items() if len(tasks) > 1
    ]
    shared = {task for each in several for task in each.tasks}
    own = {**options, "alike": True} if len(adapters) > 1 else options
    return [
        *several,
        *(AskedEngine(task, folder, own) for task, folder in adapters.items() if task not in shared),
    ]

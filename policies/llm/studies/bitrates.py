"""What the studies need of an adapter that chooses bitrates, whichever of the two tasks it is for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from player.qoe import Scoring
from player.simulated.batch.library import Floats, Ints
from player.simulated.batch.sessions import Sessions
from player.video.video import Video
from policies.llm.engine.engine import Engine
from policies.llm.model.adapter import AdapterError, made_for
from policies.llm.studies.evaluate import EvaluatedSetting
from policies.llm.task import Task, named, task_named
from policies.llm.tasks.abr import play
from policies.llm.tasks.abr.task import Bitrates


class EnginePlayer(Protocol):
    """An engine as the policy of a batch of simulated sessions."""

    def select(self) -> Ints:
        """(sessions,) the level of each next chunk."""

    def close(self) -> None:
        """Give the slots back."""


def bitrate_task(asked: str, adapter: Path | None = None) -> Bitrates:
    """The task that an adapter says it is for; the one asked for where none is given.

    Raises:
        AdapterError: it is for something else than bitrates.
    """
    name = (None if adapter is None else made_for(adapter)) or asked
    task: Task = task_named(name)
    if not isinstance(task, Bitrates):
        raise AdapterError(f"{adapter or name}: made for {name}, which is no choice of bitrates")
    return task


def context_of(task: Bitrates, video: Video) -> Any:
    """A session's, with the weights that hold where none are named."""
    return task.context_of(video, Scoring().on(video.ladder_kbps))


def player_of(sessions: Sessions, engine: Engine) -> EnginePlayer:
    """An engine plays sessions that have not begun, each in a slot of its own."""
    made: EnginePlayer = named(bitrate_task(engine.info.task).player)(sessions, engine)
    return made


def engine_qoe(engine: Engine, setting: EvaluatedSetting, threads: int = 1) -> Floats:
    """(sessions,) mean QoE a chunk; the first level is 0. As many at a time as the engine has slots."""
    found = []
    for begin in range(0, len(setting.setup), engine.slots):
        part = play.part_of(setting.setup, begin, begin + engine.slots)
        sessions = Sessions(setting.library, part, chunks=setting.chunks, first_level=0, threads=threads)
        player = player_of(sessions, engine)
        try:
            found.append(play.played(sessions, player))
        finally:
            player.close()
    return play.PlayedSessions.together(found).qoe

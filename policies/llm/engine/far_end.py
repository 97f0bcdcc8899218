"""Engines of another process as this one sees them: what is asked and answered over a socket.

A question holds the slots that were opened and closed since the last one, and what a forward is to take.
Whose slot is which, both sides know by the same rules (`slots.py`), so that neither has to ask.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from policies.llm.engine.asked import Loaded, LoadedSeveral
from policies.llm.engine.contract import EngineGone, EngineInfo, SharedForwards
from policies.llm.engine.forked import ForkedProcess
from policies.llm.engine.slots import SlotBook

END_WITHIN_S = 5.0
"""A process whose socket has closed has so long to be gone."""
CLOSED = ""
"""In the place of a task's name: the slot was closed, not opened."""

Process = subprocess.Popen[bytes] | ForkedProcess
Work = Sequence[tuple[int, NDArray[np.float32]]]


def gone(process: Process) -> EngineGone:
    """What is to be said of a process that has ended, or is about to."""
    try:
        status = process.wait(END_WITHIN_S)
    except subprocess.TimeoutExpired:
        return EngineGone("the engine's process does not answer any more; start the server again")
    how = f"by signal {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
    return EngineGone(f"the engine's process has ended {how}; is there memory for it? start the server again")


class _FarEnd:
    """A connection to an engine."""

    def __init__(self, process: Process, connection: Connection) -> None:
        self._process, self._connection = process, connection
        self._changes: list[tuple[str, int]] = []
        """(task or `CLOSED`, slot) since the last forward."""

    def _ask(self, work: Work) -> None:
        changes, self._changes = self._changes, []
        try:
            self._connection.send((changes, joined(work)))
        except OSError:
            raise gone(self._process) from None

    def _answer(self) -> Any:
        try:
            answer = self._connection.recv()
        except (OSError, EOFError):
            raise gone(self._process) from None
        if isinstance(answer, Exception):
            raise answer
        return answer


class EngineApart(_FarEnd):
    """One engine of the other process; a `contract.ServingEngine`.

    Args:
        process: the other.
        said: by its engine, once it is loaded.
    """

    def __init__(self, process: Process, connection: Connection, said: Loaded) -> None:
        super().__init__(process, connection)
        self.info, self.versions = said.info, said.versions
        self._book = SlotBook(said.slots, said.max_steps, said.keep_steps, said.caches)

    def open(self) -> int:
        """As `Engine.open`."""
        slot = self._book.open()
        self._changes.append((self.info.task, slot))
        return slot

    def close(self, slot: int) -> None:
        """As `Engine.close`."""
        self._book.close(slot)
        self._changes.append((CLOSED, slot))

    def rows(self, slot: int, new: int) -> int:
        """As `Engine.rows`."""
        return self._book.rows(slot, new)

    def forward(self, work: Work) -> NDArray[np.float32]:
        """As `Engine.forward`.

        Raises:
            EngineGone: the process has ended.
            Exception: what the engine raised.
        """
        self.send(work)
        return self.receive()

    def send(self, work: Work) -> None:
        """See `contract.EngineAhead`.

        Raises:
            EngineGone: the process has ended.
        """
        for slot, steps in work:
            self._book.take(slot, len(steps))
        self._ask(work)

    def receive(self) -> NDArray[np.float32]:
        """See `contract.EngineAhead`.

        Raises:
            EngineGone: the process has ended.
            Exception: what the engine raised.
        """
        return np.asarray(self._answer(), np.float32)


class SeveralApart(_FarEnd):
    """An engine of several tasks of the other process; what `contract.SharedForwards` asks for.

    Args:
        process: the other.
        said: of each task, once it is loaded.
    """

    def __init__(self, process: Process, connection: Connection, said: LoadedSeveral) -> None:
        super().__init__(process, connection)
        first = next(iter(said.values()))
        self.versions: Mapping[str, str] = first.versions
        free = list(range(first.slots))
        self._books = {
            name: SlotBook(each.slots, each.max_steps, each.keep_steps, each.caches, free)
            for name, each in said.items()
        }
        self._book_of: dict[int, SlotBook] = {}
        """Of each open slot."""
        self.of_tasks = {name: OneOfSeveral(self, each.info) for name, each in said.items()}
        """By task, as an engine of its own."""

    def open(self, task: str) -> int:
        """As `SeveralEngine.open`."""
        slot = self._books[task].open()
        self._book_of[slot] = self._books[task]
        self._changes.append((task, slot))
        return slot

    def close(self, slot: int) -> None:
        """As `SeveralEngine.close`."""
        self._book_of.pop(slot).close(slot)
        self._changes.append((CLOSED, slot))

    def rows(self, slot: int, new: int) -> int:
        """As `SeveralEngine.rows`."""
        return self._book_of[slot].rows(slot, new)

    def forward(self, work: Work) -> list[NDArray[np.float32]]:
        """As `SeveralEngine.forward`.

        Raises:
            EngineGone, Exception: as of `EngineApart`.
        """
        self.send(work)
        return self.receive()

    def send(self, work: Work) -> None:
        """See `contract.EngineAhead`.

        Raises:
            EngineGone: the process has ended.
        """
        for slot, steps in work:
            self._book_of[slot].take(slot, len(steps))
        self._ask(work)

    def receive(self) -> list[NDArray[np.float32]]:
        """See `contract.EngineAhead`.

        Raises:
            EngineGone, Exception: as of `EngineApart`.
        """
        return [np.asarray(each, np.float32) for each in self._answer()]


class OpensTasks(SharedForwards, Protocol):
    """An engine of several tasks, here or elsewhere."""

    def open(self, task: str) -> int:
        """As `SeveralEngine.open`."""


class OneOfSeveral:
    """One task of an engine of several; a `contract.ServingEngine`, whose forwards others may share."""

    def __init__(self, several: OpensTasks, info: EngineInfo) -> None:
        self.forwards, self.info = several, info

    def open(self) -> int:
        """As `Engine.open`."""
        return self.forwards.open(self.info.task)

    def close(self, slot: int) -> None:
        """As `Engine.close`."""
        self.forwards.close(slot)

    def rows(self, slot: int, new: int) -> int:
        """As `Engine.rows`."""
        return self.forwards.rows(slot, new)

    def forward(self, work: Work) -> NDArray[np.float32]:
        """As `Engine.forward`.

        Raises:
            EngineGone, Exception: as of `EngineApart`.
        """
        return np.stack(list(self.forwards.forward(work)))


Joined = tuple[list[int], list[tuple[int, int]], bytes]


def joined(work: Work) -> Joined:
    """Slots, their steps' numbers and widths, and all steps: one text passes more quickly than many
    arrays."""
    rows = np.concatenate([steps.ravel() for _, steps in work], dtype=np.float32)
    return [slot for slot, _ in work], [(len(steps), steps.shape[1]) for _, steps in work], rows.tobytes()


def parted(whole: Joined) -> list[tuple[int, NDArray[np.float32]]]:
    """What was joined."""
    slots, shapes, text = whole
    numbers = np.frombuffer(text, np.float32)
    ends = np.cumsum([count * width for count, width in shapes]).tolist()
    return [
        (slot, numbers[end - count * width : end].reshape(count, width))
        for slot, (count, width), end in zip(slots, shapes, ends, strict=True)
    ]

"""Engines in a process of their own: a forward shares no interpreter lock with whoever reads requests.

`EnginesApart` starts it, and gives for each task what serving takes for an engine. What is said between the
two are Python objects over sockets that nobody else has: what to load and what was loaded, then forwards,
each with the slots that were opened and closed since the last. Whose slot is which, both sides know by the
same rules (`slots.py`), so that neither has to ask. The process is killed at the end, and dies with its
parent. It has an interpreter of its own, or is forked from a parent that has loaded numba already, which
saves a second of a processor (`forked.py`).
"""

from __future__ import annotations

import gc
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.llm.engine.contract import EngineGone, EngineInfo
from policies.llm.engine.forked import ForkedProcess
from policies.llm.engine.slots import SlotBook
from policies.llm.task import Task
from traces.bound_processes import die_with_parent
from traces.versions import loaded_versions

END_WITHIN_S = 5.0
"""A process whose socket has closed has so long to be gone."""
_PROGRAM = "import sys; from policies.llm.engine.apart import main; sys.exit(main(sys.argv[1:]))"


_Process = subprocess.Popen[bytes] | ForkedProcess


@dataclass(frozen=True)
class AskedEngine:
    """An engine that is to be loaded."""

    task: Task
    adapter: Path | None
    options: Mapping[str, Any]
    """As `Engine` has them."""


@dataclass(frozen=True)
class _Loaded:
    info: EngineInfo
    slots: int
    max_steps: int
    keep_steps: int
    caches: bool
    versions: Mapping[str, str]


class EngineApart:
    """One engine of the other process; a `contract.ServingEngine`.

    Args:
        process: the other.
        said: by its engine, once it is loaded.
    """

    def __init__(self, process: _Process, connection: Connection, said: _Loaded) -> None:
        self.info, self.versions = said.info, said.versions
        self._process, self._connection = process, connection
        self._book = SlotBook(said.slots, said.max_steps, said.keep_steps, said.caches)
        self._changes: list[tuple[bool, int]] = []
        """(opened, slot) since the last forward."""

    def open(self) -> int:
        """As `Engine.open`."""
        slot = self._book.open()
        self._changes.append((True, slot))
        return slot

    def close(self, slot: int) -> None:
        """As `Engine.close`."""
        self._book.close(slot)
        self._changes.append((False, slot))

    def rows(self, slot: int, new: int) -> int:
        """As `Engine.rows`."""
        return self._book.rows(slot, new)

    def forward(self, work: Sequence[tuple[int, NDArray[np.float32]]]) -> NDArray[np.float32]:
        """As `Engine.forward`.

        Raises:
            EngineGone: the process has ended.
            Exception: what the engine raised.
        """
        self.send(work)
        return self.receive()

    def send(self, work: Sequence[tuple[int, NDArray[np.float32]]]) -> None:
        """See `contract.EngineAhead`.

        Raises:
            EngineGone: the process has ended.
        """
        changes, self._changes = self._changes, []
        for slot, steps in work:
            self._book.take(slot, len(steps))
        try:
            self._connection.send((changes, _joined(work)))
        except OSError:
            raise gone(self._process) from None

    def receive(self) -> NDArray[np.float32]:
        """See `contract.EngineAhead`.

        Raises:
            EngineGone: the process has ended.
            Exception: what the engine raised.
        """
        try:
            answer = self._connection.recv()
        except (OSError, EOFError):
            raise gone(self._process) from None
        if isinstance(answer, Exception):
            raise answer
        return np.asarray(answer, np.float32)


class EnginesApart:
    """The process, and its engines while the context lasts. To be started by the main thread: the process
    ends with the thread that started it.

    Args:
        asked: the engines, one for each task; they share what they have in common.
        forks: the process begins with what is loaded here. Only where no other thread runs and torch is not
            loaded: neither would outlive it.
    """

    def __init__(self, asked: Sequence[AskedEngine], forks: bool = False) -> None:
        self._asked = asked
        self._forks = forks
        self._connections: list[Connection] = []
        self._engines: list[EngineApart] = []

    def __enter__(self) -> EnginesApart:
        pairs = [socket.socketpair() for _ in self._asked]
        ends = [theirs.fileno() for _, theirs in pairs]
        self._process = self._forked(ends, [ours for ours, _ in pairs]) if self._forks else _started(ends)
        for ours, theirs in pairs:
            self._connections.append(Connection(ours.detach()))
            theirs.close()
        for connection, each in zip(self._connections, self._asked, strict=True):
            connection.send(each)
        return self

    def _forked(self, ends: Sequence[int], ours: Sequence[socket.socket]) -> ForkedProcess:
        """The process, from this one."""

        def work() -> int:
            for each in ours:
                each.close()
            return main([*map(str, ends)])

        return ForkedProcess(work, begin=_bound)

    def loaded(self) -> list[EngineApart]:
        """The engines, once they are loaded.

        Raises:
            EngineGone: the process ended before.
            Exception: what loading raised.
        """
        self._engines = [EngineApart(self._process, each, self._said(each)) for each in self._connections]
        return self._engines

    def _said(self, connection: Connection) -> _Loaded:
        try:
            said = connection.recv()
        except (OSError, EOFError):
            raise gone(self._process) from None
        if isinstance(said, Exception):
            raise said
        assert isinstance(said, _Loaded)
        return said

    @property
    def tasks(self) -> list[Task]:
        """Of the engines."""
        return [each.task for each in self._asked]

    @property
    def versions(self) -> dict[str, str]:
        """Of what the process has loaded and may decide."""
        return {name: said for each in self._engines for name, said in each.versions.items()}

    @property
    def ended(self) -> bool:
        """Whether the process has."""
        return self._process.poll() is not None

    def gone(self) -> EngineGone:
        """What is to be said once the process has ended."""
        return gone(self._process)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def __exit__(self, *_: object) -> None:
        for connection in self._connections:
            connection.close()
        self._process.kill()  # it has nothing to bring to an end
        self._process.wait()


def _started(ends: Sequence[int]) -> subprocess.Popen[bytes]:
    """The process, of an interpreter of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *map(str, ends)],
        stdin=subprocess.DEVNULL,
        stdout=2,  # what it might print is no answer of ours
        pass_fds=ends,
        preexec_fn=_bound,
    )


def gone(process: _Process) -> EngineGone:
    """What is to be said of a process that has ended, or is about to."""
    try:
        status = process.wait(END_WITHIN_S)
    except subprocess.TimeoutExpired:
        return EngineGone("the engine's process does not answer any more; start the server again")
    how = f"by signal {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
    return EngineGone(f"the engine's process has ended {how}; is there memory for it? start the server again")


def _bound() -> None:
    """Before the process runs: it dies with us, and Ctrl-C is ours to hear."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def main(ends: Sequence[str]) -> int:
    """The process; its exit status."""
    connections = [Connection(int(end)) for end in ends]
    engines = [_load(connection) for connection in connections]
    serving = [
        threading.Thread(target=_serve, args=(connection, engine))
        for connection, engine in zip(connections, engines, strict=True)
        if engine is not None
    ]
    gc.collect()
    gc.freeze()  # as `serve` does
    for each in serving:
        each.start()
    for each in serving:
        each.join()
    return 0


def _load(connection: Connection) -> Any:
    """The engine that is asked for; None where it can't be had, which is said."""
    try:
        asked = connection.recv()
        from policies.llm.engine.engine import Engine

        engine = Engine(asked.task, asked.adapter, **asked.options)
        book = engine.book
        limits = book.slots, book.max_steps, book.keep_steps, book.caches
        connection.send(_Loaded(engine.info, *limits, loaded_versions()))
        return engine
    except EOFError:
        return None
    except Exception as error:
        _answer(connection, error)
        return None


def _serve(connection: Connection, engine: Any) -> None:
    """Answer until nobody asks any more."""
    while True:
        try:
            changes, joined = connection.recv()
        except (OSError, EOFError):
            return
        try:
            for opened, slot in changes:
                if opened:
                    assert engine.open() == slot
                else:
                    engine.close(slot)
            _answer(connection, engine.forward(_parted(joined)))
        except Exception as error:
            error.add_note("".join(traceback.format_exception(error)))
            _answer(connection, error)


def _joined(work: Sequence[tuple[int, NDArray[np.float32]]]) -> tuple[list[int], list[int], int, bytes]:
    """Slots, their numbers of steps, a step's width, and all steps: one text passes more quickly than many
    arrays."""
    rows = np.concatenate([steps for _, steps in work], dtype=np.float32)
    return [slot for slot, _ in work], [len(steps) for _, steps in work], rows.shape[1], rows.tobytes()


def _parted(joined: tuple[list[int], list[int], int, bytes]) -> list[tuple[int, NDArray[np.float32]]]:
    """What was joined."""
    slots, counts, width, rows = joined
    steps = np.frombuffer(rows, np.float32).reshape(-1, width)
    ends = np.cumsum(counts).tolist()
    return [(slot, steps[end - count : end]) for slot, count, end in zip(slots, counts, ends, strict=True)]


def _answer(connection: Connection, answer: Any) -> None:
    """Say it; of an exception that can't be said, its words."""
    try:
        connection.send(answer)
    except OSError:  # nobody listens any more
        return
    except Exception:
        connection.send(RuntimeError(f"{type(answer).__name__}: {answer}"))

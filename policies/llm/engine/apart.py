"""Engines in a process of their own: a forward shares no interpreter lock with whoever reads requests.

`EnginesApart` starts it, and gives for each task what serving takes for an engine (`far_end.py`). What is
said between the two are Python objects over sockets that nobody else has: what to load and what was loaded
(`asked.py`), then forwards. The process is killed at the end, and dies with its
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
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from policies.llm.engine.asked import Asked, AskedSeveral, Loaded
from policies.llm.engine.contract import EngineGone, ServingEngine
from policies.llm.engine.far_end import CLOSED, EngineApart, SeveralApart, gone, parted
from policies.llm.engine.forked import ForkedProcess
from policies.llm.task import Task
from traces.bound_processes import die_with_parent
from traces.versions import loaded_versions

_PROGRAM = "import sys; from policies.llm.engine.apart import main; sys.exit(main(sys.argv[1:]))"


class EnginesApart:
    """The process, and its engines while the context lasts. To be started by the main thread: the process
    ends with the thread that started it.

    Args:
        asked: the engines, each task in one of them; they share what they have in common.
        forks: the process begins with what is loaded here. Only where no other thread runs and torch is not
            loaded: neither would outlive it.
    """

    def __init__(self, asked: Sequence[Asked], forks: bool = False) -> None:
        self._asked = asked
        self._forks = forks
        self._connections: list[Connection] = []
        self._engines: list[EngineApart | SeveralApart] = []

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

    def loaded(self) -> list[ServingEngine]:
        """For each task its engine, in the order of `tasks`, once they are loaded.

        Raises:
            EngineGone: the process ended before.
            Exception: what loading raised.
        """
        found: list[ServingEngine] = []
        for connection in self._connections:
            said = self._said(connection)
            if isinstance(said, Loaded):
                one = EngineApart(self._process, connection, said)
                self._engines.append(one)
                found.append(one)
            else:
                several = SeveralApart(self._process, connection, said)
                self._engines.append(several)
                found += several.of_tasks.values()
        return found

    def _said(self, connection: Connection) -> Any:
        """What it says of the engine that it has loaded."""
        try:
            said = connection.recv()
        except (OSError, EOFError):
            raise gone(self._process) from None
        if isinstance(said, Exception):
            raise said
        return said

    @property
    def tasks(self) -> list[Task]:
        """Of the engines."""
        return [task for each in self._asked for task in each.tasks]

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
        if isinstance(asked, AskedSeveral):
            from policies.llm.engine.several import SeveralEngine

            several = SeveralEngine(asked.tasks, asked.adapter, **asked.options)
            connection.send({name: _facts(engine) for name, engine in several.engines.items()})
            return several
        from policies.llm.engine.engine import Engine

        engine = Engine(asked.task, asked.adapter, **asked.options)
        connection.send(_facts(engine))
        return engine
    except EOFError:
        return None
    except Exception as error:
        _answer(connection, error)
        return None


def _facts(engine: Any) -> Loaded:
    """What there is to say of an engine of one task."""
    book = engine.book
    limits = book.slots, book.max_steps, book.keep_steps, book.caches
    return Loaded(engine.info, *limits, loaded_versions())


def _serve(connection: Connection, engine: Any) -> None:
    """Answer until nobody asks any more."""
    several = hasattr(engine, "engines")
    while True:
        try:
            changes, whole = connection.recv()
        except (OSError, EOFError):
            return
        try:
            for task, slot in changes:
                if task == CLOSED:
                    engine.close(slot)
                else:
                    assert (engine.open(task) if several else engine.open()) == slot
            _answer(connection, engine.forward(parted(whole)))
        except Exception as error:
            error.add_note("".join(traceback.format_exception(error)))
            _answer(connection, error)


def _answer(connection: Connection, answer: Any) -> None:
    """Say it; of an exception that can't be said, its words."""
    try:
        connection.send(answer)
    except OSError:  # nobody listens any more
        return
    except Exception:
        connection.send(RuntimeError(f"{type(answer).__name__}: {answer}"))

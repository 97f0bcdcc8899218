"""Servers that policies ask: started before the sessions, started again once if one dies, ended with the run.

A policy names its server (`player.policy.Served`); what that is, this module does not know. A server's
socket is a file in a folder of the run's own, which crosses network namespaces, so that no decision
touches an emulated link. What has to come first on a link, rate changes and due frames, runs in real time;
a server shares the processor with the players, who wait for it, and its threads sleep instead of spinning
while they wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from player.policy import ServerCommand
from testbed.process.child import Child
from testbed.process.children import environment
from testbed.process.errors import TestbedError
from traces.bound_processes import die_with_parent
from traces.temporary import RemovedWithUs

READY_WITHIN_S = 180.0
"""A server may have to convert a model's weights the first time."""
FOLDER = "streambed-servers-"
PROBE_WITHIN_S = 1.0
"""A socket whose server does not even take a connection by then is a living one's."""
STARTS = 2
"""The first, and once more if it dies."""


def threads() -> int:
    """What a server may use of this machine, whose other half shapes links and plays."""
    return max(len(os.sched_getaffinity(0)) // 2, 1)


class PolicyServer:
    """One server process, and the next one if it dies.

    Args:
        command: what to start.
        path: of its socket.
        device: where its model is to be.
    """

    def __init__(self, command: ServerCommand, path: Path, device: str) -> None:
        self.command = command
        self._path = path
        self._device = device
        self._child: Child | None = None
        self._watching: asyncio.Task[None] | None = None
        self.facts: dict[str, Any] = {}
        """What it said of itself when it was ready."""
        self.notes: list[str] = []
        """What happened to it since, in words."""

    @property
    def name(self) -> str:
        return f"policy server `{' '.join((self.command.module, *self.command.arguments))}`"

    @property
    def gone(self) -> bool:
        """Whether it died too often to be started again."""
        return self._watching is not None and self._watching.done()

    @property
    def environment(self) -> dict[str, str]:
        """What its players have to know."""
        return {self.command.variable: str(self._path)}

    @property
    def manifest(self) -> dict[str, Any]:
        """What a record says of it."""
        own = {"module": self.command.module, "arguments": list(self.command.arguments)}
        return {**own, "threads": threads(), **self.facts}

    async def start(self) -> None:
        """Start it and wait until it can decide.

        Raises:
            TestbedError: it can't, or not in time.
        """
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", self.command.module, *self.command.arguments),
            *("--socket", str(self._path), "--device", self._device, "--threads", str(threads()), "--json"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            preexec_fn=die_with_parent,
            start_new_session=True,
            env={"OMP_WAIT_POLICY": "PASSIVE", **environment()},
        )
        self._child = Child(self.name, process, ends_by=signal.SIGTERM)  # it serves whatever its input does
        line = await self._child.first_line(READY_WITHIN_S)
        self.facts = {key: value for key, value in line.items() if key not in ("line", "address")}

    def watch(self) -> None:
        """From now on, start it again if it dies."""
        self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        for _ in range(1, STARTS):
            assert self._child is not None
            why = await self._child.last_word()
            await self._child.close()
            self.notes.append(f"{self.name} died ({why})")
            try:
                await self.start()
            except TestbedError as error:
                self.notes.append(str(error))
                return
            self.notes.append(f"{self.name} was started again and ready after {self._loading()}")
        assert self._child is not None
        self.notes.append(f"{self.name} died again ({await self._child.last_word()})")

    def _loading(self) -> str:
        loading_s = self.facts.get("loading_s")
        return f"{loading_s:.1f} s" if isinstance(loading_s, float) else "a while"

    async def close(self) -> None:
        """End it; safe to call twice."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        child, self._child = self._child, None
        if child is not None:
            await child.close()


class PolicyServers:
    """All servers of a run, one for each command. An async context manager.

    Args:
        commands: what to start; equal ones are one.
        device: for all of them, one of `DEVICES`.
    """

    def __init__(self, commands: Iterable[ServerCommand], device: str) -> None:
        self._commands = tuple(dict.fromkeys(commands))
        self._device = device
        self._folder: Path | None = None
        self._lock: int | None = None
        self._removal: RemovedWithUs | None = None
        self._servers: dict[ServerCommand, PolicyServer] = {}

    async def __aenter__(self) -> PolicyServers:
        if self._commands:
            _remove_dead()
            self._folder, self._lock = _own_folder()
            self._removal = RemovedWithUs(self._folder)
            self._servers = {
                command: PolicyServer(command, self._folder / f"{number}.sock", self._device)
                for number, command in enumerate(self._commands)
            }
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await asyncio.gather(*(server.close() for server in self._servers.values()))
        if self._removal is not None:
            self._removal.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def start(self) -> None:
        """Start all and wait until they can decide; after that they are watched.

        Raises:
            TestbedError: one can't.
        """
        await asyncio.gather(*(server.start() for server in self._servers.values()))
        for server in self._servers.values():
            server.watch()

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._commands)

    def of(self, command: ServerCommand | None) -> PolicyServer | None:
        """The server of a command; None of none."""
        return None if command is None else self._servers[command]


def _own_folder() -> tuple[Path, int]:
    """A new folder, and the descriptor whose lock says that its run lives: the kernel lets go of it."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=FOLDER))
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return folder, lock
        os.close(lock)  # another run took it for a dead one's before it was locked


def _remove_dead() -> None:
    """Remove the folders of runs that were killed: nobody has the lock, and nobody listens there."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER}*"):
        with contextlib.suppress(OSError):
            if folder.lstat().st_uid == os.getuid():
                _remove_if_dead(folder)


def _remove_if_dead(folder: Path) -> None:
    """Remove one of them.

    Raises:
        OSError: its run lives, or it has gone.
    """
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if all(map(_is_dead, folder.iterdir())):
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def _is_dead(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.settimeout(PROBE_WITHIN_S)
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
    return False

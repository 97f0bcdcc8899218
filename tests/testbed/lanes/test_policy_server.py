"""The folders of policy servers: a killed run's goes, a living run's stays while its server is down."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from player.policy import ServerCommand
from testbed.lanes.policy_server import FOLDER, PolicyServer, PolicyServers
from testbed.sweeps.lanes import LaneServices

ROOT = Path(__file__).resolve().parents[3]
COMMAND = ServerCommand("nobody", (), "NOBODY")
ANOTHER = ServerCommand("another", (), "ANOTHER")
LIVES = """
import asyncio, sys
from tests.testbed.lanes.test_policy_server import COMMAND
from testbed.lanes.policy_server import PolicyServers

async def live():
    async with PolicyServers([COMMAND], "cpu") as servers:
        print(servers.of(COMMAND).environment["NOBODY"], flush=True)
        await asyncio.sleep(600)

asyncio.run(live())
"""


def dead_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(path))


@pytest.mark.parametrize("empty", [True, False])
def test_a_killed_runs_folder_goes_and_a_living_runs_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty: bool
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    async def another_run() -> None:
        async with PolicyServers([COMMAND], "cpu"):
            assert len(list(tmp_path.glob(f"{FOLDER}*"))) >= 1

    process = subprocess.Popen(
        [sys.executable, "-c", LIVES],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        cwd=ROOT,
    )
    try:
        assert process.stdout is not None
        place = Path(process.stdout.readline().strip())
        assert place.parent.parent == tmp_path
        if not empty:
            dead_socket(place)  # its server was killed, and is about to be started again
        asyncio.run(another_run())
        assert [each.name for each in tmp_path.iterdir()] == [place.parent.name]
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    asyncio.run(another_run())
    assert not list(tmp_path.iterdir())


def test_what_happens_to_a_sweeps_server_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def started(self: PolicyServers) -> None: ...

    monkeypatch.setattr(PolicyServers, "start", started)

    async def whole() -> None:
        async with contextlib.AsyncExitStack() as stack:
            shared = LaneServices(stack, "cpu")
            first, second = await shared.server(COMMAND), await shared.server(ANOTHER)
            assert isinstance(first, PolicyServer) and isinstance(second, PolicyServer)
            assert await shared.server(COMMAND) is first and shared.news() == []
            second.notes.append("died")
            assert shared.news() == ["died"]
            first.notes.append("died, too")
            second.notes.append("started again")
            assert (shared.news(), shared.news()) == (["died, too", "started again"], [])

    asyncio.run(whole())


LOADS = """
import json, os, signal, threading, time
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
print(json.dumps({"line": "ready", "loaded_at": os.nice(0)}), flush=True)
signal.pause()
"""


def test_a_server_keeps_the_runs_priority_also_when_it_was_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loads_something.py").write_text(LOADS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ours = os.nice(0)

    def priorities(pid: int) -> list[int]:
        return [
            os.getpriority(os.PRIO_PROCESS, int(task.name)) for task in Path(f"/proc/{pid}/task").iterdir()
        ]

    async def whole() -> None:
        command = ServerCommand("loads_something", (), "ASKED")
        async with PolicyServers([command], "cpu") as servers:
            await servers.start()
            server = servers.of(command)
            assert server is not None and server._child is not None
            first = server._child.process.pid
            assert (server.facts["loaded_at"], priorities(first)) == (ours, [ours] * 2)
            os.kill(first, signal.SIGKILL)
            while len(server.notes) < 2:  # it died; it was started again
                await asyncio.sleep(0.01)
            assert server.facts["loaded_at"] == ours
            assert priorities(server._child.process.pid) == [ours] * 2
            assert "nice" not in server.manifest

    asyncio.run(whole())

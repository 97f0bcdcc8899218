"""Both servers under hostile requests: no status 500, no traceback, no wait.

`make stress` attacks each for ten minutes, or as long as STREAMBED_FUZZ_S says; the usual tests for moments.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from policies.llm.serving.protocol import DECIDE, HEALTH, Request, dump_request
from policies.llm.tasks.ladder.task import TASK
from policies.llm.tasks.ladder.wire import VideoStep
from tests.fuzzing.hostile_requests import RequestMaker, attacked, said_traceback
from tests.fuzzing.readers import asked_seconds
from tests.support.llm_server_fakes import FACTS, observations

ROOT = Path(__file__).resolve().parents[2]
SHORTLY_S = 3.0
SERVER = """
import asyncio, signal, sys
from pathlib import Path
from policies.llm.serving.arrivals import noting_loop
from policies.llm.serving.serve import listening
from policies.llm.serving.desks import TaskEngine
from policies.llm.serving.server import Server
from policies.llm.tasks.ladder.task import TASK
from tests.support.llm_server_fakes import FakeEngine

async def serve():
    TASK.ready()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with listening(Server([TaskEngine(TASK, FakeEngine(slots=64))]), Path(sys.argv[1])):
        print("ready", flush=True)
        await stop.wait()

with asyncio.Runner(loop_factory=noting_loop) as runner:
    runner.run(serve())
"""


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def _post(body: str | bytes) -> bytes:
    content = body if isinstance(body, bytes) else body.encode()
    return f"POST {DECIDE} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content


@contextlib.contextmanager
def _running(words: list[str], folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A server process and its first line; its stderr is in `stderr`."""
    with (folder / "stderr").open("wb") as stderr:
        process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, stderr=stderr, cwd=ROOT)
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().decode()
        finally:
            process.terminate()
            process.wait(30)
            process.stdout.close()


def _model_server(folder: Path, seconds: float, chance: random.Random) -> list[str]:
    """Its own code before an engine that is quick."""
    place = folder / "s.sock"
    steps = tuple(VideoStep.of(seen) for seen in observations(0))
    good = [
        _post(dump_request(Request("ladder", f"s{number}", 0, steps[:number], FACTS, 5000.0), TASK))
        for number in range(1, 9)
    ]

    def connect() -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(5.0)
        connection.connect(str(place))
        return connection

    maker = RequestMaker([*good, _get(HEALTH), _get("/metrics")], [DECIDE, HEALTH, "/v1/sessions/s1"], chance)
    with _running(["-c", SERVER, str(place)], folder) as (process, _):
        watch = attacked(connect, maker, _get(HEALTH), seconds, process.pid)
    assert watch.statuses.get(200, 0) > 0 and watch.sent > 10
    return [*watch.faults, *said_traceback(process, (folder / "stderr").read_bytes())]


def _origin(folder: Path, seconds: float, chance: random.Random) -> list[str]:
    with _running(
        [
            "testbed/origin.py",
            "--segments",
            "noise",
            "--part-s",
            "0.5",
            "--port",
            "0",
            "--host",
            "127.0.0.1",
            "--json",
        ],
        folder,
    ) as (
        process,
        line,
    ):
        told = json.loads(line)
        name = told["videos"][0]["name"]

        def connect() -> socket.socket:
            return socket.create_connection((told["host"], told["port"]), timeout=5.0)

        paths = ["/healthz", f"/{name}/manifest.mpd", f"/{name}/0/0.m4s", "/"]
        paths += [f"/{name}/live/manifest.mpd", f"/{name}/live/5/0/0.m4s", "/clock"]
        maker = RequestMaker([_get(path) for path in paths[:3]], paths, chance)
        watch = attacked(connect, maker, _get("/healthz"), seconds, process.pid)
    assert watch.statuses.get(200, 0) > 0 and watch.sent > 10
    return [*watch.faults, *said_traceback(process, (folder / "stderr").read_bytes())]


Attack = Callable[[Path, float, random.Random], list[str]]


@pytest.mark.parametrize("attack", [_model_server, _origin], ids=["model", "origin"])
def test_hostile_requests_cost_nothing(attack: Attack, tmp_path: Path) -> None:
    assert attack(tmp_path, SHORTLY_S, random.Random(0)) == []


@pytest.mark.stress
@pytest.mark.parametrize("attack", [_model_server, _origin], ids=["model", "origin"])
def test_hostile_requests_cost_nothing_for_long(attack: Attack, tmp_path: Path) -> None:
    assert attack(tmp_path, asked_seconds(), random.Random()) == []

"""`python -m policies.llm serve`: hold the model and decide for whoever asks, until told to stop."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from pathlib import Path

from aiohttp import web

from policies.llm.engine.apart import EnginesApart
from policies.llm.engine.asked import Asked, engines_for, held_together
from policies.llm.engine.contract import EngineFull, EngineGone, ServingEngine
from policies.llm.serving.arrivals import LOOK_EVERY_S, Doorkeeper, noting_loop
from policies.llm.serving.client import default_socket, runtime_folder
from policies.llm.serving.desks import Limits, TaskEngine
from policies.llm.serving.options import SHORTEST_TOKEN
from policies.llm.serving.plain_http import PlainConnections
from policies.llm.serving.server import Server
from policies.llm.serving.sessions import IDLE_S
from policies.llm.task import DEFAULT, Task, task_named
from traces.listening.addresses import LOOPBACK, is_loopback
from traces.listening.client_faults import quiet_about_clients
from traces.safe_reading import BadFileError, decoded, read_given

LONGEST_SOCKET_PATH = 107
"""Bytes: sun_path of <linux/un.h> less its final zero."""
SHUTDOWN_S = 1.0
KEEP_ALIVE_S = 2.0 * IDLE_S
"""A player on a dark link may be silent for long; then it connects anew."""
LINGER_S = 1.0
"""What is left of a body that was refused is read so long, so that the client hears why."""
WARM_UP_STEPS = 3
WARM_UP_SESSIONS = 16
SWITCH_S = 5e-4
"""A thread that has a forward's answer in hand waits no longer for one that reads requests."""
GARBAGE_AFTER = 20_000
"""Objects more than were given back: of some hundred requests."""


class ServeError(ValueError):
    """Nothing can be served; the message names the value and the way out."""


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; the exit status.

    Raises:
        ServeError, ValueError, OSError: nothing can be served, or the engine's process has ended.
    """
    token = read_token(args.token_file)
    if args.host is not None and args.port is None:
        raise ServeError("--host needs --port")
    host = args.host or LOOPBACK
    if args.port is not None and token is None and not is_loopback(host):
        raise ServeError(f"--host {host} can be reached from elsewhere: name a --token-file")
    path = None if args.port is not None else free_place(args.socket)
    try:
        return _run(args, token, path, host)
    except EngineGone as error:
        raise ServeError(str(error)) from None


def _run(args: argparse.Namespace, token: str | None, path: Path | None, host: str) -> int:
    """As `run`, where and for whom being settled."""
    began_s = time.monotonic()
    asked = asked_engines(args)
    for task in (task for each in asked for task in each.tasks):
        task.ready()  # first: what this loads, the engine's process need not load again
    with EnginesApart(asked, forks=True) as apart:
        engines = apart.loaded()
        took = [warm_up(engine) for engine in engines]
        served = [TaskEngine(task, engine) for task, engine in zip(apart.tasks, engines, strict=True)]
        delay_s, versions = args.delay_ms / 1000.0, apart.versions
        server = Server(served, _limits(args), token=token, delay_s=delay_s, versions=versions)
        for task, times in zip(apart.tasks, took, strict=True):
            server.learn(task.name, times)
        settle_memory()
        loading_s = time.monotonic() - began_s
        with asyncio.Runner(loop_factory=noting_loop) as runner:
            return runner.run(_serve(server, apart, path, host, args.port, args.json, loading_s))


def _limits(args: argparse.Namespace) -> Limits:
    return Limits(
        sessions=args.max_sessions,
        idle_s=args.idle_s,
        waiting=args.max_waiting,
        batch=args.max_batch,
        gather_s=args.gather_ms / 1000.0,
        budget_s=None if args.first_come else args.budget_ms / 1000.0,
    )


def asked_engines(args: argparse.Namespace) -> list[Asked]:
    """An engine for each task that is asked for; one for all that one adapter holds.

    Raises:
        ServeError, TaskError: no such task, or an adapter that could be of several.
    """
    adapters = asked_tasks(args.task, args.adapter)
    if args.threads is not None:  # read once, by libraries that torch loads, for every thread
        os.environ["OMP_NUM_THREADS"] = str(args.threads)
    options = {
        "device": args.device,
        "slots": args.max_sessions,
        "threads": args.threads,
        "dtype": args.dtype,
    }
    return engines_for(adapters, options)


def asked_tasks(words: Sequence[str] | None, adapter: Path | None) -> dict[Task, Path | None]:
    """Each task with its adapter; None for the shipped one.

    Raises:
        ServeError: a task twice, or an adapter that could be of several.
        TaskError: no such task.
    """
    several = held_together(adapter) if adapter is not None else ()
    asked: dict[Task, Path | None] = {}
    for word in words or several or [DEFAULT]:
        name, given, folder = word.partition("=")
        task = task_named(name)
        if task in asked:
            raise ServeError(f"--task {word}: {name} stands twice; a server has one adapter for a task")
        asked[task] = Path(folder) if given else None
    if adapter is not None:
        if any(asked.values()) or (len(asked) > 1 and not several):
            raise ServeError(f"--adapter {adapter}: of which task? say --task NAME={adapter}")
        asked = dict.fromkeys(asked, adapter)
    return asked


def settle_memory() -> None:
    """What was loaded stays: to look through it for garbage takes as long as many answers. What requests
    leave is looked through more rarely than Python does, and threads take turns more often.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_AFTER)
    sys.setswitchinterval(SWITCH_S)


def warm_up(engine: ServingEngine) -> list[tuple[int, float]]:
    """Let the first forwards, which are slow, be nobody's. Sessions in one forward and its seconds, of some
    later ones."""
    import numpy as np

    step, times = np.zeros((1, engine.info.feature_width), np.float32), []
    for sessions in (1, WARM_UP_SESSIONS):
        slots: list[int] = []
        with contextlib.suppress(EngineFull):
            while len(slots) < sessions:
                slots.append(engine.open())
        for turn in range(2 * WARM_UP_STEPS):
            began_s = time.monotonic()
            engine.forward([(slot, step) for slot in slots])
            if turn >= WARM_UP_STEPS:
                times.append((len(slots), time.monotonic() - began_s))
        for slot in slots:
            engine.close(slot)
    return times


def read_token(path: Path | None) -> str | None:
    """The token of a file's first line.

    Raises:
        ServeError: there is none in it, or one that is guessed too easily.
    """
    if path is None:
        return None
    try:
        token = decoded(read_given(path), str(path)).partition("\n")[0].strip()
    except BadFileError as error:
        raise ServeError(f"--token-file {error}") from None
    except OSError as error:
        raise ServeError(f"--token-file {path}: {error.strerror}") from None
    if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ServeError(
            f"--token-file {path}: its first line must be {SHORTEST_TOKEN} or more letters, digits or signs"
        )
    return token


def free_place(asked: Path | None) -> Path:
    """Where a socket can be made: a dead server's is removed, a living one's stays.

    Raises:
        ServeError: a server listens there, something else lies there, or nothing can be made there.
    """
    path = (asked if asked is not None else default_socket()).absolute()
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise ServeError(f"--socket {path}: over {LONGEST_SOCKET_PATH} bytes; name a shorter path")
    try:
        if asked is None:
            _own_folder(runtime_folder())
        if not path.is_socket():
            if path.exists():
                raise ServeError(f"--socket {path}: a file that is no socket lies there; name another path")
            if not path.parent.is_dir():
                raise ServeError(f"--socket {path}: no folder {path.parent}")
            return path
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.settimeout(1.0)
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink(missing_ok=True)
                return path
    except OSError as error:
        raise ServeError(f"--socket {path}: {error.strerror or error}; name another path") from None
    raise ServeError(f"--socket {path}: a server listens there already; end it, or name another path")


def _own_folder(folder: Path) -> None:
    """A folder that nobody else can put a socket into.

    Raises:
        ServeError: it is somebody else's.
        OSError: it can't be made.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise ServeError(f"{folder} can be written by others; name a --socket elsewhere")


async def _serve(
    server: Server,
    apart: EnginesApart,
    path: Path | None,
    host: str,
    port: int | None,
    as_object: bool,
    loading_s: float,
) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    ended = os.pidfd_open(apart.pid)
    loop.add_reader(ended, stop.set)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with listening(server, path, host, port) as where:
        facts = {"line": "ready", "address": where, "loading_s": round(loading_s, 3), **server.facts()}
        if as_object:
            print(json.dumps(facts), flush=True)
        else:
            for name, info in facts["tasks"].items():
                print(
                    f"{name}: {info['base']}, {info['layers']} layers, adapter"
                    f" {info['adapter_sha256'][:12]}, on {info['device']} in {info['dtype']}"
                )
            print(f"ready at {where} after {loading_s:.1f} s", flush=True)
        await stop.wait()
        loop.remove_reader(ended)
        os.close(ended)
        if apart.ended:
            raise ServeError(str(apart.gone()))
    return 0


@contextlib.asynccontextmanager
async def listening(
    server: Server, path: Path | None, host: str = LOOPBACK, port: int | None = 0
) -> AsyncIterator[str]:
    """The server answers at a socket's path, or on TCP, while the context lasts; gives the address.

    Requests in hand have a moment to end; a socket's file goes.

    Raises:
        ServeError: it can't listen there.
    """
    quiet_about_clients()
    runner = web.AppRunner(
        server.application(),
        access_log=None,
        shutdown_timeout=SHUTDOWN_S,
        handle_signals=False,
        keepalive_timeout=KEEP_ALIVE_S,
        auto_decompress=False,  # nobody's few bytes may become many here
        lingering_time=LINGER_S,
    )
    await runner.setup()
    assert runner.server is not None
    framework = runner.server
    doorkeeper = server.doorkeeper = Doorkeeper(lambda: list(framework.connections))
    connections = PlainConnections(server, framework, KEEP_ALIVE_S)
    watching = asyncio.create_task(_watch(doorkeeper, connections))
    try:
        place = _on_tcp(connections, host, port) if path is None else _on_socket(connections, path)
        async with place as where:
            yield where
    finally:
        watching.cancel()
        await connections.answered(SHUTDOWN_S)
        await runner.cleanup()


@contextlib.asynccontextmanager
async def _on_tcp(connections: PlainConnections, host: str, port: int | None) -> AsyncIterator[str]:
    """They are taken in there while the context lasts; gives the address."""
    making = asyncio.get_running_loop().create_server(connections, host, port)
    listens = await _placed(making, f"--host {host} --port {port}")
    try:
        bound = listens.sockets[0].getsockname()[1]
        yield f"http://[{host}]:{bound}" if ":" in host else f"http://{host}:{bound}"
    finally:
        listens.close()


@contextlib.asynccontextmanager
async def _on_socket(connections: PlainConnections, path: Path) -> AsyncIterator[str]:
    """As `_on_tcp`."""
    free_place(path)  # again: another server may have come while the model was loaded
    before = os.umask(0o177)
    try:
        making = asyncio.get_running_loop().create_unix_server(connections, path)
        listens = await _placed(making, f"--socket {path}")
    finally:
        os.umask(before)
    made = _identity(path)
    try:
        yield str(path)
    finally:
        if made is not None and _identity(path) == made:  # another server's stays
            path.unlink(missing_ok=True)
        listens.close()


async def _watch(doorkeeper: Doorkeeper, connections: PlainConnections) -> None:
    """Until it is cancelled."""
    while True:
        doorkeeper.look(time.monotonic())
        connections.close_idle(time.monotonic())
        await asyncio.sleep(LOOK_EVERY_S)


async def _placed(listening_there: Awaitable[asyncio.Server], where: str) -> asyncio.Server:
    try:
        return await listening_there
    except OSError as error:
        raise ServeError(f"{where}: {error.strerror or error}; name another place") from None


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino

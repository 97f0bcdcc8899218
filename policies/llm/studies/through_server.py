"""`bench`'s server: a process of the same model, how it is asked, and what comes of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from policies.llm.serving.batcher import LONGEST_QUEUE
from policies.llm.serving.client import Address, Client, RemoteSession
from policies.llm.studies.light_clients import Heard
from policies.llm.task import Task
from traces.bound_processes import die_with_parent

START_WITHIN_S = 180.0
DEADLINE_S = 60.0
"""Of a decision here: nothing is to be cut off that is to be measured."""


class BenchError(ValueError):
    """The server to be measured does not serve."""


@dataclass(frozen=True)
class TimeSpread:
    """Times of many decisions."""

    decisions: int
    p50_ms: float
    p99_ms: float

    @classmethod
    def of(cls, times_ms: Sequence[float]) -> TimeSpread:
        return cls(len(times_ms), *(float(each) for each in np.percentile(times_ms, (50, 99))))


@dataclass(frozen=True)
class ServerRow:
    """Through the socket, all sessions at once."""

    sessions: int
    asked: TimeSpread
    """From the request's sending to its answer."""
    mean_batch: float
    decisions_per_s: float
    """The median of the runs."""
    of_engine: float
    """Decisions a second over those of the engine alone in the same run: the median of the runs."""
    worst_of_engine: float
    client_ms: float
    """Of a processor, that asking for a decision takes."""


@dataclass(frozen=True)
class ServerProcess:
    """A server that answers."""

    pid: int
    address: Address

    def resident_mib(self) -> float:
        """The most memory that it and its engine's process have had."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return sum(resident_mib(pid) for pid in (self.pid, *map(int, children)))


@contextmanager
def a_server(
    adapter: Path | None,
    options: Sequence[str],
    most: int,
    threads: int,
    path: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[ServerProcess]:
    """A server process of the same model, at a socket, that holds every session's request.

    Args:
        options: of `serve`, besides.
        most: sessions at once.
        environment: of the process, besides this one's.

    Raises:
        BenchError: it does not start.
    """
    words = ["serve", "--socket", str(path), *options, "--threads", str(threads)]
    words += ["--max-sessions", str(most), "--max-waiting", str(max(2 * most, LONGEST_QUEUE)), "--json"]
    if adapter is not None:
        words += ["--adapter", str(adapter)]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "policies.llm", *words],
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            env={**os.environ, **(environment or {})},
            preexec_fn=die_with_parent,
        )
        overdue = threading.Timer(START_WITHIN_S, process.kill)
        overdue.start()
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            overdue.cancel()
            if not line:
                status = process.wait()
                said.seek(0)
                last = said.read().decode(errors="replace").strip().splitlines()[-1:]
                raise BenchError(f"the server did not start: {' '.join(last) or f'exit status {status}'}")
            json.loads(line)
            yield ServerProcess(process.pid, Address.of(str(path)))
        finally:
            overdue.cancel()
            process.terminate()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def server_row(count: int, runs: Sequence[tuple[float, Heard]]) -> ServerRow:
    """What runs come to.

    Args:
        runs: of each the engine's decisions a second, and what the clients heard.
    """
    shares = [heard.decisions_per_s / engine_per_s for engine_per_s, heard in runs]
    return ServerRow(
        sessions=count,
        asked=TimeSpread.of([each for _, heard in runs for each in heard.times_ms]),
        mean_batch=float(np.mean([heard.mean_batch for _, heard in runs])),
        decisions_per_s=float(np.median([heard.decisions_per_s for _, heard in runs])),
        of_engine=float(np.median(shares)),
        worst_of_engine=min(shares),
        client_ms=float(np.median([heard.client_ms for _, heard in runs])),
    )


def player_spread(address: Address, task: Task, context: Any, steps: Sequence[Any]) -> TimeSpread:
    """A session alone, through a player's own client: from its call to its answer."""
    session, times_ms = RemoteSession(Client(address), task, context, DEADLINE_S), []
    for held in range(1, len(steps) + 1):
        begun_s = time.perf_counter()
        session.decide(steps[:held])
        times_ms.append(1000.0 * (time.perf_counter() - begun_s))
    session.end()
    return TimeSpread.of(times_ms)


def resident_mib(pid: int) -> float:
    """The most memory that a process has had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024.0
    return 0.0

"""What the tests of the policy server share: an engine that is quick and exact, sessions, a server."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.observation import Observation
from player.qoe import QoE
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.video import Video
from policies.llm.engine.contract import EngineFull
from policies.llm.serving.client import Address, Client, RemoteSession
from policies.llm.serving.desks import Limits, TaskEngine
from policies.llm.serving.serve import listening
from policies.llm.serving.server import Server
from policies.llm.task import Vectors
from policies.llm.tasks.ladder.task import TASK
from policies.view.layout import MAX_LEVELS, WIDTH
from traces.trace import Trace

KBPS = (300, 750, 1200, 1850, 2850, 4300)
VIDEO = Video(
    "vbr",
    4.0,
    KBPS,
    tuple(tuple(kbps * (400 + 37 * (chunk * 7 % 9)) for kbps in KBPS) for chunk in range(49)),
)
FACTS = TASK.usual_context(VIDEO)
TRACES = (
    Trace("good", (0.0, 20.0, 40.0), (5.0, 6.0, 3.0)),
    Trace("bad", (0.0, 10.0, 15.0, 40.0), (1.0, 0.5, 0.2, 1.5)),
    Trace("changing", (0.0, 7.0, 9.0, 30.0), (2.0, 0.4, 4.0, 1.2)),
)
CHUNKS = 12


@dataclass(frozen=True)
class FakeInfo:
    task: str = "ladder"
    base: str = "fake"
    base_sha256: str = "b" * 64
    adapter_sha256: str = "a" * 64
    layers: int = 0
    device: str = "cpu"
    dtype: str = "float32"
    feature_width: int = WIDTH
    outputs: int = MAX_LEVELS
    max_steps: int = 64
    parameters: int = 0
    tokens_per_step: int = 1
    target: float | None = None


class FakeEngine:
    """A memory per slot that every step changes, so that a lost, doubled or swapped step shows.

    Args:
        slots: sessions at once.
    """

    def __init__(self, slots: int = 8) -> None:
        self.info = FakeInfo()
        self._free = list(range(slots))
        self._memory: dict[int, NDArray[np.float64]] = {}
        self.batches: list[list[tuple[int, int]]] = []
        """(slot, new steps) of every forward."""
        self.closed: list[int] = []
        """Every slot that was given back."""
        self.fail_once = False
        self.begun = 0
        """Forwards, also those that wait."""
        self.go = threading.Event()
        """A forward waits for it."""
        self.go.set()

    def open(self) -> int:
        if not self._free:
            raise EngineFull
        slot = self._free.pop()
        self._memory[slot] = np.zeros(MAX_LEVELS)
        return slot

    def rows(self, slot: int, new: int) -> int:
        assert slot in self._memory
        return new

    def close(self, slot: int) -> None:
        self.closed.append(slot)
        del self._memory[slot]
        self._free.append(slot)

    def forward(self, work: Sequence[tuple[int, Vectors]]) -> Vectors:
        self.begun += 1
        assert self.go.wait(30)
        if self.fail_once:
            self.fail_once = False
            raise RuntimeError("out of memory")
        slots = [slot for slot, _ in work]
        assert len(set(slots)) == len(slots), "a slot twice in one batch"
        self.batches.append([(slot, len(features)) for slot, features in work])
        rows = []
        for slot, features in work:
            memory = self._memory[slot]
            for step in features.astype(np.float64):
                memory = np.cos(
                    3.0 * memory + np.resize(step, (-(-step.size // MAX_LEVELS), MAX_LEVELS)).sum(axis=0)
                )
            self._memory[slot] = memory
            rows.append(memory)
        return np.asarray(rows, np.float32)


class Watching:
    """A policy that keeps what it saw, and answers in turn."""

    def __init__(self) -> None:
        self.seen: list[Observation] = []

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        self.seen = []

    def select(self, observation: Observation) -> int:
        self.seen.append(observation)
        return (observation.chunk * 5) % 6


def observations(number: int, chunks: int = CHUNKS) -> list[Observation]:
    """All observations of a session over one of the traces."""
    watching = Watching()
    simulate(
        VIDEO,
        TRACES[number % len(TRACES)],
        watching,
        seed=number,
        qoe=QoE(),
        link=PublishedLink(noise=True),
        chunks=chunks,
        first_level=None,
    )
    return watching.seen


@contextlib.asynccontextmanager
async def serving(
    path: Path, engine: FakeEngine | None = None, limits: Limits | None = None, **options: Any
) -> AsyncIterator[Server]:
    """A server on a Unix socket, in this event loop."""
    TASK.ready()
    server = Server([TaskEngine(TASK, engine or FakeEngine())], limits, **options)
    async with listening(server, path):
        yield server


def remote(path: Path, deadline_s: float = 30.0) -> RemoteSession:
    """A session of a client of its own."""
    return RemoteSession(Client(Address.of(str(path))), TASK, FACTS, deadline_s)


async def blocking(call: Callable[[], Any]) -> Any:
    """A blocking call, while the server goes on in this loop."""
    return await asyncio.to_thread(call)


async def until(done: Callable[[], Any]) -> None:
    """Until it is so; it will be, however loaded the machine."""
    async with asyncio.timeout(60):
        while not done():
            await asyncio.sleep(0.002)


def run(work: Awaitable[None]) -> None:
    """Run a test's coroutine."""

    async def whole() -> None:
        async with asyncio.timeout(60):
            await work

    asyncio.run(whole())


@contextlib.contextmanager
def released(engine: FakeEngine) -> Iterator[None]:
    """The engine stands still within, and goes on after, whatever happened."""
    engine.go.clear()
    try:
        yield
    finally:
        engine.go.set()

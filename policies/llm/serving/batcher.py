"""Requests that arrive within a few milliseconds share one forward; a late one joins the next.

`Batcher` owns the engine's one thread. Which requests form the next batch, and which not at all, is a
`BatchQueue`'s to say (`batch_by_deadline.py`, the default, and `batch_by_arrival.py`): it is told of every
arrival and of how long every forward took, and has no clock and no thread of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from policies.llm.engine.contract import ServingEngine

GATHER_S = 0.002
"""A request waits so long for others when other sessions are open: well under a forward's own time."""
LARGEST_BATCH = 64
LONGEST_QUEUE = 256

_Result = TypeVar("_Result")


class Late(Exception):
    """The deadline passed before the forward began."""


class Hopeless(Late):
    """It would be late, by what forwards take, and is refused while it can still be decided otherwise."""


class QueueFull(Exception):
    """More is waiting already than may wait."""


@dataclass(frozen=True, eq=False)
class WaitingSteps:
    """One session's new steps, waiting for a forward."""

    slot: int
    features: NDArray[np.float32]
    """(new steps, width)"""
    rows: int
    """Steps that its forward computes, those of a context that begins anew among them."""
    arrived_s: float
    deadline_s: float
    """Both on the scale of time.monotonic()."""
    result: asyncio.Future[Forwarded] = field(repr=False)
    answered: bool = False
    """Nobody waits for it: only its steps are to be taken in, when there is time."""


@dataclass(frozen=True)
class Forwarded:
    """What a forward gave one of its sessions."""

    logits: NDArray[np.float32]
    """(head width,)"""
    batch: int
    """Sessions that shared it."""
    began_s: float
    took_s: float


class BatchQueue(Protocol):
    """Decides which of the waiting requests go next. Called on the event loop only."""

    def __len__(self) -> int:
        """Requests waiting."""

    def push(self, work: WaitingSteps) -> None:
        """A request arrived.

        Raises:
            QueueFull, Hopeless: it may not wait.
        """

    def due_s(self) -> float:
        """When to `take`, while at least one request waits; a time that has passed means now."""

    def take(self, now_s: float) -> tuple[list[WaitingSteps], list[WaitingSteps]]:
        """The next batch, and those that are given up as late; a slot is in a batch once at most."""

    def took(self, batch: Sequence[WaitingSteps], seconds: float) -> None:
        """A batch's forward took so long."""

    def failed(self) -> None:
        """The batch's forward raised."""


class Batcher:
    """Runs forwards on a thread of its own, one after the other. Use it from one event loop.

    Args:
        engine: nobody else may use it.
        queue: which requests go next.
        delay_s: wait so long before every forward: a slow model, for tests.
        observe: called with every batch and its forward's seconds.
    """

    def __init__(
        self,
        engine: ServingEngine,
        queue: BatchQueue,
        *,
        delay_s: float = 0.0,
        observe: Callable[[Sequence[WaitingSteps], float], None] = lambda batch, seconds: None,
    ) -> None:
        self._engine, self.queue = engine, queue
        self._delay_s = delay_s
        self._observe = observe
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._arrival = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Batcher:
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._running is not None
        self._running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._running
        self._thread.shutdown(wait=False, cancel_futures=True)

    @property
    def alive(self) -> bool:
        """Whether requests are still being taken."""
        return self._running is not None and not self._running.done()

    async def open(self) -> int:
        """A free slot of the engine, between two forwards.

        Raises:
            Exception: what the engine raises when it is full.
        """
        return await self._on_thread(self._engine.open)

    async def close(self, slot: int) -> None:
        """Give a slot back, between two forwards."""
        await self._on_thread(lambda: self._engine.close(slot))

    async def forward(
        self, slot: int, features: NDArray[np.float32], deadline_s: float, answered: bool = False
    ) -> Forwarded:
        """The logits after a session's new steps. Its forward, once begun, is not broken off.

        Args:
            answered: the session has its answer already; the steps are taken in after all others.

        Raises:
            Hopeless: its queue holds that it would be late; the steps were not taken in.
            Late: the deadline passed before it began; the steps were not taken in.
            QueueFull: too many wait.
            Exception: what the engine raised; the slot's state is then unknown.
        """
        result: asyncio.Future[Forwarded] = asyncio.get_running_loop().create_future()
        rows = self._engine.rows(slot, len(features))
        self.queue.push(WaitingSteps(slot, features, rows, time.monotonic(), deadline_s, result, answered))
        self._arrival.set()
        return await result

    async def _on_thread(self, call: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def _run(self) -> None:
        while True:
            await self._gathered()
            batch, late = self.queue.take(time.monotonic())
            for work in late:
                _settle(work, Late("the deadline passed in the queue"))
            if batch:
                await self._forward(batch)

    async def _gathered(self) -> None:
        """Wait until the queue's next batch is due; an arrival may make it so sooner."""
        while True:
            self._arrival.clear()
            wait_s = self.queue.due_s() - time.monotonic() if len(self.queue) else None
            if wait_s is not None and wait_s <= 0.0:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._arrival.wait(), wait_s)

    async def _forward(self, batch: Sequence[WaitingSteps]) -> None:
        began_s = time.monotonic()
        try:
            logits = await self._on_thread(lambda: self._compute(batch))
        except Exception as error:
            self.queue.failed()
            for work in batch:
                _settle(work, error)
            return
        took_s = time.monotonic() - began_s
        self.queue.took(batch, took_s)
        self._observe(batch, took_s)
        for work, row in zip(batch, logits, strict=True):
            _settle(work, Forwarded(row, len(batch), began_s, took_s))

    def _compute(self, batch: Sequence[WaitingSteps]) -> NDArray[np.float32]:
        if self._delay_s:
            time.sleep(self._delay_s)
        return self._engine.forward([(work.slot, work.features) for work in batch])


def _settle(work: WaitingSteps, outcome: Forwarded | Exception) -> None:
    if work.result.done():
        return
    if isinstance(outcome, Exception):
        work.result.set_exception(outcome)
    else:
        work.result.set_result(outcome)

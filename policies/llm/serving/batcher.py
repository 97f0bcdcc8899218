"""Requests that arrive within a few milliseconds share one forward; a late one joins the next.

`Batcher` owns the engine's one thread. Which requests form the next batch, and which not at all, is a
`BatchQueue`'s to say (`batch_by_deadline.py`, the default, and `batch_by_arrival.py`): it is told of every
arrival and of how long every forward took, and has no clock and no thread of its own. Before a batch is
taken, what lies in the sockets is read, for as long as sharing a forward saves. What requests are fed is made
for all that wait at once, beside the event loop and the forward that runs. An engine in another process gets
the next batch while it is at one, where nothing is gained by waiting, so that it need not stand idle.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from policies.llm.engine.contract import EngineAhead, SharedForwards
from policies.llm.serving.arrivals import PORTION
from policies.llm.task import Decided, NextSteps, Vectors

GATHER_S = 0.002
"""A request waits so long for others when other sessions are open: well under a forward's own time."""
LARGEST_BATCH = 64
LONGEST_QUEUE = 256
_TURNS = 3
"""Of the event loop, from the poll that finds a request to its place in the queue."""

Fill = Callable[[Sequence[NextSteps]], list[Vectors]]
"""As `Task.fill`."""
Answers = Callable[[Vectors, Vectors], list[Decided]]
"""As `Task.answers`."""


class Late(Exception):
    """The deadline passed before the forward began."""


class Hopeless(Late):
    """It would be late, by what forwards take, and is refused while it can still be decided otherwise."""


class QueueFull(Exception):
    """More is waiting already than may wait."""


class NotFinite(Exception):
    """Nothing finite can be made of the step at `place` of those that wait; they were not taken in."""

    def __init__(self, place: int) -> None:
        super().__init__(f"step {place}: its numbers are beyond what the model can be fed")
        self.place = place


@dataclass(eq=False)
class WaitingSteps:
    """One session's new steps, waiting for a forward."""

    slot: int
    asked: NextSteps
    rows: int
    """Steps that its forward computes, those of a context that begins anew among them."""
    arrived_s: float
    deadline_s: float
    """Both on the scale of time.monotonic()."""
    result: asyncio.Future[Forwarded] = field(repr=False)
    answered: bool = False
    """Nobody waits for it: only its steps are to be taken in, when there is time."""
    vectors: Vectors | Exception | None = None
    """(new steps, width) of them, or why there are none, once that is made."""
    filling: asyncio.Future[None] | None = field(default=None, repr=False)
    """While it is being made."""


@dataclass(frozen=True)
class Forwarded:
    """What a forward gave one of its sessions."""

    logits: NDArray[np.float32]
    """(head width,)"""
    vector: Vectors
    """(width,) of the last step."""
    batch: int
    """Sessions that shared it."""
    began_s: float
    decided: Decided | None = None
    """What that comes to, where the batcher was told how to find it."""


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

    def goes_ahead(self, now_s: float) -> bool:
        """While a forward runs and at least one request waits: whether nothing is gained by waiting for its
        end with the next `take`."""

    def took(self, batch: Sequence[WaitingSteps], seconds: float) -> None:
        """The forward of the batch that was taken first of those that are out took so long."""

    def learn(self, steps: int, seconds: float) -> None:
        """A forward of so many new steps took so long, before anybody waited."""

    def answered(self, batch: Sequence[WaitingSteps], now_s: float) -> None:
        """A batch's sessions get their answers."""

    def left(self, slot: int) -> None:
        """A session is over."""

    def reads_until_s(self) -> float:
        """How long a batch that is due may wait for what lies in the sockets, while at least one request
        waits."""

    def failed(self) -> None:
        """The batch's forward raised."""


class Batcher:
    """Runs forwards on a thread of its own, one after the other. Use it from one event loop.

    Args:
        engine: of one task or of several; nobody else may use it.
        queue: which requests go next.
        fill: makes what the model is fed of a batch's steps.
        answers: says what a batch's outputs come to, as `Task.answers`; None leaves that to the sessions.
        delay_s: wait so long before every forward: a slow model, for tests.
        observe: called with every batch and its forward's seconds.
    """

    def __init__(
        self,
        engine: SharedForwards,
        queue: BatchQueue,
        fill: Fill,
        *,
        answers: Answers | None = None,
        delay_s: float = 0.0,
        observe: Callable[[Sequence[WaitingSteps], float], None] = lambda batch, seconds: None,
    ) -> None:
        self._engine, self.queue, self._fill, self._answers = engine, queue, fill, answers
        self._delay_s = delay_s
        self._observe = observe
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._receiver = ThreadPoolExecutor(1, thread_name_prefix="answers")
        self._ahead = engine if isinstance(engine, EngineAhead) else None
        self._filler = ThreadPoolExecutor(1, thread_name_prefix="fill")
        self._unfilled: list[WaitingSteps] = []
        self._filling: asyncio.Task[None] | None = None
        self._out = 0
        """Forwards that run, or are the engine's next."""
        self._forwards: set[asyncio.Task[None]] = set()
        self._beside = False
        """Those who wait have come while a forward ran."""
        self._done_s = 0.0
        """When the last forward was."""
        self._wake: asyncio.Future[None] | None = None
        """Of the batcher, while it waits."""
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Batcher:
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._running is not None
        self._running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._running
        for forward in self._forwards:
            forward.cancel()
        for thread in (self._thread, self._receiver, self._filler):
            thread.shutdown(wait=False, cancel_futures=True)

    @property
    def alive(self) -> bool:
        """Whether requests are still being taken."""
        return self._running is not None and not self._running.done()

    def close(self, slot: int) -> None:
        """Give a slot back that no forward has in hand."""
        self.queue.left(slot)
        self._engine.close(slot)

    async def forward(
        self,
        slot: int,
        asked: NextSteps,
        deadline_s: float,
        *,
        vectors: Vectors | None = None,
        answered: bool = False,
    ) -> Forwarded:
        """The logits after a session's new steps. Its forward, once begun, is not broken off.

        Args:
            vectors: what the model is fed of them, where that was made before.
            answered: the session has its answer already; the steps are taken in after all others.

        Raises:
            Hopeless: its queue holds that it would be late; the steps were not taken in.
            Late: the deadline passed before it began; the steps were not taken in.
            QueueFull: too many wait.
            NotFinite: the model can't be fed with them.
            Exception: what the engine raised; the slot's state is then unknown.
        """
        result: asyncio.Future[Forwarded] = asyncio.get_running_loop().create_future()
        rows, now_s = self._engine.rows(slot, len(asked.steps)), time.monotonic()
        work = WaitingSteps(slot, asked, rows, now_s, deadline_s, result, answered, vectors)
        alone = not self._out and not len(self.queue)
        self.queue.push(work)
        if vectors is None and not alone:  # who is alone is spared the way to another thread
            self._fill_ahead(work)
        self._awake()
        return await result

    def _fill_ahead(self, work: WaitingSteps) -> None:
        """Make what it is fed, while others are read or forwarded."""
        work.filling = asyncio.get_running_loop().create_future()
        self._unfilled.append(work)
        if self._filling is None:
            self._filling = asyncio.create_task(self._fill_all())

    async def _fill_all(self) -> None:
        try:
            while self._unfilled:
                works, self._unfilled = self._unfilled, []
                call = partial(_fed, self._fill, [work.asked for work in works])
                made = await asyncio.get_running_loop().run_in_executor(self._filler, call)
                for work, vectors in zip(works, made, strict=True):
                    work.vectors = vectors
                    if work.filling is not None and not work.filling.done():
                        work.filling.set_result(None)
        finally:
            self._filling = None

    async def _run(self) -> None:
        while True:
            await self._gathered()
            batch, late = self.queue.take(time.monotonic())
            for work in late:
                _settle(work, Late("the deadline passed in the queue"))
            if batch:
                self._out += 1
                forward = asyncio.create_task(self._forward(batch, self._begun(batch)))
                self._forwards.add(forward)
                forward.add_done_callback(self._ended)

    def _ended(self, forward: asyncio.Task[None]) -> None:
        """A forward's task has; one that breaks, which is a fault of ours, breaks the batcher, so that it is
        seen."""
        self._forwards.discard(forward)
        error = None if forward.cancelled() else forward.exception()
        if error is not None:
            told = {"message": "a forward's end failed", "exception": error, "task": forward}
            forward.get_loop().call_exception_handler(told)
            if self._running is not None:
                self._running.cancel()

    async def _gathered(self) -> None:
        """Wait until the queue's next batch is due; an arrival may make it so sooner. Where the machine was
        idle, what lies in the sockets is read first; beside a forward it was.
        """
        while True:
            now_s = time.monotonic()
            if self._out:
                if self._out == 1 and self._ahead and len(self.queue) and self.queue.goes_ahead(now_s):
                    return
                await self._woken(None)
                continue
            wait_s = self.queue.due_s() - now_s if len(self.queue) else None
            if wait_s is None or wait_s > 0.0:
                await self._woken(wait_s)
                continue
            if self._beside or now_s >= self.queue.reads_until_s() or not await self._more_was_read():
                self._beside = False
                return

    async def _more_was_read(self) -> bool:
        """Whether requests came in that lay in the sockets; they are in the queue then."""
        before = len(self.queue)
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        return len(self.queue) > before

    async def _woken(self, within_s: float | None) -> None:
        """Wait for an arrival."""
        loop = asyncio.get_running_loop()
        self._wake = loop.create_future()
        timer = None if within_s is None else loop.call_later(within_s, self._awake)
        try:
            await self._wake
        finally:
            self._wake = None
            if timer is not None:
                timer.cancel()

    def _awake(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _begun(self, batch: Sequence[WaitingSteps]) -> Future[list[Forwarded | Exception]] | None:
        """A batch's forward, handed to the engine's thread; None where its input is still being made."""
        if any(work.filling is not None and not work.filling.done() for work in batch):
            return None
        began_s = time.monotonic()
        if self._ahead is None:
            return self._thread.submit(self._compute, batch, began_s)
        sending = self._thread.submit(self._send, batch)
        return self._receiver.submit(self._received, sending, batch, began_s)

    async def _forward(
        self, batch: Sequence[WaitingSteps], begun: Future[list[Forwarded | Exception]] | None
    ) -> None:
        began_s = time.monotonic()
        try:
            while begun is None:
                for work in batch:
                    if work.filling is not None:
                        await work.filling
                begun = self._begun(batch)
            found = await asyncio.wrap_future(begun)
        except Exception as error:
            self._over()
            self.queue.failed()
            for work in batch:
                _settle(work, error)
            return
        now_s = time.monotonic()
        seconds = now_s - max(began_s, self._done_s)
        self._done_s = now_s
        self._over()
        self.queue.took(batch, seconds)
        self.queue.answered(batch, now_s)
        self._observe(batch, seconds)
        asyncio.get_running_loop().call_soon(self._settle_all, batch, found)  # once the next has begun

    def _over(self) -> None:
        """A forward is."""
        self._out -= 1
        self._beside = len(self.queue) > 0
        self._awake()

    def _settle_all(
        self, batch: Sequence[WaitingSteps], found: Sequence[Forwarded | Exception], begin: int = 0
    ) -> None:
        """Portion by portion: the first answers go out while the others are made."""
        end = begin + PORTION
        outcomes = found[begin:end] if self._answers is None else _decided(self._answers, found[begin:end])
        for work, outcome in zip(batch[begin:end], outcomes, strict=True):
            _settle(work, outcome)
        if end < len(batch):
            asyncio.get_running_loop().call_soon(self._settle_all, batch, found, end)

    def _compute(self, batch: Sequence[WaitingSteps], began_s: float) -> list[Forwarded | Exception]:
        """What each of a batch comes to."""
        work = self._work(batch)
        return _each(batch, self._engine.forward(work) if work else (), began_s)

    def _send(self, batch: Sequence[WaitingSteps]) -> bool:
        """Hand a batch to an engine that may still be at the one before; False where there is nothing to."""
        assert self._ahead is not None
        work = self._work(batch)
        if work:
            self._ahead.send(work)
        return bool(work)

    def _received(
        self, sending: Future[bool], batch: Sequence[WaitingSteps], began_s: float
    ) -> list[Forwarded | Exception]:
        """What each of a batch comes to that was sent."""
        assert self._ahead is not None
        outputs = self._ahead.receive() if sending.result() else ()
        return _each(batch, outputs, max(began_s, self._done_s))

    def _work(self, batch: Sequence[WaitingSteps]) -> list[tuple[int, Vectors]]:
        """Of a batch, what the engine can be fed."""
        if self._delay_s:
            time.sleep(self._delay_s)
        lacking = [work for work in batch if work.vectors is None]
        for each, vectors in zip(lacking, _fed(self._fill, [each.asked for each in lacking]), strict=True):
            each.vectors = vectors
        return [(each.slot, each.vectors) for each in batch if isinstance(each.vectors, np.ndarray)]


def _each(
    batch: Sequence[WaitingSteps], outputs: Iterable[Vectors], began_s: float
) -> list[Forwarded | Exception]:
    """What each comes to, given the outputs of those that could be fed."""
    shared, left = sum(isinstance(each.vectors, np.ndarray) for each in batch), iter(outputs)
    return [
        each.vectors
        if isinstance(each.vectors, Exception)
        else Forwarded(next(left), each.vectors[-1], shared, began_s)
        for each in batch
        if each.vectors is not None
    ]


def _fed(fill: Fill, asked: Sequence[NextSteps]) -> list[Vectors | Exception]:
    """What the model is fed of each, or why it can't be."""
    found = _filled(fill, asked) if asked else []
    return [one if isinstance(one, Exception) else _finite(one) for one in found]


def _filled(fill: Fill, asked: Sequence[NextSteps]) -> list[Vectors | Exception]:
    """A session of which none can be made does not harm the others."""
    try:
        return list(fill(asked))
    except Exception as error:
        return [error] if len(asked) == 1 else [_filled(fill, [each])[0] for each in asked]


def _finite(vectors: Vectors) -> Vectors | Exception:
    good = np.isfinite(vectors)
    return vectors if good.all() else NotFinite(int(np.flatnonzero(~good.all(axis=1))[0]))


def _decided(answers: Answers, found: Sequence[Forwarded | Exception]) -> list[Forwarded | Exception]:
    """With what each comes to; one of which nothing can come does not harm the others."""
    good = [each for each in found if isinstance(each, Forwarded)]
    if not good:
        return list(found)
    try:
        outputs, vectors = np.stack([each.logits for each in good]), np.stack([each.vector for each in good])
        decided = iter(answers(outputs, vectors))
    except Exception as error:
        alone = len(found) == 1
        return [error] if alone else [_decided(answers, [each])[0] for each in found]
    return [replace(each, decided=next(decided)) if isinstance(each, Forwarded) else each for each in found]


def _settle(work: WaitingSteps, outcome: Forwarded | Exception) -> None:
    if work.result.done():
        return
    if isinstance(outcome, Exception):
        work.result.set_exception(outcome)
    else:
        work.result.set_result(outcome)

"""The server's sessions: what it holds of each, how many there may be, and when one is forgotten.

A session that is forgotten costs nothing but time: its client sends all steps again, and the state that
is built from them decides the same.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from policies.llm.engine.contract import EngineFull
from policies.llm.serving.batcher import Batcher, Forwarded, Hopeless, Late, NotFinite, QueueFull
from policies.llm.serving.fields import FieldError
from policies.llm.serving.protocol import BY_LLM, Answer, Request
from policies.llm.serving.transcript import Transcript
from policies.llm.task import Decided, NextSteps, Task, Vectors

MOST_SESSIONS = 64
IDLE_S = 300.0
"""A player on a dark link may be silent for long; rebuilding is quick."""
PIECE_STEPS = 8
"""Of a refused request's steps that are taken in at a time, between others' forwards; of a request with more
steps, whose vectors are made before it queues, so many at a time, between what else the event loop has to
do."""
KEEP_WITHIN_S = 3.0
"""So long they may wait for that: until about the session's next request."""
RETRY_SLOT_S = 1.0
"""A slot of a session that is over is free once its last request is."""

NOTHING = Decided(None, None)
"""Before the first step."""


class Behind(Exception):
    """The server lacks steps that the request builds on; it holds `steps`."""

    def __init__(self, steps: int) -> None:
        super().__init__(f"the server holds {steps} steps of this session; send all again")
        self.steps = steps


class SessionsFull(Exception):
    """No room for another session; `retry_after_s` says when there may be."""

    def __init__(self, most: int, retry_after_s: float) -> None:
        super().__init__(f"all {most} sessions are taken")
        self.retry_after_s = retry_after_s


@dataclass
class _Session:
    name: str
    transcript: Transcript
    slot: int
    used_s: float
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One request of a session at a time."""
    asking: int = 0
    """Requests that have it in hand."""
    decided: Decided = NOTHING
    """After the last step: a request may come twice, when its answer was lost."""
    gone: bool = False
    keeping: bool = False
    """A refused request's steps are being taken in."""
    returned: bool = False
    """Its slot was given back."""


class ServedSessions:
    """Decides requests, session by session. Use it from one event loop.

    Args:
        batcher: runs the model.
        open_slot: a free slot of its engine, for this task.
        task: what is decided.
        target: the return that the engine's adapter wants to be asked for.
        most: sessions at once.
        idle_s: a session that asked nothing for so long gives way.
        rebuilt: told of the steps beyond the first that came with the beginning of a session.
    """

    def __init__(
        self,
        batcher: Batcher,
        open_slot: Callable[[], int],
        task: Task,
        *,
        target: float | None = None,
        most: int = MOST_SESSIONS,
        idle_s: float = IDLE_S,
        rebuilt: Callable[[int], None] = lambda steps: None,
    ) -> None:
        self._batcher, self._open_slot, self._task, self._target = batcher, open_slot, task, target
        self._most, self._idle_s = most, idle_s
        self._open: dict[str, _Session] = {}
        self._working: set[asyncio.Task[None]] = set()
        self._rebuilt = rebuilt

    def __len__(self) -> int:
        return len(self._open)

    def steps(self, name: str) -> int:
        """How many steps of a session are held."""
        session = self._open.get(name)
        return len(session.transcript.steps) if session else 0

    async def decide(self, request: Request, arrived_s: float) -> Answer:
        """The answer to the request's last step.

        Raises:
            Behind: steps before the request's first are not held.
            SessionsFull: there is no room for a new session.
            QueueFull: too many requests wait.
            Late: its forward did not begin by the deadline; its steps were not taken in.
            FieldError: it does not fit its session.
            Exception: the model failed; the session is forgotten.
        """
        deadline_s = arrived_s + request.deadline_ms / 1000.0
        session = self._open.get(request.session) or self._begin(request)
        session.asking += 1
        try:
            async with session.turn:
                if session.gone:
                    raise Behind(0)
                return await self._decide(session, request, arrived_s, deadline_s)
        finally:
            session.asking -= 1
            session.used_s = time.monotonic()
            self._give_back(session)

    async def _decide(
        self, session: _Session, request: Request, arrived_s: float, deadline_s: float
    ) -> Answer:
        held = len(session.transcript.steps)
        fresh = self._fresh(session, request)
        began_s, batch = time.monotonic(), 1
        if fresh:
            self._task.check(request.steps, session.transcript.context)
            asked = session.transcript.next(fresh)
            try:
                vectors = await self._vectors(asked) if len(fresh) > PIECE_STEPS else None
                done = await self._batcher.forward(session.slot, asked, deadline_s, vectors=vectors)
            except Hopeless:
                self._keep(session, fresh)
                raise
            except NotFinite as error:
                place = len(request.steps) - len(fresh) + error.place
                raise FieldError(
                    f"steps[{place}]", "its numbers are beyond what the model can be fed"
                ) from None
            except (Late, QueueFull):
                raise
            except BaseException:
                self._forget(session)
                raise
            began_s, batch = done.began_s, done.batch
            session.transcript.append(fresh)
            session.decided = self._come_to(session, done)
            if held == 0:
                self._rebuilt(len(fresh) - 1)
        return Answer(
            value=session.decided.value,
            margin=session.decided.margin,
            by=BY_LLM,
            batch=batch,
            queue_ms=1000.0 * (began_s - arrived_s),
            server_ms=1000.0 * (time.monotonic() - arrived_s),
            steps=len(session.transcript.steps),
        )

    def _come_to(self, session: _Session, done: Forwarded) -> Decided:
        if done.decided is not None:
            return done.decided
        return session.transcript.decide(done.logits, done.vector)

    def _keep(self, session: _Session, steps: tuple[Any, ...]) -> None:
        """Take a refused request's steps in when there is time, so that the next one isn't dearer still."""
        if not session.keeping:
            session.keeping = True
            session.asking += 1
            keeping = asyncio.create_task(self._keep_up(session, steps))
            self._working.add(keeping)
            keeping.add_done_callback(self._working.discard)

    async def _keep_up(self, session: _Session, steps: tuple[Any, ...]) -> None:
        begin = len(session.transcript.steps)
        try:
            while steps and not session.gone:
                async with session.turn:
                    held = len(session.transcript.steps)
                    steps = steps[max(held - begin, 0) :]
                    begin = held
                    piece = steps[:PIECE_STEPS]
                    if session.gone or not piece:
                        return
                    asked = session.transcript.next(piece)
                    until_s = time.monotonic() + KEEP_WITHIN_S
                    done = await self._batcher.forward(session.slot, asked, until_s, answered=True)
                    session.transcript.append(piece)
                    session.decided = self._come_to(session, done)
        except (Late, QueueFull):
            pass  # no time: they come with the session's next request
        except Exception:
            self._forget(session)
        finally:
            session.keeping = False
            session.asking -= 1
            self._give_back(session)

    async def _vectors(self, asked: NextSteps) -> Vectors:
        """(steps, width) of many steps, made in pieces, so that others are heard.

        Raises:
            NotFinite: a step of which nothing finite can be made.
        """
        found: list[Vectors] = []
        past = asked.past
        for begin in range(0, len(asked.steps), PIECE_STEPS):
            piece = asked.steps[begin : begin + PIECE_STEPS]
            (vectors,) = self._task.fill([replace(asked, steps=piece, past=past)])
            good = np.isfinite(vectors).all(axis=1)
            if not good.all():
                raise NotFinite(begin + int(good.argmin()))
            found.append(vectors)
            for step in piece:
                past = self._task.after(past, step)
            await asyncio.sleep(0)
        return np.concatenate(found)

    def _fresh(self, session: _Session, request: Request) -> tuple[Any, ...]:
        """The request's steps that the session has not yet; what it has must be the same.

        Raises:
            Behind: it hasn't those before them, holds others, or is already further.
            FieldError: another context.
        """
        held = session.transcript.steps
        if request.context is not None and request.context != session.transcript.context:
            raise FieldError("context", "not the one that this session began with")
        if request.start > len(held):
            raise Behind(len(held))
        known = min(len(held) - request.start, len(request.steps))
        same = tuple(held[request.start : request.start + known]) == request.steps[:known]
        if not same or request.start + len(request.steps) < len(held):
            self._forget(session)
            raise Behind(0)
        return request.steps[known:]

    def _begin(self, request: Request) -> _Session:
        """A new session.

        Raises:
            Behind, SessionsFull: as `decide`.
        """
        if request.start > 0 or request.context is None:
            raise Behind(0)
        self._task.check(request.steps, request.context)  # before it takes a place
        self.expire()
        if len(self) >= self._most:
            raise SessionsFull(self._most, self._next_expiry_s())
        try:
            slot = self._open_slot()
        except EngineFull:  # slots of sessions that are over, but still in a forward
            raise SessionsFull(self._most, RETRY_SLOT_S) from None
        transcript = Transcript(self._task, request.context, self._target)
        session = _Session(request.session, transcript, slot, time.monotonic())
        self._open[request.session] = session
        return session

    def end(self, name: str) -> bool:
        """Forget a session; False if there is none."""
        session = self._open.get(name)
        if session is not None:
            self._forget(session)
        return session is not None

    def expire(self) -> None:
        """Forget the sessions that have been idle for too long."""
        long_ago_s = time.monotonic() - self._idle_s
        for session in list(self._open.values()):
            if not session.asking and session.used_s <= long_ago_s:
                self._forget(session)

    def _next_expiry_s(self) -> float:
        oldest_s = min((session.used_s for session in self._open.values()), default=time.monotonic())
        return max(oldest_s + self._idle_s - time.monotonic(), 1.0)

    def _forget(self, session: _Session) -> None:
        """Nobody finds it any more; its slot is given back when no request has it in hand."""
        if session.gone:
            return
        session.gone = True
        del self._open[session.name]
        self._give_back(session)

    def _give_back(self, session: _Session) -> None:
        """Give the slot of a session back, once, that is over and that no request has in hand."""
        if session.gone and not session.asking and not session.returned:
            session.returned = True
            self._batcher.close(session.slot)

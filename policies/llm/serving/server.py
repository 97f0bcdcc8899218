"""The policy server: one process holds the model, and decides for every session that asks.

An aiohttp application over `ServedSessions` and `Batcher`; `policies/llm/serving/protocol.py` says what it
speaks.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from aiohttp import web

from policies.llm.serving.arrivals import BODY_WITHIN_S, Doorkeeper, arrived_s
from policies.llm.serving.batcher import Hopeless, Late, QueueFull
from policies.llm.serving.desks import Limits, MakesQueue, TaskEngine, desks_of
from policies.llm.serving.fields import FieldError
from policies.llm.serving.metrics import EARLY, LATE, Metrics
from policies.llm.serving.plain_http import PLAIN_BODY_BYTES, PlainRequest
from policies.llm.serving.protocol import (
    DECIDE,
    HEALTH,
    METRICS,
    READY,
    SESSIONS,
    Answer,
    Outcome,
    Request,
    dump_answer,
    load_request,
    refused,
)
from policies.llm.serving.sessions import Behind, ServedSessions, SessionsFull
from traces.versions import loaded_versions

EXPIRE_EVERY_S = 5.0
RETRY_QUEUE_S = 1
MOST_BODIES = 32
"""Of which a part has come; one more such is refused."""
OPEN_TO_ALL = (HEALTH, READY)
"""What may be asked without the token: it tells nothing of a session."""

MODEL_FAILED = "the model failed; see the server's log"
_UNKNOWN = refused(401, "wrong or no token", {"WWW-Authenticate": "Bearer"})

_log = logging.getLogger(__name__)


class Server:
    """Engines behind an application; sessions of one task share its forwards, and those of several tasks do
    where one engine decides them all.

    Args:
        served: each task once.
        limits: how much it takes on, of each task; `Limits()` if None. What decides several tasks has as many
            sessions of all of them together.
        token: without it in `Authorization: Bearer`, only health is told.
        delay_s: wait so long before every forward: a slow model, for tests.
        queue: decides which requests go next, given the number of open sessions; by the limits if None.
        versions: of packages that engines elsewhere have loaded.
    """

    def __init__(
        self,
        served: Sequence[TaskEngine],
        limits: Limits | None = None,
        *,
        token: str | None = None,
        delay_s: float = 0.0,
        queue: MakesQueue | None = None,
        versions: Mapping[str, str] | None = None,
    ) -> None:
        self._versions = versions or {}
        self._limits, self._token, self._delay_s = limits or Limits(), token, delay_s
        labels = [{name: str(value) for name, value in asdict(each.engine.info).items()} for each in served]
        self.metrics = Metrics(labels, self._open, self._waiting)
        self._desks = desks_of(served, queue or self._limits.queue, self._limits, delay_s, self.metrics)
        self._counters = list({id(desk.counter): desk.counter for desk in self._desks.values()}.values())
        self._tasks = {name: desk.task for name, desk in self._desks.items()}
        self._began_s = time.monotonic()
        self._large = asyncio.Semaphore(1)
        self._bodies = 0
        """Of which not all has come yet."""
        self.doorkeeper: Doorkeeper | None = None
        """Told of every request, where somebody keeps the door."""

    def _open(self) -> int:
        return sum(len(desk.sessions) for desk in self._desks.values())

    def _waiting(self) -> int:
        return sum(len(counter.queue) for counter in self._counters)

    def sessions(self, task: str) -> ServedSessions:
        """The sessions of a task that is served."""
        return self._desks[task].sessions

    def learn(self, task: str, times: Sequence[tuple[int, float]]) -> None:
        """What forwards of so many new steps took, s, before anybody asked."""
        for steps, seconds in times:
            self._desks[task].counter.queue.learn(steps, seconds)

    def facts(self) -> dict[str, Any]:
        """What is served, and how much may be asked of it."""
        return {
            "tasks": {name: asdict(desk.engine.info) for name, desk in self._desks.items()},
            "limits": asdict(self._limits),
            "delay_ms": 1000.0 * self._delay_s,
            "versions": {**loaded_versions(), **self._versions},
        }

    def application(self) -> web.Application:
        """To be run once."""
        app = web.Application(
            middlewares=[self._answer_in_json], client_max_size=self._limits.body_bytes, logger=_log
        )
        app.cleanup_ctx.append(self._working)
        app.router.add_post(DECIDE, self._decide)
        app.router.add_delete(f"{SESSIONS}/{{name}}", self._end)
        app.router.add_get(HEALTH, self._health)
        app.router.add_get(READY, self._ready)
        app.router.add_get(METRICS, self._metrics)
        return app

    async def _working(self, app: web.Application) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as batchers:
            for counter in self._counters:
                await batchers.enter_async_context(counter.batcher)
            expiring = asyncio.create_task(self._expire())
            yield
            expiring.cancel()
            for desk in self._desks.values():
                for asking in desk.asking:
                    asking.cancel()

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(min(EXPIRE_EVERY_S, self._limits.idle_s))
            self._expire_all()

    def _expire_all(self) -> None:
        for desk in self._desks.values():
            desk.sessions.expire()

    @web.middleware
    async def _answer_in_json(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Every refusal is an object with `error`, whoever refuses, and is counted."""
        if request.transport is not None:
            self.came(request.transport)
        try:
            given = request.headers.get("Authorization", "")
            if self._token is not None and request.path not in OPEN_TO_ALL and not self._knows(given):
                response: web.StreamResponse = _response(_UNKNOWN)
            else:
                response = await handler(request)
        except web.HTTPException as error:
            allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
            response = _refusal(error.status, error.reason, headers=allow)
        except ConnectionError:  # the client has left: nobody is there to be refused
            raise
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            response = _refusal(500, MODEL_FAILED)
        if response.status >= 400:
            self.metrics.refusals.labels(str(response.status)).inc()
        return response

    def _knows(self, authorization: str) -> bool:
        given = authorization.encode(errors="replace")
        return hmac.compare_digest(given, f"Bearer {self._token}".encode())

    async def _decide(self, request: web.Request) -> web.Response:
        came_s = arrived_s()
        try:
            asked = await self._read(await self._body_of(request))
        except _BadBody as error:
            return error.refusal
        except FieldError as error:
            return _response(refused(422, str(error), field=error.field))
        told: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._ask(asked, came_s, lambda outcome: None if told.done() else told.set_result(outcome))
        return _response(await told)

    def plainly(self, asked: PlainRequest, tell: Callable[[Outcome], None]) -> None:
        """See `plain_http.AnswersPlainly`."""

        def counted(outcome: Outcome) -> None:
            if outcome.status >= 400:
                self.metrics.refusals.labels(str(outcome.status)).inc()
            tell(outcome)

        if self._token is not None and not self._knows(asked.authorization):
            counted(_UNKNOWN)
        elif asked.ends is not None:
            counted(self._ended(asked.ends, None))
        else:
            came_s = arrived_s()
            try:
                request = load_request(asked.body, self._tasks)
            except FieldError as error:
                counted(refused(422, str(error), field=error.field))
            else:
                self._ask(request, came_s, counted)

    def came(self, transport: asyncio.BaseTransport) -> None:
        """See `plain_http.AnswersPlainly`."""
        if self.doorkeeper is not None:
            self.doorkeeper.let_in(transport)

    def _ask(self, asked: Request, came_s: float, tell: Callable[[Outcome], None]) -> None:
        """Call `tell` once with what a request comes to, never late: what has begun goes on for the session's
        next request."""
        desk = self._desks[asked.task]
        if len(desk.asking) >= self._limits.waiting:
            error = QueueFull(f"{self._limits.waiting} requests are waiting")
            tell(self._outcome(asked, error))
            return
        deciding = asyncio.create_task(desk.sessions.decide(asked, came_s))
        desk.asking.add(deciding)
        untold = [tell]

        def over(answer: Answer | BaseException) -> None:
            if untold:
                untold.pop()(self._outcome(asked, answer))

        left_s = came_s + asked.deadline_ms / 1000.0 - time.monotonic()
        late = Late(f"not decided within {asked.deadline_ms:.0f} ms")
        timer = asyncio.get_running_loop().call_later(max(left_s, 0.0), over, late)

        def decided(task: asyncio.Task[Answer]) -> None:
            desk.asking.discard(task)
            timer.cancel()
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            over(task.result() if error is None else error)

        deciding.add_done_callback(decided)

    def _outcome(self, asked: Request, found: Answer | BaseException) -> Outcome:
        """What an answer, or the lack of one, is to a client."""
        if isinstance(found, Answer):
            self.metrics.decisions.labels(asked.task, found.by).inc()
            self.metrics.decision_s.observe(found.server_ms / 1000.0)
            self.metrics.queue_s.observe(found.queue_ms / 1000.0)
            return Outcome(200, dump_answer(found, self._tasks[asked.task]))
        if isinstance(found, FieldError):
            return refused(422, str(found), field=found.field)
        if isinstance(found, Behind):
            return refused(409, str(found), steps=found.steps)
        if isinstance(found, QueueFull):
            return refused(429, str(found), {"Retry-After": str(RETRY_QUEUE_S)})
        if isinstance(found, SessionsFull):
            return refused(429, str(found), {"Retry-After": str(math.ceil(found.retry_after_s))})
        if isinstance(found, Late):
            self.metrics.undecided.labels(EARLY if isinstance(found, Hopeless) else LATE).inc()
            steps = self.sessions(asked.task).steps(asked.session)
            return refused(504, str(found), late=True, steps=steps)
        if isinstance(found, asyncio.CancelledError):
            return refused(503, "the server is ending")
        _log.error("POST %s failed", DECIDE, exc_info=found)
        return refused(500, MODEL_FAILED)

    async def _body_of(self, request: web.Request) -> bytes:
        """A request's body, bounded in size and time.

        Raises:
            _BadBody: it is encoded, doesn't come in time, or is cut or framed wrongly.
            HTTPRequestEntityTooLarge: it is too large.
        """
        encoding = request.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in ("", "identity"):
            said = f"Content-Encoding {encoding[:40]!r}: send bodies as they are"
            raise _BadBody(_refusal(415, said, headers={"Accept-Encoding": "identity"}))
        if self._bodies >= MOST_BODIES and not request.content.is_eof():
            said, later = f"{MOST_BODIES} bodies are on their way", {"Retry-After": str(RETRY_QUEUE_S)}
            raise _BadBody(_closing(_refusal(429, said, headers=later)))
        if request.content.is_eof():  # it is all there: nothing to wait for
            return await self._whole(request)
        self._bodies += 1
        try:
            async with asyncio.timeout(BODY_WITHIN_S):
                return await self._whole(request)
        except TimeoutError:
            said = f"the body did not come within {BODY_WITHIN_S:g} s"
            raise _BadBody(_closing(_refusal(408, said))) from None
        finally:
            self._bodies -= 1

    async def _whole(self, request: web.Request) -> bytes:
        """What has come and comes of a body.

        Raises:
            _BadBody: it is cut or framed wrongly.
            HTTPRequestEntityTooLarge: it is too large.
        """
        try:
            return await request.read()
        except (web.RequestPayloadError, ValueError) as error:
            said = f"the body is cut or framed wrongly: {' '.join(str(error).split())[:100]}"
            raise _BadBody(_closing(_refusal(400, said))) from None

    async def _read(self, body: bytes) -> Request:
        """What a body asks. A large one is read beside the event loop, one at a time; small ones don't wait.

        Raises:
            FieldError: see `load_request`.
        """
        if len(body) <= PLAIN_BODY_BYTES:
            return load_request(body, self._tasks)
        async with self._large:
            return await asyncio.to_thread(load_request, body, self._tasks)

    async def _end(self, request: web.Request) -> web.Response:
        return _response(self._ended(request.match_info["name"], request.query.get("task")))

    def _ended(self, name: str, of_task: str | None) -> Outcome:
        """A session is over; of all tasks where None is named."""
        desks = [desk for task, desk in self._desks.items() if of_task in (None, task)]
        ended = [desk.sessions.end(name) for desk in desks]
        return Outcome(200, {}) if any(ended) else refused(404, "no such session")

    async def _health(self, request: web.Request) -> web.Response:
        alive = self._alive()
        facts = {
            "status": "ok" if alive else "broken",
            **self.facts(),
            "sessions": self._open(),
            "waiting": self._waiting(),
            "up_s": time.monotonic() - self._began_s,
        }
        return web.json_response(facts, status=200 if alive else 503)

    async def _ready(self, request: web.Request) -> web.Response:
        """Whether a new session of any task would be taken in now."""
        self._expire_all()
        if not self._alive():
            return _refusal(503, "the engine's thread has ended")
        if any(counter.open_sessions() >= self._limits.sessions for counter in self._counters):
            return _refusal(503, f"all {self._limits.sessions} sessions are taken")
        return web.json_response({"status": "ready"})

    def _alive(self) -> bool:
        return all(counter.batcher.alive for counter in self._counters)

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(
            body=self.metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )


class _BadBody(Exception):
    """A body that can't be had."""

    def __init__(self, refusal: web.Response) -> None:
        super().__init__()
        self.refusal = refusal


def _closing(response: web.Response) -> web.Response:
    """The connection has no more to say: nobody knows where its next request begins."""
    response.force_close()
    return response


def _refusal(status: int, error: str, headers: Mapping[str, str] | None = None, **more: Any) -> web.Response:
    return _response(refused(status, error, headers, **more))


def _response(outcome: Outcome) -> web.Response:
    return web.Response(
        status=outcome.status,
        body=outcome.body,
        content_type="application/json",
        charset="utf-8",
        headers=outcome.headers,
    )

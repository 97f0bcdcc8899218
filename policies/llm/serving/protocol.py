"""What a client and the policy server say to each other: JSON over HTTP, checked field by field.

    POST /v1/decide        a request (below); 200 with an answer
                           409 {"steps": n}  the server holds n steps of this session: send all again
                           422 {"field": …}  a field that is not as it must be
                           429               queue or sessions are full; Retry-After says when to come back
                           504 {"steps": n}  it can't be decided by the deadline, said then or, where the
                             server keeps a budget, at once: the client's light policy decides;
                             n steps are held
    DELETE /v1/sessions/ID the session is over
    GET /healthz           what is served, by task; GET /readyz; GET /metrics (Prometheus)

    {"task": NAME, "session": ID, "from": n, "deadline_ms": t, "context": {…}, "steps": […]}
    {"answer": …, "margin": x, "by": "llm", "batch": n, "queue_ms": t, "server_ms": t, "steps": n}

This is an envelope: what a context, a step and an answer look like is the task's to say (`task.py`). A
request's steps are what the client newly knew each time that it asked. It sends those since the last one
that the server acknowledged, also of decisions that somebody else made in between; `from` counts the ones
before. With all of them (`from` 0, and the context) a server that has just been started builds the same state
and decides the same. Numbers pass exactly: JSON writes a float so that it reads back equal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from policies.llm.serving.fields import MOST, FieldError, Fields, length, load_json, number, shown
from policies.llm.task import Task

DECIDE, SESSIONS, HEALTH, READY, METRICS = "/v1/decide", "/v1/sessions", "/healthz", "/readyz", "/metrics"

MOST_STEPS = 4096
"""Of one session."""
MOST_BODY_BYTES = 8 * 1024 * 1024
"""All steps of the longest session."""
LONGEST_DEADLINE_MS = 60_000.0
_SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")

BY_LLM = "llm"


@dataclass(frozen=True, slots=True)
class Request:
    """Decide at the last step."""

    task: str
    session: str
    """A name that the client makes up, another one for every session."""
    start: int
    """Steps before the first one here; `from` on the wire."""
    steps: tuple[Any, ...]
    context: Any
    """With `start` 0 always; None where it is not sent again."""
    deadline_ms: float
    """From the request's arrival; after it nobody waits for the answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A decision."""

    value: Any
    """What was decided; `answer` on the wire."""
    margin: float | None
    """How far it was ahead of the second best; None where nothing else could be taken."""
    by: str
    batch: int
    """Sessions that shared the forward."""
    queue_ms: float
    """From the request's arrival to the beginning of its forward."""
    server_ms: float
    """From the request's arrival to the answer."""
    steps: int
    """Steps of the session that the server holds now."""


def dump_request(request: Request, task: Task) -> bytes:
    """A request as it goes over the wire."""
    message = {
        "task": request.task,
        "session": request.session,
        "from": request.start,
        "deadline_ms": request.deadline_ms,
        "steps": [task.dump_step(step) for step in request.steps],
    }
    if request.context is not None:
        message["context"] = task.dump_context(request.context)
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode()


def load_request(body: bytes, tasks: Mapping[str, Task]) -> Request:
    """A request that a client sent.

    Args:
        tasks: those that are served, by name; where it is one alone, a request need not name it.

    Raises:
        FieldError: what of it is not as it must be.
    """
    top = Fields.of(load_json(body), "")
    task = _task(top.take("task", None), tasks)
    session = top.take("session")
    if not (isinstance(session, str) and _SESSION.fullmatch(session)):
        raise FieldError("session", f"{shown(session)}; expected 1 to 64 letters, digits, - or _")
    start = top.whole("from", 0, MOST_STEPS)
    deadline_ms = top.number("deadline_ms", 0.0, LONGEST_DEADLINE_MS)
    given = top.take("context", None)
    if start == 0 and given is None:
        raise FieldError("context", "missing; it is needed where `from` is 0")
    context = None if given is None else task.load_context(given)
    listed = top.take("steps")
    if not (isinstance(listed, list) and 1 <= len(listed) <= MOST_STEPS - start):
        raise FieldError("steps", f"{length(listed)}; expected a list of 1 to {MOST_STEPS - start}")
    steps = tuple(task.load_step(step, f"steps[{place}]", start + place) for place, step in enumerate(listed))
    top.nothing_else()
    return Request(task.name, session, start, steps, context, deadline_ms)


def _task(given: object, tasks: Mapping[str, Task]) -> Task:
    if given is None and len(tasks) == 1:
        return next(iter(tasks.values()))
    if not isinstance(given, str) or given not in tasks:
        asked = "missing" if given is None else shown(given)
        raise FieldError("task", f"{asked}; this server has {', '.join(sorted(tasks))}")
    return tasks[given]


def dump_answer(answer: Answer, task: Task) -> dict[str, Any]:
    """An answer as the object that goes over the wire."""
    return {
        "answer": task.dump_value(answer.value),
        "margin": answer.margin,
        "by": answer.by,
        "batch": answer.batch,
        "queue_ms": answer.queue_ms,
        "server_ms": answer.server_ms,
        "steps": answer.steps,
    }


def load_answer(body: bytes, task: Task) -> Answer:
    """A server's answer.

    Raises:
        FieldError: what of it is not as it must be.
    """
    top = Fields.of(load_json(body), "")
    by, margin = top.take("by"), top.take("margin")
    if not isinstance(by, str):
        raise FieldError("by", f"{shown(by)}; expected text")
    return Answer(
        value=task.load_value(top.take("answer"), "answer"),
        margin=None if margin is None else number(margin, "margin", 0.0, MOST),
        by=by,
        batch=top.whole("batch", 1),
        queue_ms=top.number("queue_ms", 0.0),
        server_ms=top.number("server_ms", 0.0),
        steps=top.whole("steps", 1),
    )


@dataclass(frozen=True)
class Outcome:
    """What a request comes to, before anybody has made HTTP of it: a status, an object, and fields."""

    status: int
    said: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def body(self) -> bytes:
        """As JSON."""
        return json.dumps(self.said).encode()


def refused(status: int, error: str, headers: Mapping[str, str] | None = None, **more: Any) -> Outcome:
    """Every refusal is an object with `error`, whoever refuses."""
    return Outcome(status, {"error": error, **more}, headers or {})

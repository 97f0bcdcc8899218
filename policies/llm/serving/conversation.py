"""What a session has told its server, and what it says next: for clients that block and those that don't."""

from __future__ import annotations

import http
import time
import uuid
from collections.abc import Sequence
from typing import Any

from policies.llm.serving.fields import FieldError, load_json
from policies.llm.serving.protocol import Answer, Request, dump_request, load_answer
from policies.llm.task import Task


class ServerError(RuntimeError):
    """No decision from the server; one line that names it and the fault."""


class StepsLost(ServerError):
    """The server lacks steps of this session."""


class Conversation:
    """One session's side of it.

    Args:
        who: the server, in words.
        task: what is decided.
        context: the session's.
    """

    def __init__(self, who: str, task: Task, context: Any) -> None:
        self.name = uuid.uuid4().hex
        """The session's."""
        self._who, self._task, self._context = who, task, context
        self._acknowledged = 0

    def says(self, steps: Sequence[Any], until_s: float) -> bytes:
        """The request for the answer to the last of all the session's steps: those that the server lacks.

        Args:
            until_s: when the answer is due (time.monotonic()).
        """
        start = self._acknowledged
        left_ms = max(1000.0 * (until_s - time.monotonic()), 0.0)
        context = self._context if start == 0 else None
        request = Request(self._task.name, self.name, start, tuple(steps[start:]), context, left_ms)
        return dump_request(request, self._task)

    def hears(self, status: int, body: bytes, steps: int) -> Answer:
        """The server's answer after so many steps.

        Raises:
            StepsLost: it was started again, or has forgotten the session; say it once more, from the begin.
            ServerError: it is no answer.
        """
        try:
            if status == http.HTTPStatus.OK:
                answer = load_answer(body, self._task)
            else:
                fault = load_json(body)["error"]
        except (FieldError, KeyError, TypeError) as error:
            raise ServerError(f"policy server {self._who}: status {status}, {error}") from None
        if status == http.HTTPStatus.CONFLICT:
            self._acknowledged = 0
            raise StepsLost(f"policy server {self._who}: {fault} (status {status})")
        if status != http.HTTPStatus.OK:
            raise ServerError(f"policy server {self._who}: {fault} (status {status})")
        if answer.steps != steps:
            self._acknowledged = 0
            raise ServerError(f"policy server {self._who}: it holds {answer.steps} steps of {steps}")
        self._acknowledged = answer.steps
        return answer

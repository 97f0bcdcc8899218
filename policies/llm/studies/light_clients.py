"""Many sessions that ask a server at once, at as little cost as can be: one loop over sockets, requests made
beforehand, answers read after the clock has stopped.

What a server can do is not seen through clients that take more of the machine than it does: a player's own
client in Python takes as long for a request as the server. So `bench` asks with these, and says what they
cost. Each session is a closed loop: it asks again as soon as it has its answer.
"""

from __future__ import annotations

import selectors
import socket
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from policies.llm.serving.client import Address
from policies.llm.serving.protocol import (
    DECIDE,
    LONGEST_DEADLINE_MS,
    SESSIONS,
    Answer,
    Request,
    dump_request,
    load_answer,
)
from policies.llm.task import Task

_RECEIVE_BYTES = 1 << 16
_SILENT_S = 2.0 * LONGEST_DEADLINE_MS / 1000.0
_HEAD = (
    "{method} {path} HTTP/1.1\r\nHost: policy-server\r\nContent-Type: application/json\r\n"
    "Content-Length: {length}\r\n\r\n"
)


class AskingError(ValueError):
    """A server that did not answer as it must."""


@dataclass(frozen=True)
class Heard:
    """What many sessions heard."""

    times_ms: list[float]
    """From each request's sending to its answer's last byte."""
    answers: list[list[Answer]]
    """Of each session, in order."""
    took_s: float
    client_s: float
    """Processor time that asking took."""

    @property
    def decisions_per_s(self) -> float:
        return len(self.times_ms) / self.took_s

    @property
    def client_ms(self) -> float:
        """Processor time of a decision that was the client's."""
        return 1000.0 * self.client_s / len(self.times_ms)

    @property
    def mean_batch(self) -> float:
        batches = [answer.batch for session in self.answers for answer in session]
        return sum(batches) / max(len(batches), 1)


def requests(task: Task, context: Any, steps: Sequence[Any]) -> list[bytes]:
    """What a session says, step by step, whose every request is answered, and at last that it is over."""
    name, said = uuid.uuid4().hex, []
    for start, step in enumerate(steps):
        told = Request(task.name, name, start, (step,), None if start else context, LONGEST_DEADLINE_MS)
        body = dump_request(told, task)
        said.append(_HEAD.format(method="POST", path=DECIDE, length=len(body)).encode() + body)
    said.append(_HEAD.format(method="DELETE", path=f"{SESSIONS}/{name}", length=0).encode())
    return said


@dataclass(eq=False)
class _Asker:
    """A session's side."""

    connected: socket.socket
    says: list[bytes]
    asked_s: float = 0.0
    coming: bytes = b""
    bodies: list[bytes] = field(default_factory=list)

    def ask(self) -> None:
        self.asked_s = time.perf_counter()
        self.connected.sendall(self.says[len(self.bodies)])

    def hear(self) -> bool:
        """Whether the answer is whole.

        Raises:
            AskingError: the server closed the connection, or refused.
        """
        self.coming += self.connected.recv(_RECEIVE_BYTES) or b"\0"
        head, _, body = self.coming.partition(b"\r\n\r\n")
        if not self.coming.startswith(b"HTTP/1.1 200") and len(self.coming) > len(b"HTTP/1.1 200"):
            raise AskingError(f"the server said {self.coming[:300].decode(errors='replace')!r}")
        at = head.lower().find(b"content-length:")
        if at < 0 or len(body) < int(head[at + 15 :].partition(b"\r")[0]):
            return False
        self.bodies.append(body)
        self.coming = b""
        return True


def ask_all(address: Address, task: Task, sessions: Sequence[tuple[Any, Sequence[Any]]]) -> Heard:
    """All sessions ask at the same moment, each over a connection of its own, and again when answered.

    Args:
        sessions: context and steps of each.

    Raises:
        AskingError: a request was not answered.
        OSError: nobody listens.
    """
    return ask_each(address, [(task, context, steps) for context, steps in sessions])


def ask_each(address: Address, sessions: Sequence[tuple[Task, Any, Sequence[Any]]]) -> Heard:
    """As `ask_all`, of sessions of several tasks.

    Args:
        sessions: task, context and steps of each.

    Raises:
        AskingError, OSError: as `ask_all`.
    """
    askers: list[_Asker] = []
    try:
        for task, context, steps in sessions:
            askers.append(_Asker(address.connect(_SILENT_S), requests(task, context, steps)))
        begun_s, begun_cpu_s = time.perf_counter(), time.thread_time()
        times_ms = _asked([(asker, len(asker.says) - 1) for asker in askers])
        took_s, client_s = time.perf_counter() - begun_s, time.thread_time() - begun_cpu_s
        _asked([(asker, 1) for asker in askers])
    finally:
        for asker in askers:
            asker.connected.close()
    answers = [
        [load_answer(body, task) for body in asker.bodies[:-1]]
        for asker, (task, _, _) in zip(askers, sessions, strict=True)
    ]
    return Heard(times_ms, answers, took_s, client_s)


def _asked(askers: Sequence[tuple[_Asker, int]]) -> list[float]:
    """The time of each answer, once each has asked so many times more, ms.

    Raises:
        AskingError: a request was not answered.
    """
    times_ms, left = [], dict(askers)
    with selectors.DefaultSelector() as selector:
        for asker in left:
            selector.register(asker.connected, selectors.EVENT_READ, asker)
            asker.ask()
        while left:
            ready = selector.select(_SILENT_S)
            if not ready:
                raise AskingError(f"no answer within {_SILENT_S:.0f} s")
            for asker in [key.data for key, _ in ready]:
                if not asker.hear():
                    continue
                times_ms.append(1000.0 * (time.perf_counter() - asker.asked_s))
                left[asker] -= 1
                if left[asker]:
                    asker.ask()
                else:
                    del left[asker]
                    selector.unregister(asker.connected)
    return times_ms

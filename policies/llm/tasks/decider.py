"""Who decides a session of one task: a server that a run started or that listens, or this process's engine.

Importing this module, and making a decider, loads no model. A server is taken for its adapter's hash alone.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from player.policy import ServerCommand
from policies.llm.arithmetic import DTYPES
from policies.llm.engine.contract import LocalEngine
from policies.llm.model.adapter import read
from policies.llm.serving.client import (
    SERVER_VARIABLE,
    TOKEN_VARIABLE,
    Address,
    Client,
    RemoteSession,
    ask_health,
    default_socket,
    is_socket,
)
from policies.llm.serving.conversation import ServerError
from policies.llm.serving.local import TOGETHER, LocalSession, decide_together, shared_engine
from policies.llm.serving.protocol import LONGEST_DEADLINE_MS, Answer
from policies.llm.task import DEFAULT, Task

AUTO, NONE = "auto", "none"
HEALTH_WITHIN_S = 2.0
MODULE = "policies.llm"


@dataclass(frozen=True)
class Served:
    """What a server says of the model that it has for a task; None of what it doesn't say."""

    adapter_sha256: str | None
    dtype: str | None


class Decider:
    """Says who decides the sessions of one task with one adapter.

    Args:
        server: `auto` takes the server that a run started, else one that listens at the default place with
            the same adapter, else this process; `none` always that; else a socket's path or http://HOST:PORT.
        deadline_ms: a server's answer that has not come by then is none. Does not bind this process.
        adapter: a folder; empty for the shipped one.
        device: of the model in this process.
        dtype: what it is computed in, here and by the server that a run starts.

    Raises:
        ValueError: no such adapter or dtype, no address, a deadline that is not positive or longer than a
            server takes.
    """

    def __init__(
        self, task: Task, server: str, deadline_ms: float, adapter: str, device: str, dtype: str
    ) -> None:
        if dtype not in DTYPES:
            raise ValueError(f"dtype {dtype!r}; expected one of {', '.join(DTYPES)}")
        if not (math.isfinite(deadline_ms) and 0 < deadline_ms <= LONGEST_DEADLINE_MS):
            raise ValueError(
                f"deadline_ms {deadline_ms}: must be positive, and at most {LONGEST_DEADLINE_MS:g}"
            )
        self._task, self._where, self._deadline_s = task, server, deadline_ms / 1000.0
        self._address = None if server in (AUTO, NONE) else Address.of(server)
        self.adapter = Path(adapter).absolute() if adapter else None
        """Its folder; None for the shipped one."""
        self._device, self._dtype = device, dtype
        self.weights_sha256 = read(self.adapter, task).sha256

    def command(self) -> ServerCommand | None:
        """What a run has to start; None where the user said who decides."""
        if self._where != AUTO or os.environ.get(SERVER_VARIABLE):
            return None
        dtype = () if self._dtype == AUTO else ("--dtype", self._dtype)
        return ServerCommand(MODULE, ("serve", *self._task_words(), *dtype), SERVER_VARIABLE)

    def _task_words(self) -> tuple[str, ...]:
        """Options of `serve` that name the task and its adapter."""
        if self._task.name == DEFAULT:
            return () if self.adapter is None else ("--adapter", str(self.adapter))
        return "--task", self._task.name + ("" if self.adapter is None else f"={self.adapter}")

    def reach(self) -> None:
        """Ask a server that was named, before the first session; one that goes away later is the fallback's
        business.

        Raises:
            ValueError: it doesn't answer, or would decide otherwise.
        """
        told = os.environ.get(SERVER_VARIABLE) if self._where == AUTO else None
        address = Address.of(told) if told else self._address
        if address is None:
            return
        try:
            serves = self._serves(address)
        except ServerError as error:
            raise ValueError(f"{error}; {self._start_it()}") from None
        self._refuse_other(address, serves)

    def _start_it(self) -> str:
        of_task = "" if self._task.name == DEFAULT else f" --task {self._task.name}"
        return f"start it (python -m policies.llm serve{of_task}), or name another `server`, or none"

    def begin(self, context: Any) -> DecidedSession:
        """A new session; where this process decides, the model is loaded now.

        Raises:
            ValueError: the model can't be loaded, or a server would decide otherwise.
        """
        address = self._address or self._found()
        if address is None:
            engine = self._engine()
            return DecidedSession(LocalSession(engine, self._task, context), engine.info.dtype)
        client = Client(address, os.environ.get(TOKEN_VARIABLE))
        session = RemoteSession(client, self._task, context, self._deadline_s)
        return DecidedSession(session, None, partial(self._checked, address))

    def together(self) -> int:
        """How many sessions this process decides at once at the most; 1 where a server does: it batches by
        itself. Loads nothing."""
        return TOGETHER if self._address is None and self._found() is None else 1

    def ready_together(self) -> int:
        """Load the model; how many may be decided at once: 1 where this machine's arithmetic differs in
        company.

        Raises:
            ValueError: it can't be loaded.
        """
        return min(self._engine().same_together, self.together())

    def _checked(self, address: Address) -> Served | None:
        """What a server serves, as a record names the weights that decided; None where it doesn't answer: it
        is the fallback's business now, and is asked again once it decides.

        Raises:
            ValueError: it has another adapter, or computes in something else.
        """
        try:
            serves = self._serves(address)
        except ServerError:
            return None
        self._refuse_other(address, serves)
        return serves

    def _engine(self) -> LocalEngine:
        return shared_engine(self._task.name, self.adapter, self._device, self._dtype)

    def _refuse_other(self, address: Address, serves: Served) -> None:
        """Raises ValueError for a server whose adapter, by its hash, is another, or that computes in
        something else than was asked for."""
        if serves.adapter_sha256 != self.weights_sha256:
            raise ValueError(
                f"policy server {address}: for {self._task.name} it has adapter"
                f" {str(serves.adapter_sha256)[:12]}, the policy {self.weights_sha256[:12]};"
                " name its folder with `adapter`, or another server"
            )
        if self._dtype not in (AUTO, serves.dtype):
            raise ValueError(
                f"policy server {address}: it computes in {serves.dtype}, not in {self._dtype}; leave `dtype`"
                " away, or name another server"
            )

    def _serves(self, address: Address) -> Served:
        """What a server has for this task.

        Raises:
            ServerError: it doesn't say.
        """
        tasks = ask_health(address, None, HEALTH_WITHIN_S).get("tasks")
        served = tasks.get(self._task.name) if isinstance(tasks, dict) else None
        told = served if isinstance(served, dict) else {}
        return Served(*(str(told[key]) if key in told else None for key in ("adapter_sha256", "dtype")))

    def _found(self) -> Address | None:
        """The server to ask; None for this process."""
        if self._where == NONE:
            return None
        if told := os.environ.get(SERVER_VARIABLE):
            return Address.of(told)
        return self._at_default_place()

    def _at_default_place(self) -> Address | None:
        """The server that listens there, if it would decide the same."""
        if not is_socket(default_socket()):
            return None
        address = Address.of(str(default_socket()))
        try:
            self._refuse_other(address, self._serves(address))
        except (ServerError, ValueError):  # a dead one's socket, or one that decides something else
            return None
        return address


class DecidedSession:
    """One session with the model, wherever that is.

    Args:
        arithmetic: what the model is computed in, where that is known.
        check: what the server serves; None where this process decides.

    Raises:
        ValueError: the server would decide otherwise.
    """

    def __init__(
        self,
        session: LocalSession | RemoteSession,
        arithmetic: str | None,
        check: Callable[[], Served | None] | None = None,
    ) -> None:
        self._session, self._unchecked = session, check
        self.arithmetic = arithmetic
        """None until it is known."""
        self._check()

    def _check(self) -> None:
        if self._unchecked is not None and (serves := self._unchecked()) is not None:
            self.arithmetic, self._unchecked = serves.dtype, None

    @property
    def remote(self) -> bool:
        """Whether it is a server's, which may be late."""
        return isinstance(self._session, RemoteSession)

    def decide(self, steps: Sequence[Any]) -> Answer:
        """The answer to the last of all the session's steps.

        Raises:
            ServerError: the server has not decided by the deadline.
            ValueError: it was down at the beginning, and would decide otherwise.
        """
        answer = self._session.decide(steps)
        self._check()
        return answer

    def end(self) -> None:
        """It is over."""
        self._session.end()

    @staticmethod
    def decide_together(asked: Sequence[tuple[DecidedSession, Sequence[Any]]]) -> list[Answer | Exception]:
        """What `decide` of each would have answered, or raised; one forward for all.

        Args:
            asked: sessions of this process, each at most once, and all steps of each.

        Raises:
            Exception: the model failed.
        """
        questions = []
        for one, steps in asked:
            assert isinstance(one._session, LocalSession), "a server batches by itself"
            questions.append((one._session, steps))
        return decide_together(questions)

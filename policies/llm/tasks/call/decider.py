"""Who decides a session of one task: a server that a run started or that listens, or this process's engine.

Importing this module, and making a decider, loads no model. A server is taken for its adapter's hash alone.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from player.policy import ServerCommand
from policies.llm.arithmetic import DTYPES
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
from policies.llm.serving.local import LocalSession, shared_engine
from policies.llm.serving.protocol import LONGEST_DEADLINE_MS, Answer
from policies.llm.task import Task

AUTO, NONE = "auto", "none"
HEALTH_WITHIN_S = 2.0
MODULE = "policies.llm"
START_IT = "start it (python -m policies.llm serve --task {}), or name another `server`, or none"


class DecidedSession(Protocol):
    """One session with the model, wherever that is."""

    def decide(self, steps: Sequence[Any]) -> Answer:
        """The answer to the last of all the session's steps."""

    def end(self) -> None:
        """It is over."""


class Decider:
    """Args:
        server: `auto` takes the server that a run started, else one that listens at the default place with
            the same adapter, else this process; `none` always that; else a socket's path or http://HOST:PORT.
        deadline_ms: a server's answer that has not come by then is none.
        adapter: a folder; empty for the shipped one.

    Raises:
        ValueError: no such adapter or dtype, no address, a deadline that is not positive or too long.
    """

    def __init__(
        self, task: Task, server: str, deadline_ms: float, adapter: str, device: str, dtype: str
    ) -> None:
        if dtype not in DTYPES:
            raise ValueError(f"dtype {dtype!r}; expected one of {', '.join(DTYPES)}")
        if not (math.isfinite(deadline_ms) and 0 < deadline_ms <= LONGEST_DEADLINE_MS):
            raise ValueError(
                f"deadline_ms {deadline_ms:g}: must be positive, and at most {LONGEST_DEADLINE_MS:g}"
            )
        self._task, self._where, self._deadline_s = task, server, deadline_ms / 1000.0
        self._address = None if server in (AUTO, NONE) else Address.of(server)
        self._adapter = Path(adapter).absolute() if adapter else None
        self._device, self._dtype = device, dtype
        self.weights_sha256 = read(self._adapter, task).sha256

    def command(self) -> ServerCommand | None:
        """What a run has to start; None where the user said who decides."""
        if self._where != AUTO or os.environ.get(SERVER_VARIABLE):
            return None
        folder = "" if self._adapter is None else f"={self._adapter}"
        dtype = () if self._dtype == AUTO else ("--dtype", self._dtype)
        words = ("serve", "--task", f"{self._task.name}{folder}", *dtype)
        return ServerCommand(MODULE, words, SERVER_VARIABLE)

    def reach(self) -> None:
        """Raises ValueError where a server was named and doesn't answer, or has another adapter."""
        told = os.environ.get(SERVER_VARIABLE) if self._where == AUTO else None
        address = Address.of(told) if told else self._address
        if address is None:
            return
        try:
            self._refuse_other(address, self._serves(address))
        except ServerError as error:
            raise ValueError(f"{error}; {START_IT.format(self._task.name)}") from None

    def begin(self, context: Any) -> DecidedSession:
        """A new session; where this process decides, the model is loaded now.

        Raises:
            ValueError: the model can't be loaded, or a server has another adapter.
        """
        address = self._address or self._found()
        if address is None:
            engine = shared_engine(self._task.name, self._adapter, self._device, self._dtype)
            return LocalSession(engine, self._task, context)
        with contextlib.suppress(ServerError):  # one that is down is the fallback's business, and may be back
            self._refuse_other(address, self._serves(address))
        client = Client(address, os.environ.get(TOKEN_VARIABLE))
        return RemoteSession(client, self._task, context, self._deadline_s)

    def _refuse_other(self, address: Address, serves: dict[str, Any]) -> None:
        """Raises ValueError for a server that would decide otherwise."""
        name, theirs = self._task.name, str(serves.get("adapter_sha256"))
        if theirs != self.weights_sha256:
            raise ValueError(
                f"policy server {address}: for {name} it has adapter {theirs[:12]}, the policy"
                f" {self.weights_sha256[:12]}; name its folder with `adapter`, or another server"
            )
        if self._dtype not in (AUTO, serves.get("dtype")):
            raise ValueError(
                f"policy server {address}: it computes in {serves.get('dtype')}, not in {self._dtype};"
                " leave `dtype` away, or name another server"
            )

    def _serves(self, address: Address) -> dict[str, Any]:
        """What a server says of this task.

        Raises:
            ServerError: nothing comes.
        """
        tasks = ask_health(address, None, HEALTH_WITHIN_S).get("tasks")
        served = tasks.get(self._task.name) if isinstance(tasks, dict) else None
        return served if isinstance(served, dict) else {}

    def _found(self) -> Address | None:
        """The server to ask; None for this process."""
        if self._where == NONE:
            return None
        if told := os.environ.get(SERVER_VARIABLE):
            return Address.of(told)
        if not is_socket(default_socket()):
            return None
        address = Address.of(str(default_socket()))
        try:
            self._refuse_other(address, self._serves(address))
        except (ServerError, ValueError):  # a dead one's socket, or one that decides something else
            return None
        return address

"""`netllm`: the adapted language model as a policy, asked of a server or of this process.

Importing this module, and making the policy, loads no model.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from player.observation import HORIZON, Observation
from player.policy import Decision, Policy, ServerCommand
from player.qoe import QoE
from player.video.video import Video
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
from policies.llm.tasks.ladder.task import TASK
from policies.llm.tasks.ladder.wire import VideoStep
from traces.totals import running_total

AUTO, NONE = "auto", "none"
DEADLINE_MS = 3000.0
"""Under a chunk's 4 s. A late decision costs its own time at most; one by BBA in the middle of a careful
session was seen to cost 20 s of stall, as BBA takes a buffer of 15 s for leave to ask for the top level."""
HEALTH_WITHIN_S = 2.0
MODULE = "policies.llm"
START_IT = "start it (python -m policies.llm serve), or name another `server`, or none"


class DecidedSession(Protocol):
    """One session with the model, wherever that is."""

    def decide(self, steps: Sequence[VideoStep]) -> Answer:
        """The level of the last of all the session's steps."""

    def end(self) -> None:
        """It is over."""


@dataclass(frozen=True)
class Served:
    """What a server says of the model that it has for this task; None of what it doesn't say."""

    adapter_sha256: str | None
    dtype: str | None


class NetLLM:
    """Asks the adapted language model for every chunk.

    Args:
        server: `auto` takes the server that a run started, else one that listens at the default place with
            the same adapter, else the model in this process; `none` always that; else a socket's path or
            http://HOST:PORT, with the token in $STREAMBED_LLM_TOKEN.
        deadline_ms: a decision that the server has not made by then fails, and the player's fallback makes
            it. Does not bind the model in this process.
        adapter: a folder that `python -m policies.llm adapt` made; empty for the shipped one.
        device: of the model in this process: auto, cpu or cuda.
        dtype: what it is computed in, here and by the server that a run starts: auto, float32, bfloat16 or
            int8. One that listens already is refused where it computes in something else.

    Raises:
        ValueError: no such adapter or dtype, an address that is none, a deadline that is not positive or
            longer than a server takes.
    """

    def __init__(
        self,
        server: str = AUTO,
        deadline_ms: float = DEADLINE_MS,
        adapter: str = "",
        device: str = AUTO,
        dtype: str = AUTO,
    ) -> None:
        if dtype not in DTYPES:
            raise ValueError(f"dtype {dtype!r}; expected one of {', '.join(DTYPES)}")
        if not (math.isfinite(deadline_ms) and 0 < deadline_ms <= LONGEST_DEADLINE_MS):
            raise ValueError(
                f"deadline_ms {deadline_ms}: must be positive, and at most {LONGEST_DEADLINE_MS:g}"
            )
        self._deadline_s = deadline_ms / 1000.0
        self._where = server
        self._address = None if server in (AUTO, NONE) else Address.of(server)
        self._adapter = Path(adapter).absolute() if adapter else None
        self._device, self._dtype = device, dtype
        self.arithmetic: str | None = None
        """What the model is computed in, as far as it is known: once a session has begun."""
        self.weights_sha256 = read(self._adapter, TASK).sha256
        self._session: DecidedSession | None = None
        self._unchecked: Address | None = None
        """A server that has not said yet which adapter it has."""

    @property
    def adapter(self) -> Path | None:
        """The adapter's folder; None for the shipped one."""
        return self._adapter

    def server(self) -> ServerCommand | None:
        """What a run has to start; None where the user said who decides."""
        if self._where != AUTO or os.environ.get(SERVER_VARIABLE):
            return None
        adapter = () if self._adapter is None else ("--adapter", str(self._adapter))
        dtype = () if self._dtype == AUTO else ("--dtype", self._dtype)
        return ServerCommand(MODULE, ("serve", *adapter, *dtype), SERVER_VARIABLE)

    def check(self, video: Video, qoe: QoE) -> None:
        """Raises ValueError for weights of QoE that nobody knows on its ladder."""
        try:
            TASK.context_of(video, qoe)
        except ValueError as error:
            raise ValueError(f"{video.name}: {error}") from None

    def reach(self) -> None:
        """Raises ValueError where a server was named and doesn't answer, or has another adapter. One that
        goes away later is the fallback's business."""
        told = os.environ.get(SERVER_VARIABLE) if self._where == AUTO else None
        address = Address.of(told) if told else self._address
        if address is None:
            return
        try:
            serves = self._serves(address)
        except ServerError as error:
            raise ValueError(f"{error}; {START_IT}") from None
        self._refuse_other(address, serves)

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        """A new session; where the model is in this process, it is loaded now.

        Raises:
            ValueError: see `check`, or a server with another adapter.
        """
        self.check(video, qoe)
        if self._session is not None:
            self._session.end()
        self._unchecked = None
        self._video = video
        self._steps: list[VideoStep] = []
        self._session = self._begin(TASK.context_of(video, qoe))

    @property
    def remote(self) -> bool:
        """Whether this session is a server's, which may be late, and not this process's."""
        return isinstance(self._session, RemoteSession)

    def note(self, observation: Observation) -> None:
        """Somebody else decides this chunk; the model is told of it with the next one that it is asked."""
        for chunk in range(len(self._steps), observation.chunk):
            self._steps.append(self._step(unasked(self._video, observation, chunk)))
        self._steps.append(self._step(observation))

    def select(self, observation: Observation) -> Decision:
        """Ask for one chunk.

        Raises:
            ServerError: the server has not decided by the deadline.
            ValueError: it was down at `reset`, and has another adapter.
        """
        assert self._session is not None, "reset first"
        self.note(observation)
        answer = self._session.decide(self._steps)
        if self._unchecked is not None:
            self._check_adapter(self._unchecked)
        return self.decision(answer)

    def another(self) -> NetLLM:
        """One more, without reading the adapter again."""
        return copy.copy(self)

    def together(self) -> int:
        """Many where the model is in this process; a server batches by itself."""
        return TOGETHER if self._address is None and self._found() is None else 1

    def ready_together(self) -> int:
        """1 where this machine's arithmetic differs in company.

        Raises:
            ValueError: the model can't be loaded.
        """
        return min(self._engine().same_together, self.together())

    def select_together(self, asked: Sequence[tuple[Policy, Observation]]) -> Sequence[object]:
        """See `DecidesTogether`."""
        policies, questions = [], []
        for policy, observation in asked:
            assert isinstance(policy, NetLLM) and isinstance(policy._session, LocalSession)
            policy.note(observation)
            policies.append(policy)
            questions.append((policy._session, policy._steps))
        answers = decide_together(questions)
        return [
            answer if isinstance(answer, Exception) else policy.decision(answer)
            for policy, answer in zip(policies, answers, strict=True)
        ]

    def decision(self, answer: Answer) -> Decision:
        """An answer as the player hears it."""
        return Decision(TASK.level_of(answer.value, self._video), answer.by, _reason(answer))

    def _step(self, observation: Observation) -> VideoStep:
        return VideoStep.of(TASK.thinned(observation))

    def _engine(self) -> LocalEngine:
        return shared_engine(TASK.name, self._adapter, self._device, self._dtype)

    def _begin(self, context: Any) -> DecidedSession:
        address = self._address or self._found()
        if address is None:
            self.arithmetic = self._engine().info.dtype
            return LocalSession(self._engine(), TASK, context)
        self._check_adapter(address)
        client = Client(address, os.environ.get(TOKEN_VARIABLE))
        return RemoteSession(client, TASK, context, self._deadline_s)

    def _check_adapter(self, address: Address) -> None:
        """A record names the weights that decided. A server that is down is the fallback's business now,
        and is asked again once it decides.

        Raises:
            ValueError: the server there has another adapter.
        """
        self._unchecked = address
        try:
            serves = self._serves(address)
        except ServerError:
            return
        self._refuse_other(address, serves)
        self.arithmetic = serves.dtype
        self._unchecked = None

    def _refuse_other(self, address: Address, serves: Served) -> None:
        """Raises ValueError for a server whose adapter, by its hash, is another, or that computes in
        something else than was asked for."""
        if serves.adapter_sha256 != self.weights_sha256:
            raise ValueError(
                f"policy server {address}: for {TASK.name} it has adapter"
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
        served = tasks.get(TASK.name) if isinstance(tasks, dict) else None
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
            serves = self._serves(address)
        except ServerError:  # it is a dead one's socket
            return None
        same = serves.adapter_sha256 == self.weights_sha256 and self._dtype in (AUTO, serves.dtype)
        return address if same else None


def unasked(video: Video, observation: Observation, chunk: int) -> Observation:
    """What the client knew, as far as a later observation tells, when an earlier chunk was decided
    without us: the first one where its level is fixed, one while we were late. Exact for the first.
    """
    history = observation.history[:chunk]
    chunks = observation.chunk + observation.chunks_left
    return Observation(
        chunk=chunk,
        history=history,
        buffer_s=history[-1].buffer_s if history else 0.0,
        next_sizes_bytes=video.sizes_bytes[chunk : min(chunk + HORIZON, chunks)],
        chunks_left=chunks - chunk,
        elapsed_s=running_total(past.download_s for past in history),
        buffer_cap_s=observation.buffer_cap_s,
    )


def _reason(answer: Answer) -> str:
    lead = "the only sane level" if answer.margin is None else f"ahead by {answer.margin:.2f}"
    return f"{lead}; batch {answer.batch}, {answer.server_ms:.1f} ms"

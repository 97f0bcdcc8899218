"""`netllm`: the adapted language model as a policy, asked of a server or of this process.

Importing this module, and making the policy, loads no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from player.observation import HORIZON, Observation
from player.policy import Decision, Policy
from player.qoe import QoE
from player.video.video import Video
from policies.llm.serving.protocol import Answer
from policies.llm.tasks.asking import Asking
from policies.llm.tasks.decider import AUTO, DecidedSession, Decider
from policies.llm.tasks.ladder.task import TASK
from policies.llm.tasks.ladder.wire import VideoStep
from traces.totals import running_total

DEADLINE_MS = 3000.0
"""Under a chunk's 4 s. A late decision costs its own time at most; one by BBA in the middle of a careful
session was seen to cost 20 s of stall, as BBA takes a buffer of 15 s for leave to ask for the top level."""


class NetLLM(Asking):
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
        super().__init__(Decider(TASK, server, deadline_ms, adapter, device, dtype))

    @property
    def adapter(self) -> Path | None:
        """The adapter's folder; None for the shipped one."""
        return self._decider.adapter

    def check(self, video: Video, qoe: QoE) -> None:
        """Raises ValueError for weights of QoE that nobody knows on its ladder."""
        try:
            TASK.context_of(video, qoe)
        except ValueError as error:
            raise ValueError(f"{video.name}: {error}") from None

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        """A new session; where the model is in this process, it is loaded now.

        Raises:
            ValueError: see `check`, or a server with another adapter.
        """
        self.check(video, qoe)
        self._video = video
        self._steps: list[VideoStep] = []
        self._begin(TASK.context_of(video, qoe))

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
        return self.decision(self._session.decide(self._steps))

    def select_together(self, asked: Sequence[tuple[Policy, Observation]]) -> Sequence[object]:
        """See `DecidesTogether`."""
        policies, questions = [], []
        for policy, observation in asked:
            assert isinstance(policy, NetLLM) and policy._session is not None
            policy.note(observation)
            policies.append(policy)
            questions.append((policy._session, policy._steps))
        answers = DecidedSession.decide_together(questions)
        return [
            answer if isinstance(answer, Exception) else policy.decision(answer)
            for policy, answer in zip(policies, answers, strict=True)
        ]

    def decision(self, answer: Answer) -> Decision:
        """An answer as the player hears it."""
        return Decision(TASK.level_of(answer.value, self._video), answer.by, _reason(answer))

    def _step(self, observation: Observation) -> VideoStep:
        return VideoStep.of(TASK.thinned(observation))


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

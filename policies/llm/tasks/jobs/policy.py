"""`netllm` for jobs: the adapted language model schedules, asked of a server or of this process."""

from __future__ import annotations

from collections.abc import Sequence

from player.jobs.observation import JobsObservation
from player.jobs.policy import Assignment, JobsPolicy
from player.jobs.settings import ClusterSettings
from policies.llm.serving.protocol import Answer
from policies.llm.tasks.asking import Asking
from policies.llm.tasks.decider import AUTO, DecidedSession, Decider
from policies.llm.tasks.jobs.seen import JobsMemory, SeenStep
from policies.llm.tasks.jobs.task import TASK
from policies.llm.tasks.jobs.wire import JobStep

DEADLINE_MS = 100.0
"""Of a server's answer; a later one is `fair`'s."""
LONGEST, OVERLAP = 512, 32
"""Steps of one session with the model: a longer episode goes on with its last steps as a new one."""


class NetLLM(Asking):
    """Asks the adapted language model whom to give free executors. It takes the best stage, and the median of
    its shares.

    Args:
        server: `auto` takes the server that a run started, else one that listens at the default place with
            the same adapter, else the model in this process; `none` always that; else a socket's path or
            http://HOST:PORT, with the token in $STREAMBED_LLM_TOKEN.
        deadline_ms: of a server's answer.
        adapter: a folder that `python -m policies.llm adapt --task jobs` made; empty for the shipped one.
        device: of the model in this process: auto, cpu or cuda.
        dtype: what it is computed in: auto, float32, bfloat16 or int8.

    Raises:
        ValueError: no such adapter or dtype, no address, a deadline that is none.
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

    def reset(self, cluster: ClusterSettings, seed: int) -> None:
        """A new episode; where the model is in this process, it is loaded now.

        Raises:
            ValueError: it can't be loaded, or a server has another adapter.
        """
        self._context, self._memory = TASK.context_of(cluster), JobsMemory()
        self._steps: list[JobStep] = []
        self._begin(self._context)

    def schedule(self, observation: JobsObservation) -> Assignment:
        """Ask whom to give executors.

        Raises:
            ServerError: the server has not answered by the deadline.
            ValueError: it was down at `reset`, and has another adapter.
        """
        session, step = self._told(observation)
        return self._heard(observation, step, session.decide(self._steps))

    def schedule_together(self, asked: Sequence[tuple[JobsPolicy, JobsObservation]]) -> Sequence[object]:
        """See `player.jobs.policy.SchedulesTogether`."""
        policies, steps, questions = [], [], []
        for policy, observation in asked:
            assert isinstance(policy, NetLLM)
            session, step = policy._told(observation)
            policies.append(policy)
            steps.append(step)
            questions.append((session, policy._steps))
        answers = DecidedSession.decide_together(questions)
        return [
            answer if isinstance(answer, Exception) else policy._heard(observation, step, answer)
            for policy, (_, observation), step, answer in zip(policies, asked, steps, answers, strict=True)
        ]

    def _told(self, observation: JobsObservation) -> tuple[DecidedSession, SeenStep]:
        """The session to ask, once the observation is the last of its steps."""
        assert self._session is not None, "reset first"
        if len(self._steps) >= LONGEST:
            del self._steps[:-OVERLAP]
            self._begin(self._context)
        step = self._memory.step(observation)
        self._memory.gave(observation, None)
        self._steps.append(step.step)
        return self._session, step

    def _heard(self, observation: JobsObservation, step: SeenStep, answer: Answer) -> Assignment:
        """An answer as the cluster hears it."""
        assignment = step.assignment(answer.value, answer.by)
        self._memory.gave(observation, assignment)
        return assignment

"""A cluster as a gymnasium environment: importing this registers `streambed/Jobs-v0`.

    import gymnasium, player.jobs.simulated.gym_env
    env = gymnasium.make("streambed/Jobs-v0", sequences="tpch[0:100]", jobs=50)

An episode is a sequence of jobs. An action is which of the schedulable stages gets executors (its number
among these, in order; a number beyond them: none does) and how many, less one. The reward is minus the time
that jobs spend until the next decision, in seconds: an episode's return is minus the sum of the jobs'
times. An observation is a fixed number of stages, those of the oldest jobs first; of more, later ones do
not show.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from player.jobs.features import NODE_FEATURES, graph_of
from player.jobs.policy import Assignment
from player.jobs.settings import ClusterSettings
from player.jobs.simulated.episode import Episode
from traces.jobs.catalogue import job_sequences
from traces.jobs.sequence import JOBS

ID = "streambed/Jobs-v0"
MOST_STAGES = 192
MOST_EDGES = 256
_LARGEST = 1e9


class JobsEnv(gymnasium.Env[Any, Any]):
    """The environment.

    Args:
        sequences: what `traces/jobs/catalogue.py` understands; each episode draws one.
        jobs: of a sequence.
        stages: that an observation shows at most.
        cluster: figures of `ClusterSettings`.

    Raises:
        JobError, JobsError: what was asked for cannot be had.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 -- gymnasium's own attribute

    def __init__(
        self,
        render_mode: None = None,
        sequences: str = "tpch[0:100]",
        jobs: int = JOBS,
        stages: int = MOST_STAGES,
        **cluster: Any,
    ) -> None:
        self.render_mode = render_mode
        self.sequences, self.cluster = job_sequences(sequences, jobs), ClusterSettings(**cluster)
        self.episode: Episode | None = None
        self._stages = stages
        box, boxes = gymnasium.spaces.Box, gymnasium.spaces
        self.observation_space = boxes.Dict(
            {
                "nodes": box(-1.0, _LARGEST, (stages, NODE_FEATURES), np.float32),
                "job": box(-1, jobs, (stages,), np.int64),
                "ready": boxes.MultiBinary(stages),
                "edges": box(-1, stages, (MOST_EDGES, 2), np.int64),
                "free": box(0, self.cluster.executors, (1,), np.int64),
            }
        )
        self.action_space = boxes.MultiDiscrete([stages, self.cluster.executors])

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """A new episode."""
        super().reset(seed=seed)
        sequence = self.sequences[int(self.np_random.integers(len(self.sequences)))]
        self.episode = Episode(sequence, self.cluster, int(self.np_random.integers(2**31)))
        return self._observe(), self._info()

    def step(self, action: Any) -> tuple[dict[str, NDArray[Any]], float, bool, bool, dict[str, Any]]:
        """Give executors to a stage.

        Raises:
            gymnasium.error.ResetNeeded: there is no episode, or it is over.
        """
        episode = self.episode
        if episode is None or episode.over:
            raise gymnasium.error.ResetNeeded("there is no episode, or it is over; call reset()")
        before = episode.job_time_ms
        ready = np.flatnonzero(episode.observation().ready)
        place = int(action[0])
        stage = int(ready[place]) if place < len(ready) else None
        episode.give(Assignment(stage, 1 + int(action[1])))
        reward = -(episode.job_time_ms - before) / 1000.0
        done = episode.over
        return self._observe(), reward, done and not episode.stuck, done and episode.stuck, self._info()

    def _info(self) -> dict[str, Any]:
        assert self.episode is not None
        return {"now_s": self.episode.now_ms / 1000.0, "job_time_s": self.episode.job_time_ms / 1000.0}

    def _observe(self) -> dict[str, NDArray[Any]]:
        assert self.episode is not None
        seen = self.episode.observation()
        graph = graph_of(seen)
        nodes = np.zeros((self._stages, NODE_FEATURES), np.float32)
        job, ready = np.full(self._stages, -1, np.int64), np.zeros(self._stages, np.int8)
        shown = min(len(graph.x), self._stages)
        nodes[:shown], job[:shown], ready[:shown] = graph.x[:shown], graph.job[:shown], graph.ready[:shown]
        kept = graph.edges[(graph.edges < self._stages).all(axis=1)][:MOST_EDGES]
        edges = np.full((MOST_EDGES, 2), -1, np.int64)
        edges[: len(kept)] = kept
        free = np.array([0 if self.episode.over else seen.free], np.int64)
        return {"nodes": nodes, "job": job, "ready": ready, "edges": edges, "free": free}


if ID not in gymnasium.registry:
    gymnasium.register(ID, entry_point=JobsEnv)

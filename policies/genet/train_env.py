"""The batch core as a vector environment of stable-baselines3.

All sessions begin and end together, so a rollout of `STEPS` steps is one session in every environment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from player.batch.library import Floats
from player.batch.sessions import Sessions
from player.simulated import CHUNKS
from policies.genet import future
from policies.genet.inputs import Vectors, of_sessions
from policies.genet.mix import Mix
from policies.genet.train_net import action_space, observation_space

STEPS = CHUNKS - 1
"""Decisions of a session; the first chunk comes at level 0."""
KNEE = 8.0
"""Below minus this a chunk's QoE counts by its logarithm: a dark link costs a hundred, decision or not."""
REWARD_UNIT = 3.0


def reward(qoe: Floats) -> Vectors:
    """What the learner is given for chunks' QoE: linear down to -KNEE, from there on logarithmic."""
    depth = np.maximum(-qoe / KNEE, 1.0)
    bent = np.where(qoe < -KNEE, -KNEE * (1.0 + np.log(depth)), qoe)
    return (bent / REWARD_UNIT).astype(np.float32)


class TrainEnv(VecEnv):
    """So many sessions of a mix; a step's reward is the chunk's QoE, by `reward`.

    Args:
        mix: where sessions come from.
        sessions: how many.
    """

    def __init__(self, mix: Mix, sessions: int) -> None:
        self.mix = mix
        self.random = np.random.default_rng(0)
        self.render_mode = None
        super().__init__(sessions, observation_space(), action_space())

    def begin(self, random: np.random.Generator) -> None:
        """Draw with this generator from now on."""
        self.random = random

    def reset(self) -> Any:
        setup = self.mix.draw(self.random, self.num_envs)
        self.sessions = Sessions(self.mix.library, setup, noise=True, threads=1)
        return self._observe()

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> Any:
        self.sessions.step(self._actions)
        rewards = reward(self.sessions.state.reward)
        done = self.sessions.done
        vectors = self._observe()
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if done.all():
            for info, last in zip(infos, vectors, strict=True):
                info["terminal_observation"] = last
            vectors = self.reset()
        return vectors, rewards, done, infos

    def _observe(self) -> Vectors:
        return np.concatenate((of_sessions(self.sessions), future.of_sessions(self.sessions)), axis=1)

    def close(self) -> None:
        """Nothing to give back."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name)] * len(self._indices(indices))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError("the sessions of a batch have no attributes of their own")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        raise NotImplementedError("the sessions of a batch have no methods of their own")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * len(self._indices(indices))

    def _indices(self, indices: int | Sequence[int] | None) -> Sequence[int]:
        if indices is None:
            return range(self.num_envs)
        return [indices] if isinstance(indices, int) else indices

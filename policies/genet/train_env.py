"""The batch core as a vector environment of stable-baselines3.

All sessions begin and end together, so a rollout of `STEPS` steps is one session in every environment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from player.batch.sessions import Sessions
from player.simulated import CHUNKS
from policies.genet.inputs import of_sessions
from policies.genet.mix import Mix
from policies.genet.train_net import action_space, observation_space

STEPS = CHUNKS - 1
"""Decisions of a session; the first chunk comes at level 0."""
WORST_QOE = -20.0
"""A chunk's QoE is cut off here, or a dark link, which no decision can help, would drown all else."""
REWARD_UNIT = 3.0


class TrainEnv(VecEnv):
    """So many sessions of a mix; a step's reward is the chunk's QoE, cut off and scaled.

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
        return of_sessions(self.sessions)

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> Any:
        self.sessions.step(self._actions)
        rewards = np.maximum(self.sessions.state.reward, WORST_QOE) / REWARD_UNIT
        done = self.sessions.done
        vectors = of_sessions(self.sessions)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if done.all():
            for info, last in zip(infos, vectors, strict=True):
                info["terminal_observation"] = last
            vectors = self.reset()
        return vectors, rewards.astype(np.float32), done, infos

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

"""The batch core as a vector environment of stable-baselines3.

All sessions begin and end together, so a rollout of `STEPS` steps is one session in every environment,
and the next rollout begins with `reset`: sessions that are over are not begun anew on their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from player.defaults import CHUNKS
from player.simulated.batch.library import Floats
from player.simulated.batch.sessions import Sessions
from policies.genet import future
from policies.genet.inputs import Vectors, of_sessions
from policies.genet.mix import PromotedMix
from policies.genet.train_net import action_space, observation_space
from policies.rules.batch_mpc import BatchMPC

STEPS = CHUNKS - 1
"""Decisions of a session; the first chunk comes at level 0."""
KNEE = 8.0
"""Beyond this, up or down, what a chunk gains on RobustMPC counts by its logarithm: one dark link would
outweigh a thousand decisions."""
REWARD_UNIT = 3.0


def reward(gained_qoe: Floats) -> Vectors:
    """What the learner is given for the QoE that chunks gain: linear to KNEE either way, then logarithmic."""
    size = np.abs(gained_qoe)
    bent = np.where(size > KNEE, KNEE * (1.0 + np.log(np.maximum(size / KNEE, 1.0))), size)
    return (np.sign(gained_qoe) * bent / REWARD_UNIT).astype(np.float32)


class TrainEnv(VecEnv):
    """So many sessions of a mix; a step's reward is what the chunk gains on RobustMPC's, by `reward`.

    RobustMPC streams every session as well, apart, with the same trace, start, video and noise. What it
    gets does not depend on the learner, so the best policy stays the best; but most of what the link
    does to both falls out, which otherwise hides what a decision did (an input-dependent baseline: Mao
    et al., "Variance reduction for reinforcement learning in input-driven environments", ICLR 2019).

    Args:
        mix: where sessions come from.
        sessions: how many.
    """

    def __init__(self, mix: PromotedMix, sessions: int) -> None:
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
        self._robustmpc = _streamed_by_robustmpc(Sessions(self.mix.library, setup, noise=True, threads=1))
        return self._observe()

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> Any:
        self.sessions.step(self._actions)
        chunk = self.sessions.state.chunk[0] - 1
        rewards = reward(self.sessions.state.reward - self._robustmpc[chunk - 1])
        done = self.sessions.done
        vectors = self._observe()
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if done.all():
            for info, last in zip(infos, vectors, strict=True):
                info["terminal_observation"] = last
        return vectors, rewards, done, infos

    def _observe(self) -> Vectors:
        return np.concatenate((of_sessions(self.sessions), future.of_sessions(self.sessions)), axis=1)

    def close(self) -> None:
        """Nothing to give back."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name)] * len(self._indices(indices))

    # stable-baselines3 asks every VecEnv for the next two; PPO calls neither.
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


def _streamed_by_robustmpc(sessions: Sessions) -> Floats:
    """(STEPS, sessions) QoE of each chunk that is decided."""
    teacher, qoe = BatchMPC(sessions), np.empty((STEPS, len(sessions)))
    for step in range(STEPS):
        sessions.step(teacher.select())
        qoe[step] = sessions.state.reward
    return qoe

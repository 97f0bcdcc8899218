"""The warm start: the actor learns RobustMPC's decisions before PPO improves on them.

DAgger (Ross et al., AISTATS 2011): the learner drives more and more, RobustMPC says at every state what
it would do, and the actor is fitted to all answers so far. PPO from nothing needs many more sessions to
get as far, and on fast links it does not get there within the budget.
"""

from __future__ import annotations

import numpy as np
import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from torch.nn.functional import cross_entropy

from player.simulated.batch.sessions import Sessions
from policies.genet.inputs import of_sessions
from policies.genet.mix import PromotedMix
from policies.genet.train_env import STEPS
from policies.genet.train_net import actor_of, actor_parameters, scores
from policies.rules.batch_mpc import BatchMPC

TEACHER_DRIVES = (1.0, 0.5, 0.0, 0.0)
"""The share of decisions that RobustMPC takes, round by round."""
EPOCHS = 3
"""Of each round, over the data of all so far."""
MINIBATCH = 1024
RATE = 1e-3


def warm_start(
    policy: ActorCriticPolicy, mix: PromotedMix, sessions: int, random: np.random.Generator
) -> float:
    """Fit the actor to RobustMPC over sessions of the mix.

    Returns:
        the share of RobustMPC's decisions that the actor takes, over the last round's own sessions.
    """
    optimizer = torch.optim.Adam(actor_parameters(policy), RATE)
    seen: list[np.ndarray] = []
    answers: list[np.ndarray] = []
    agreed = 0.0
    for share in TEACHER_DRIVES:
        actor, agreed = actor_of(policy), 0.0
        batch = Sessions(mix.library, mix.draw(random, sessions), noise=True, threads=1)
        teacher = BatchMPC(batch)
        for _ in range(STEPS):
            vectors, levels = of_sessions(batch), teacher.select()
            own = actor.best(vectors)
            agreed += float((own == levels).mean()) / STEPS
            seen.append(vectors)
            answers.append(levels)
            batch.step(np.where(random.random(sessions) < share, levels, own))
        _fit(policy, optimizer, np.concatenate(seen), np.concatenate(answers), random)
    return agreed


def _fit(
    policy: ActorCriticPolicy,
    optimizer: torch.optim.Optimizer,
    vectors: np.ndarray,
    levels: np.ndarray,
    random: np.random.Generator,
) -> None:
    inputs, targets = torch.from_numpy(vectors), torch.from_numpy(levels)
    for _ in range(EPOCHS):
        for part in np.array_split(random.permutation(len(levels)), max(len(levels) // MINIBATCH, 1)):
            rows = torch.from_numpy(part)
            loss = cross_entropy(scores(policy, inputs[rows]), targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

"""The network in torch, as stable-baselines3 trains it: `net.py`'s actor, and a critic of the same shape.

Both are handed the inputs and the future, side by side; only the critic's dense branch reads the future.
"""

from __future__ import annotations

import gymnasium
import numpy as np
import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from policies.genet import future
from policies.genet.inputs import AHEAD, DENSE, HISTORY, LEVELS, WIDTH
from policies.genet.net import FILTERS, HIDDEN, JOINED, KERNEL, Actor, checked

BRANCHES = ("throughput", "download", "sizes", "dense")


class Branches(BaseFeaturesExtractor):
    """All up to the hidden layer: (n, WIDTH + future's) to (n, JOINED).

    Args:
        sees_future: whether the dense branch also takes what `future.py` shows.
    """

    def __init__(self, observation_space: gymnasium.Space, sees_future: bool) -> None:
        super().__init__(observation_space, JOINED)
        dense = DENSE + (future.WIDTH if sees_future else 0)
        self._dense = slice(WIDTH - DENSE, WIDTH - DENSE + dense)
        self.throughput = nn.Conv1d(1, FILTERS, KERNEL)
        self.download = nn.Conv1d(1, FILTERS, KERNEL)
        self.sizes = nn.Conv1d(AHEAD, FILTERS, KERNEL)
        self.dense = nn.Linear(dense, FILTERS)

    def forward(self, vectors: Tensor) -> Tensor:
        sizes = vectors[:, 2 * HISTORY : 2 * HISTORY + AHEAD * LEVELS].reshape(-1, AHEAD, LEVELS)
        parts = (
            self.throughput(vectors[:, None, :HISTORY]).flatten(1),
            self.download(vectors[:, None, HISTORY : 2 * HISTORY]).flatten(1),
            self.sizes(sizes).flatten(1),
            self.dense(vectors[:, self._dense]),
        )
        return torch.relu(torch.cat(parts, dim=1))  # (n, JOINED)


class ActorCritic(ActorCriticPolicy):
    """Actor and critic apart; stable-baselines3 asks for the actor's branches first."""

    def make_features_extractor(self) -> Branches:
        return Branches(self.observation_space, sees_future=hasattr(self, "pi_features_extractor"))


POLICY_KWARGS = {
    "share_features_extractor": False,
    "net_arch": {"pi": [HIDDEN], "vf": [HIDDEN]},
    "activation_fn": nn.ReLU,
}


def observation_space() -> gymnasium.spaces.Box:
    """Of `inputs.py`'s vectors with `future.py`'s."""
    return gymnasium.spaces.Box(-np.inf, np.inf, (WIDTH + future.WIDTH,), np.float32)


def action_space() -> gymnasium.spaces.Discrete:
    """The levels."""
    return gymnasium.spaces.Discrete(LEVELS)


def actor_parameters(policy: ActorCriticPolicy) -> list[nn.Parameter]:
    """Those that decide, without the critic's."""
    modules = (policy.pi_features_extractor, policy.mlp_extractor.policy_net, policy.action_net)
    return [parameter for module in modules for parameter in module.parameters()]


def scores(policy: ActorCriticPolicy, vectors: Tensor) -> Tensor:
    """(n, LEVELS) of (n, WIDTH), what `net.Actor.scores` computes in numpy."""
    hidden = policy.mlp_extractor.forward_actor(policy.pi_features_extractor(vectors))
    return policy.action_net(hidden)


def actor_of(policy: ActorCriticPolicy) -> Actor:
    """A copy of the present actor."""
    modules: dict[str, nn.Module] = {name: getattr(policy.pi_features_extractor, name) for name in BRANCHES}
    modules |= {"hidden": policy.mlp_extractor.policy_net[0], "levels": policy.action_net}
    tensors = {
        f"{name}.{key}": value.detach().numpy().copy()
        for name, module in modules.items()
        for key, value in module.named_parameters()
    }
    return checked(tensors, "the network in training")

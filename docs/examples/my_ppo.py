"""What `train_ppo.py` learned, as a policy that needs numpy alone.

`--policy docs/examples/my_ppo.py:MyPPO`, where `my_ppo.npz` lies.
"""

import numpy as np

from player.policy import Decision
from player.simulated.batch.features import Features


class MyPPO:
    """Takes the level that the network scores highest.

    Args:
        weights: what `train_ppo.py` wrote.
    """

    def __init__(self, weights: str = "my_ppo.npz"):
        with np.load(weights) as held:
            self._held = dict(held)

    def check(self, video, qoe):
        """Refuse, before a session begins, a ladder that the network has no answers for."""
        levels = len(self._held["action_net.bias"])
        if video.levels != levels:
            raise ValueError(f"{video.name}: {video.levels} levels; these weights are for {levels}")

    def reset(self, video, seed, qoe):
        self._features = Features(video.levels, video.chunks)

    def select(self, observation):
        if not observation.history:
            return 0
        hidden = self._features.of(observation)
        for layer in (0, 2):
            weight = self._held[f"mlp_extractor.policy_net.{layer}.weight"]
            hidden = np.tanh(weight @ hidden + self._held[f"mlp_extractor.policy_net.{layer}.bias"])
        scores = self._held["action_net.weight"] @ hidden + self._held["action_net.bias"]
        return Decision(int(scores.argmax()), reason=f"score {scores.max():.2f}")

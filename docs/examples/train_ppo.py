"""Train a small network by PPO on simulated 4G sessions, and keep its weights.

`python docs/examples/train_ppo.py` writes `my_ppo.npz`; `--steps` trains for less or more.
Needs the extra `learn` (`make setup` brings it). A minute on one core; a good policy wants many.
"""

import argparse

import gymnasium
import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env

import player.simulated.batch.gym_env  # noqa: F401  registers the environment
from player.simulated.batch.gym_env import ID

STEPS = 100_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=STEPS, metavar="N", help="chunks (default: %(default)s)")
    parser.add_argument("--out", default="my_ppo.npz", metavar="FILE", help="weights (default: %(default)s)")
    args = parser.parse_args()
    envs = make_vec_env(
        lambda: gymnasium.make(ID, traces="4g[0:200]", video="envivio", random_start=True), n_envs=8, seed=1
    )
    model = PPO("MlpPolicy", envs, n_steps=256, batch_size=256, gamma=0.9, seed=1, device="cpu")
    model.learn(args.steps)
    weights = {name: each.numpy() for name, each in model.policy.state_dict().items()}
    np.savez(args.out, **weights)
    count = sum(each.size for each in weights.values())
    print(f"{args.out}: {count} numbers after {model.num_timesteps} steps")


if __name__ == "__main__":
    main()

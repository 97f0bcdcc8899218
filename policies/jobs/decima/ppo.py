"""PPO as Decima's successors train it: some episodes of each of some sequences, and a baseline of those
alike.

The return of a decision is minus the time that jobs spend from then on, discounted by `beta`; the baseline is
what the episodes of the same sequence still have to come at that time, on average (Mao et al. 2019, section
5.3: a baseline that depends on the input). Settings of spark-sched-sim's are beside those that differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from policies.jobs.decima.batch import Net, Step, batch_of
from policies.jobs.decima.rollouts import Rollout

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PPOSettings:
    """How it is learned."""

    rate: float = 3e-4
    clip: float = 0.2
    entropy: float = 0.01
    """spark-sched-sim's 0.04 is for a net that begins with nothing."""
    epochs: int = 3
    batch: int = 1024
    most_kl: float = 0.015
    beta_per_s: float = 5e-3
    most_norm: float = 0.5


def returns_of(rollout: Rollout, beta_per_s: float) -> Floats:
    """(K,) minus the discounted time of jobs in s, from each decision on.

    Within an interval jobs count as if they were there evenly, so its part is discounted from its middle.
    """
    gaps_s = np.diff(rollout.at_ms) / 1000.0
    spent_s = rollout.job_time_ms / 1000.0
    found, after = np.empty(len(spent_s)), 0.0
    for place in range(len(spent_s) - 1, -1, -1):
        keep = np.exp(-beta_per_s * gaps_s[place])
        after = -spent_s[place] * np.sqrt(keep) + keep * after
        found[place] = after
    return found


def advantages_of(group: Sequence[Rollout], beta_per_s: float) -> list[Floats]:
    """(K,) of each episode of one sequence: its returns less what the others have at the same times."""
    returns = [returns_of(rollout, beta_per_s) for rollout in group]
    found = []
    for mine, rollout in enumerate(group):
        at = rollout.at_ms[:-1]
        alike = [
            np.interp(at, other.at_ms, np.append(returns[place], 0.0))
            for place, other in enumerate(group)
            if place != mine
        ]
        found.append(returns[mine] - np.mean(alike, axis=0))
    return found


def improve(
    net: Net, optimizer: torch.optim.Optimizer, groups: Sequence[Sequence[Rollout]], settings: PPOSettings
) -> dict[str, float]:
    """One round of PPO over episodes of some sequences; what it measured."""
    steps: list[Step] = [step for group in groups for rollout in group for step in rollout.steps]
    advantages = np.concatenate(
        [part for group in groups for part in advantages_of(group, settings.beta_per_s)]
    )
    advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    whole = torch.from_numpy(advantages.astype(np.float32))
    parts = [
        list(range(begin, min(begin + settings.batch, len(steps))))
        for begin in range(0, len(steps), settings.batch)
    ]
    with torch.no_grad():
        before = torch.cat([net(batch_of([steps[place] for place in part]))[0] for part in parts])
    said = {"kl": 0.0, "entropy": 0.0, "epochs": 0.0}
    for _ in range(settings.epochs):
        kls, entropies = [], []
        for places in torch.randperm(len(steps)).split(settings.batch):
            logs, entropy = net(batch_of([steps[place] for place in places.tolist()]))
            change = logs - before[places]
            ratio, gain = change.exp(), whole[places]
            clipped = ratio.clamp(1.0 - settings.clip, 1.0 + settings.clip)
            loss = -torch.min(gain * ratio, gain * clipped).mean() - settings.entropy * entropy.mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), settings.most_norm)
            optimizer.step()
            kls.append(float((ratio - 1.0 - change).detach().mean()))
            entropies.append(float(entropy.detach().mean()))
        said = {
            "kl": float(np.mean(kls)),
            "entropy": float(np.mean(entropies)),
            "epochs": said["epochs"] + 1.0,
        }
        if said["kl"] > 1.5 * settings.most_kl:
            break
    return said

"""Learn what a rule does: where PPO begins, which would else spend its time on what everybody knows."""

from __future__ import annotations

import math
from collections.abc import Sequence

from player.jobs.features import graph_of
from player.jobs.policy import JobsPolicy
from player.jobs.simulated.episode import Episode
from policies.jobs.decima.batch import Net, Step, batch_of


def steps_of(rule: JobsPolicy, episodes: Sequence[Episode]) -> list[Step]:
    """The rule's decisions; those that give nothing are left out, which the net cannot."""
    found = []
    for episode in episodes:
        while not episode.over:
            seen = episode.observation()
            answer = rule.schedule(seen)
            if answer.stage is not None:
                found.append(Step(graph_of(seen), answer.stage, answer.executors))
            episode.give(answer)
    return found


def imitate(net: Net, steps: Sequence[Step], epochs: int, batch: int = 64, rate: float = 2e-3) -> float:
    """Raise the chance of these decisions, in ever smaller steps; their mean log likelihood in the last
    epoch."""
    import torch

    optimizer, mean = torch.optim.Adam(net.parameters(), rate), -math.inf
    slower = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, epochs)
    for _ in range(epochs):
        total = 0.0
        for places in torch.randperm(len(steps)).split(batch):
            logs, _ = net(batch_of([steps[place] for place in places.tolist()]))
            optimizer.zero_grad()
            (-logs.mean()).backward()
            optimizer.step()
            total += float(logs.detach().sum())
        slower.step()
        mean = total / len(steps)
    return mean

"""Episodes side by side: the net is asked for all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from player.jobs.features import graph_of
from player.jobs.policy import Assignment
from player.jobs.simulated.episode import Episode
from policies.jobs.decima.batch import Step
from policies.jobs.decima.graphs import joined
from policies.jobs.decima.net import Weights, chosen


@dataclass(frozen=True)
class Rollout:
    """An episode that was played; K decisions."""

    steps: tuple[Step, ...]
    at_ms: NDArray[np.float64]
    """(K + 1,) when each was, and the end."""
    job_time_ms: NDArray[np.float64]
    """(K,) what jobs spent from each decision to the next, all together."""
    mean_job_s: float


def play_together(
    weights: Weights, episodes: Sequence[Episode], random: np.random.Generator | None
) -> list[Rollout]:
    """Play all episodes to their ends."""
    steps: list[list[Step]] = [[] for _ in episodes]
    times: list[list[tuple[float, float]]] = [[] for _ in episodes]
    playing = [place for place, episode in enumerate(episodes) if not episode.over]
    while playing:
        graphs = [graph_of(episodes[place].observation()) for place in playing]
        stages, counts = chosen(weights, joined(graphs), random)
        for place, graph, stage, count in zip(playing, graphs, stages, counts, strict=True):
            episode = episodes[place]
            steps[place].append(Step(graph, int(stage), int(count)))
            times[place].append((episode.now_ms, episode.job_time_ms))
            episode.give(Assignment(int(stage), int(count)))
        playing = [place for place in playing if not episodes[place].over]
    return [_rollout(episode, mine, when) for episode, mine, when in zip(episodes, steps, times, strict=True)]


def _rollout(episode: Episode, steps: Sequence[Step], times: Sequence[tuple[float, float]]) -> Rollout:
    at_ms, spent_ms = np.array([*times, (episode.now_ms, episode.job_time_ms)]).T
    return Rollout(tuple(steps), at_ms, np.diff(spent_ms), float(np.nanmean(episode.job_times_s)))

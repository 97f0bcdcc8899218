"""The command line of `python -m policies.jobs.decima`: train the net.

    python -m policies.jobs.decima --minutes 40 --out decima.safetensors --seed 1

Members 10000 and on of `tpch` are trained on, 9000 and on choose the round that is kept; tests use others.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from player.jobs.settings import ClusterSettings
from player.jobs.simulated.episode import Episode
from policies.jobs.decima.net import Weights, fresh_weights
from policies.jobs.decima.rollouts import Rollout, play_together
from policies.jobs.release import Release
from traces.commands import Parser, add_options, carried_out, exit_with, option
from traces.files import write_aside
from traces.jobs.generator import member
from traces.trace import TraceError

PROG = "python -m policies.jobs.decima"
FIRST_TRAINED, FIRST_HELD = 10_000, 9_000


@dataclass(frozen=True)
class TrainingSettings:
    """What is trained on, and how long."""

    minutes: float = option(40.0, float, "train so long")
    seed: int = option(1, int, "of weights and draws")
    sequences: int = option(4, int, "of a round")
    rollouts: int = option(4, int, "episodes of each sequence")
    jobs: int = option(60, int, "of a training sequence")
    held: int = option(12, int, "sequences that choose the round that is kept")
    every: int = option(10, int, "rounds between choices")
    imitated: int = option(8, int, "sequences of the rule that it begins with")
    imitation_epochs: int = option(6, int, "epochs of that")


def episodes_of(first: int, sequences: int, jobs: int, each: int = 1) -> list[Episode]:
    """Episodes of members of the family, each so often; those of one member stand together."""
    found = []
    for index in range(first, first + sequences):
        sequence = member(index, jobs)
        begun = Episode(sequence, ClusterSettings(), 0)
        found += [begun.copy() for _ in range(each)]
    return found


def held_out(weights: Weights, settings: TrainingSettings) -> float:
    """Mean job time of whole held-out sequences, choices drawn, s."""
    played = play_together(weights, episodes_of(FIRST_HELD, settings.held, 200), np.random.default_rng(0))
    return float(np.mean([rollout.mean_job_s for rollout in played]))


def train(settings: TrainingSettings, out: Path) -> dict[str, float]:
    """Train, and write the weights that were best on the held-out sequences."""
    import torch

    from policies.jobs.decima.batch import Net
    from policies.jobs.decima.imitate import imitate, steps_of
    from policies.jobs.decima.ppo import PPOSettings, improve

    torch.manual_seed(settings.seed)
    torch.set_num_threads(1)
    random, asked = np.random.default_rng(settings.seed), PPOSettings()
    net = Net(fresh_weights(settings.seed))
    until_s = time.monotonic() + 60.0 * settings.minutes
    first = FIRST_TRAINED + 100_000 * settings.seed
    steps = steps_of(Release(), episodes_of(first, settings.imitated, 200))
    likely = imitate(net, steps, settings.imitation_epochs)
    best = _keep(net.weights(), settings, out)
    _tell(round=0, log_likelihood=likely, held_job_s=best)
    optimizer = torch.optim.Adam(net.parameters(), asked.rate)
    rounds, next_member = 0, first + settings.imitated
    while time.monotonic() < until_s:
        episodes = episodes_of(next_member, settings.sequences, settings.jobs, settings.rollouts)
        next_member += settings.sequences
        played = play_together(net.weights(), episodes, random)
        said = improve(net, optimizer, _groups(played, settings.rollouts), asked)
        rounds += 1
        _tell(round=rounds, job_s=float(np.mean([one.mean_job_s for one in played])), **said)
        if rounds % settings.every == 0:
            best = min(best, _keep(net.weights(), settings, out, best))
            _tell(round=rounds, best_held_job_s=best)
    return {"rounds": rounds, "held_job_s": best}


def _groups(played: Sequence[Rollout], each: int) -> list[Sequence[Rollout]]:
    return [played[begin : begin + each] for begin in range(0, len(played), each)]


def _keep(weights: Weights, settings: TrainingSettings, out: Path, best: float = float("inf")) -> float:
    """Write the weights if they are better than the best so far; how good they are."""
    from safetensors.numpy import save

    found = held_out(weights, settings)
    _tell(held_job_s=found)
    if found < best:
        write_aside(out, save(weights))
    return found


def _tell(**said: float) -> None:
    print(json.dumps({name: round(value, 5) for name, value in said.items()}), flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = Parser(prog=PROG, description="Train Decima's net by PPO on generated sequences of jobs.")
    add_options(parser, TrainingSettings)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the weights' file")
    args = parser.parse_args(arguments)
    values = {name: getattr(args, name) for name in TrainingSettings.__dataclass_fields__}

    def work() -> int:
        _tell(**train(TrainingSettings(**values), args.out))
        return 0

    return carried_out(PROG, work, (TraceError,))


if __name__ == "__main__":
    exit_with(main)

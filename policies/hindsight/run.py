"""A run of training: its settings, and all that changes while it goes on, which is in its checkpoint."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from policies.hindsight.data import DataError
from policies.hindsight.seen import SEEN
from policies.hindsight.torch_net import FutureCritic, OptionActor, twin
from traces.files import aside
from traces.words import of_a_fault


@dataclass
class HindsightSettings:
    """What a run does; the defaults are those of the shipped weights."""

    seed: int = 1
    sessions: int = 512
    """In one batch, of some 50 decisions each."""
    rounds: int = 4
    """Of DAgger; each adds half a batch of states."""
    epochs: int = 3
    """Over all states so far, after each round."""
    value_batch: int = 512
    value_lr: float = 1e-3
    explore: float = 0.1
    """Share of random levels while states are gathered."""
    labelled: float = 0.5
    """Share of the visited states that are planned from."""
    ppo_steps: int = 10_000_000
    ppo_epochs: int = 3
    ppo_batch: int = 1024
    ppo_lr: float = 3e-4
    clip: float = 0.2
    gamma: float = 0.99
    """For a chunk of 4 s; of others by their length."""
    trace_decay: float = 0.9
    """GAE's lambda, the same."""
    entropy_first: float = 0.01
    entropy_last: float = 0.001
    frozen: int = 3
    """PPO iterations in which only the critic learns."""
    average_keep: float = 0.997
    """Of the running average of the weights, at each of PPO's updates."""
    redraw: int = 2
    """Batches that one drawn world serves."""
    check_every: int = 10
    """PPO iterations between two looks at the validation traces."""
    threads: int = 1


@dataclass
class HindsightRun:
    """Everything that changes while a run goes on."""

    actor: OptionActor
    critic: FutureCritic
    average: OptionActor
    value_optimizer: torch.optim.Optimizer
    actor_optimizer: torch.optim.Optimizer
    critic_optimizer: torch.optim.Optimizer
    random: np.random.Generator
    round: int = 0
    iteration: int = 0
    decisions: int = 0
    """That PPO has played."""
    drawn: int = 0
    """Batches of sessions so far."""
    best: float = -np.inf
    seconds: float = 0.0
    states: list[torch.Tensor] = field(default_factory=list)
    """(states, WIDTH) of each DAgger round, in half precision."""
    targets: list[torch.Tensor] = field(default_factory=list)
    """(states, MAX_LEVELS) beside them."""

    @classmethod
    def new(cls, settings: HindsightSettings) -> HindsightRun:
        torch.manual_seed(settings.seed)
        actor, critic = OptionActor(), FutureCritic(SEEN)
        return cls(
            actor,
            critic,
            twin(actor),
            torch.optim.Adam(actor.parameters(), settings.value_lr, fused=True),
            torch.optim.Adam(actor.parameters(), settings.ppo_lr, eps=1e-5, fused=True),
            torch.optim.Adam(critic.parameters(), settings.ppo_lr, eps=1e-5, fused=True),
            np.random.default_rng(settings.seed),
        )

    _MODULES = (
        "actor", "critic", "average", "value_optimizer", "actor_optimizer", "critic_optimizer",
    )  # fmt: skip
    _PLAIN = ("round", "iteration", "decisions", "drawn", "best", "seconds", "states", "targets")

    def save(self, path: Path, settings: HindsightSettings) -> None:
        """Write the checkpoint aside, then give it its name."""
        held: dict[str, Any] = {name: getattr(self, name).state_dict() for name in self._MODULES}
        held |= {name: getattr(self, name) for name in self._PLAIN}
        held["random"] = json.dumps(self.random.bit_generator.state)
        held["torch"] = torch.get_rng_state()
        held["settings"] = asdict(settings)
        with aside(path) as partial:
            torch.save(held, partial)

    def load(self, path: Path, settings: HindsightSettings) -> None:
        """Go on from a checkpoint.

        Raises:
            DataError: it belongs to a run with other settings, or is no checkpoint.
        """
        try:
            held = torch.load(path, weights_only=True)
        except Exception as error:
            raise DataError(f"{path}: no checkpoint: {of_a_fault(error)}; name another --out") from None
        if held["settings"] != asdict(settings):
            raise DataError(f"{path}: a run with other settings; name another --out, or delete it")
        for name in self._MODULES:
            getattr(self, name).load_state_dict(held[name])
        for name in self._PLAIN:
            setattr(self, name, held[name])
        self.random.bit_generator.state = json.loads(held["random"])
        torch.set_rng_state(held["torch"])

"""A training run: warm start, then PPO over a mix into which found environments are promoted.

Every iteration's randomness comes from (seed, iteration) alone and a checkpoint follows each, so a run
that was killed goes on and ends as it would have. Checkpoints are chosen by validation traces only.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.logger import configure
from stable_baselines3.common.utils import explained_variance

from player.video.built_in import load_video
from policies.genet.curriculum import search
from policies.genet.data import FAMILIES, Data, load
from policies.genet.environment import Environment, as_dict, described
from policies.genet.imitate import warm_start
from policies.genet.mix import UNIFORM_ENVIRONMENTS, PromotedMix
from policies.genet.net import Actor, packed
from policies.genet.score import by_actor, by_baseline, over_traces
from policies.genet.train_env import STEPS, TrainEnv
from policies.genet.train_net import POLICY_KWARGS, ActorCritic, actor_of, actor_parameters
from traces.files import aside, write_aside
from traces.ownership import make_directory
from traces.totals import running_total

CHECKPOINT = "checkpoint.pt"
WEIGHTS = "best.safetensors"
SUMMARY = "summary.json"

GAMMA = 0.99
LAMBDA = 0.9
RATE = 3e-4
"""Learning rate, falling to 0 along the run."""
ENTROPY = (0.003, 0.0003)
"""Weight of the entropy at the beginning and at the end."""
EPOCHS = 3
MINIBATCHES = 8
FROZEN = 4
"""Iterations that fit the critic alone, so that a critic that knows nothing does not undo the warm start."""
VALIDATE_EVERY = 5

Say = Callable[[str], None]


class RunError(ValueError):
    """A run that cannot be begun or gone on with; the message says why and the way out."""


@dataclass(frozen=True)
class GenetSettings:
    """What a run depends on."""

    seed: int = 1
    udr: bool = False
    traces: tuple[str, ...] = ()
    baseline: str = "robustmpc"
    warm_start: bool = True
    iterations: int = 40
    sessions: int = 512
    """Of one iteration, 47 decisions each."""
    every: int = 5
    """Iterations between two searches of the curriculum."""
    trials: int = 15
    """Environments that a search tries."""
    members: int | None = None
    """At most so many members of each family, and uniform environments, for trials."""
    families: tuple[str, ...] = FAMILIES
    """Of the generator's, whose members are trained on."""


@dataclass
class PpoState:
    """Where a run stands, beside its networks."""

    iteration: int = 0
    found: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    best_score: float = -np.inf
    best_iteration: int = -1
    scores: dict[str, float] = dataclasses.field(default_factory=dict)
    """Of the best checkpoint, by validation set."""
    spent_s: float = 0.0
    """Of a core's time."""


@dataclass(frozen=True)
class GenetResult:
    """What a run came to."""

    seed: int
    score: float
    """Mean of the validation sets' means."""
    scores: dict[str, float]
    best_iteration: int
    baselines: dict[str, dict[str, float]]
    """By rule and validation set."""
    found: list[dict[str, Any]]
    spent_s: float
    """Of a core's time."""
    weights: str


class GenetRun:
    """One seed's training in a folder.

    Args:
        settings: of the run; those of a checkpoint in the folder must be the same.
        folder: where checkpoint, best weights and summary are written.
        say: is told the progress, a line at a time.

    Raises:
        RunError: the folder holds another run's checkpoint.
        TraceError: the traces cannot be had.
    """

    def __init__(self, settings: GenetSettings, folder: Path, say: Say) -> None:
        self.settings, self.folder, self._say = settings, folder, say
        self.data: Data = load(settings.traces, settings.members, settings.families)
        self._video = load_video("envivio")
        self.state = PpoState()
        self._model: PPO | None = None

    def carry_out(self, until: int | None = None) -> GenetResult:
        """Train to the end, or to iteration `until`, from wherever the folder stands."""
        make_directory(self.folder)
        torch.set_num_threads(1)
        torch.manual_seed(self.settings.seed)
        saved = self._load()
        env = TrainEnv(self._mix(), self.settings.sessions)
        model = self._ppo(env)
        if saved:
            model.policy.load_state_dict(saved["policy"])
            model.policy.optimizer.load_state_dict(saved["optimizer"])
            self._say(f"goes on at iteration {self.state.iteration}")
        else:
            self._begin(model, env)
        last = min(self.settings.iterations, self.settings.iterations if until is None else until)
        while self.state.iteration < last:
            began = time.process_time()
            self._iterate(model, env)
            self.state.spent_s += time.process_time() - began
            self._save(model)
        return self._finish()

    def _ppo(self, env: TrainEnv) -> PPO:
        model = PPO(
            ActorCritic,
            env,
            learning_rate=RATE,
            n_steps=STEPS,
            batch_size=max(self.settings.sessions * STEPS // MINIBATCHES, 2),
            n_epochs=EPOCHS,
            gamma=GAMMA,
            gae_lambda=LAMBDA,
            policy_kwargs=POLICY_KWARGS,
            device="cpu",
            seed=None,
        )
        model.set_logger(configure(None, []))
        return model

    def _begin(self, model: PPO, env: TrainEnv) -> None:
        began = time.process_time()
        if self.settings.warm_start:
            random = np.random.default_rng([self.settings.seed, 4])
            agreed = warm_start(model.policy, env.mix, 2 * self.settings.sessions, random)
            self._say(f"warm start: takes {agreed:.0%} of RobustMPC's decisions")
        self._say(self._validate(actor_of(model.policy)))
        self.state.spent_s += time.process_time() - began

    def _iterate(self, model: PPO, env: TrainEnv) -> None:
        settings, state = self.settings, self.state
        at = state.iteration
        if not settings.udr and at >= FROZEN and at % settings.every == 0:
            found = search(
                actor_of(model.policy), settings.baseline, settings.trials, settings.seed * 10_000 + at
            )
            env.mix.promote(found.environment)
            state.found.append(as_dict(found.environment) | {"iteration": at, "gap": found.gap})
            self._say(f"promoted (gap {found.gap:.2f}): {described(found.environment)}")
        done = at / settings.iterations
        model.learning_rate = RATE * (1 - done)
        model._setup_lr_schedule()
        model.ent_coef = ENTROPY[0] + (ENTROPY[1] - ENTROPY[0]) * done
        for parameter in actor_parameters(model.policy):
            parameter.requires_grad_(at >= FROZEN)
        torch.manual_seed(settings.seed * 100_003 + at)
        np.random.seed((settings.seed * 100_003 + at) % 2**32)  # SB3 shuffles by numpy's own generator
        env.begin(np.random.default_rng([settings.seed, 3, at]))
        model._last_obs = None
        began = time.monotonic()
        model.learn(settings.sessions * STEPS, reset_num_timesteps=False, log_interval=None)
        state.iteration = at + 1
        buffer = model.rollout_buffer
        reward = float(buffer.rewards.mean())
        known = float(explained_variance(buffer.values.flatten(), buffer.returns.flatten()))
        took_s = time.monotonic() - began
        line = f"iteration {at + 1}/{settings.iterations}: reward {reward:.3f}, "
        line += f"explained variance {known:.2f}, {took_s:.1f} s"
        if (at + 1) % VALIDATE_EVERY == 0 or at + 1 == settings.iterations:
            line += "; " + self._validate(actor_of(model.policy))
        self._say(line)

    def _validate(self, actor: Actor) -> str:
        means = {
            name: float(over_traces(traces, self._video, by_actor(actor)).mean())
            for name, traces in self.data.validation.items()
        }
        score = running_total(means.values()) / len(means)
        better = score > self.state.best_score
        if better:
            self.state.best_score, self.state.best_iteration = score, self.state.iteration
            self.state.scores = means
            about = {"format": "streambed genet", "settings": json.dumps(asdict(self.settings))}
            write_aside(self.folder / WEIGHTS, packed(actor, about))
        text = ", ".join(f"{name} {mean:.3f}" for name, mean in means.items())
        return f"validation {score:.4f} ({text}){' best' if better else ''}"

    def _mix(self) -> PromotedMix:
        """As it stands, what was promoted included."""
        names = [each.name for each in dataclasses.fields(Environment)]
        found = [Environment(**{name: each[name] for name in names}) for each in self.state.found]
        environments = min(UNIFORM_ENVIRONMENTS, self.settings.members or UNIFORM_ENVIRONMENTS)
        return PromotedMix(self.data.training, self.settings.seed, found, environments)

    def _load(self) -> dict[str, Any] | None:
        path = self.folder / CHECKPOINT
        if not path.exists():
            return None
        saved: dict[str, Any] = torch.load(path, weights_only=True)
        there, wanted = json.loads(saved["settings"]), json.loads(json.dumps(asdict(self.settings)))
        if there != wanted:
            key = next(key for key in wanted if there.get(key) != wanted[key])
            raise RunError(
                f"{path} is of a run with {key} {there.get(key)}, asked for {wanted[key]}; name another --out"
            )
        self.state = PpoState(**json.loads(saved["state"]))
        return saved

    def _save(self, model: PPO) -> None:
        content = {
            "policy": model.policy.state_dict(),
            "optimizer": model.policy.optimizer.state_dict(),
            "settings": json.dumps(asdict(self.settings)),
            "state": json.dumps(asdict(self.state)),
        }
        with aside(self.folder / CHECKPOINT) as partial:
            torch.save(content, partial)

    def _finish(self) -> GenetResult:
        state = self.state
        result = GenetResult(
            seed=self.settings.seed,
            score=state.best_score,
            scores=state.scores,
            best_iteration=state.best_iteration,
            baselines={
                rule: {
                    name: float(over_traces(traces, self._video, by_baseline(rule)).mean())
                    for name, traces in self.data.validation.items()
                }
                for rule in ("robustmpc", "bba")
            },
            found=state.found,
            spent_s=state.spent_s,
            weights=str(self.folder / WEIGHTS),
        )
        write_aside(self.folder / SUMMARY, json.dumps(asdict(result), indent=1))
        return result

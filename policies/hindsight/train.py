"""How the weights are made: planned action values first, PPO with a critic that knows the future second.

1. *Values.* On states that the learner itself visits (DAgger: Ross et al., AISTATS 2011), `values.py` plans
   with the true future; the network learns each level's worth less the best one's, by squared error.
2. *PPO* (Schulman et al., 2017) from there: logits are `SHARPNESS` x values. The critic is privileged: it
   is shown the trace's next `WINDOWS` windows, which tells luck from skill; it is thrown away in the end
   (Pinto et al., RSS 2018, call this an asymmetric actor-critic).

Every now and then the running average of the actor's weights is scored on the validation traces, and
the best so far is what is written. A run that is killed goes on from its checkpoint with the same command.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from player.simulated.batch.library import Floats, Library
from player.simulated.batch.sessions import Sessions
from player.simulated.session import CHUNKS
from policies.hindsight import data, features, values
from policies.hindsight.net import ValueNet, write_net
from policies.hindsight.policy import BatchHindsight
from policies.hindsight.torch_net import Scaled, follow, layers_of, new_actor, new_critic, twin
from policies.hindsight.validate import TeacherValidation
from policies.rules.batch_mpc import BatchMPC
from traces.files import aside, growing
from traces.ownership import make_directory
from traces.words import of_a_fault

SHARPNESS = 3.0
"""PPO's logits are this x the values."""
WINDOWS = 24
WINDOW_S = 4.0
BAD_REWARD = -10.0
"""Below this a chunk's reward in training falls logarithmically: a dark minute would drown all else in
the batch, but a longer stall must stay worse than a shorter one."""
FORBIDDEN = -1e9
"""The logit of a level that `features.sane` forbids."""
LARGEST_GAIN = 5.0
"""In standard deviations of the batch; what lies beyond is some outage that nobody could foresee."""
STEPS = CHUNKS - 1
"""Decisions in a session: the first chunk's level is fixed."""

CHECKPOINT = "checkpoint.pt"
BEST = "hindsight.safetensors"
LOG = "log.jsonl"


@dataclass
class HindsightSettings:
    """What a run does; the defaults are those of the shipped weights."""

    seed: int = 1
    sessions: int = 512
    """In one batch, of 47 decisions each."""
    rounds: int = 10
    """Of DAgger; each adds one batch of states."""
    epochs: int = 2
    """Over all states so far, after each round."""
    value_batch: int = 512
    value_lr: float = 1e-3
    explore: float = 0.1
    """Share of random levels while states are gathered."""
    ppo_steps: int = 4_000_000
    ppo_epochs: int = 3
    ppo_batch: int = 1024
    ppo_lr: float = 3e-4
    clip: float = 0.2
    gamma: float = 0.99
    trace_decay: float = 0.9
    """GAE's lambda."""
    entropy_first: float = 0.01
    entropy_last: float = 0.001
    frozen: int = 3
    """PPO iterations in which only the critic learns."""
    average_keep: float = 0.997
    """Of the running average of the weights, at each of PPO's updates."""
    redraw: int = 4
    """Batches that one drawn library serves."""
    check_every: int = 5
    """PPO iterations between two looks at the validation traces."""
    threads: int = 1


@dataclass
class HindsightRun:
    """Everything that changes while a run goes on, and is in its checkpoint."""

    actor: Scaled
    critic: Scaled
    average: Scaled
    value_optimizer: torch.optim.Optimizer
    actor_optimizer: torch.optim.Optimizer
    critic_optimizer: torch.optim.Optimizer
    random: np.random.Generator
    round: int = 0
    iteration: int = 0
    drawn: int = 0
    """Batches of sessions so far."""
    best: float = -np.inf
    seconds: float = 0.0
    states: list[torch.Tensor] = field(default_factory=list)
    """(states, WIDTH) of each DAgger round."""
    targets: list[torch.Tensor] = field(default_factory=list)
    """(states, levels) beside them."""

    @classmethod
    def new(cls, settings: HindsightSettings) -> HindsightRun:
        torch.manual_seed(settings.seed)
        actor, critic = new_actor(), new_critic(WINDOWS)
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
    _PLAIN = ("round", "iteration", "drawn", "best", "seconds", "states", "targets")

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
            data.DataError: it belongs to a run with other settings, or is no checkpoint.
        """
        try:
            held = torch.load(path, weights_only=True)
        except Exception as error:
            raise data.DataError(f"{path}: no checkpoint: {of_a_fault(error)}; name another --out") from None
        if held["settings"] != asdict(settings):
            raise data.DataError(f"{path}: a run with other settings; name another --out, or delete it")
        for name in self._MODULES:
            getattr(self, name).load_state_dict(held[name])
        for name in self._PLAIN:
            setattr(self, name, held[name])
        self.random.bit_generator.state = json.loads(held["random"])
        torch.set_rng_state(held["torch"])


class Training:
    """One run: sources, settings and a folder."""

    def __init__(
        self,
        sources: Sequence[data.TraceSource],
        video_words: Sequence[str],
        out: Path,
        settings: HindsightSettings,
    ) -> None:
        torch.set_num_threads(settings.threads)
        self.settings, self.out, self.sources = settings, out, sources
        self.videos, self.shares = data.read_videos(video_words)
        self.validation = TeacherValidation.of(sources, self.videos[0], settings.threads)
        self.run = HindsightRun.new(settings)
        self.library: Library | None = None
        self.library_number = -1
        make_directory(out)
        if (out / CHECKPOINT).exists():
            self.run.load(out / CHECKPOINT, settings)
            self.say(f"going on from round {self.run.round}, iteration {self.run.iteration}")

    @property
    def iterations(self) -> int:
        return max(self.settings.ppo_steps // (self.settings.sessions * STEPS), 1)

    def go(self) -> None:
        """Run to the end."""
        while self.run.round < self.settings.rounds:
            began = time.monotonic()
            notes = self.learn_values()
            self.run.round += 1
            self.note(began, {"phase": "values", "round": self.run.round, **notes}, check=True)
        if self.run.iteration == 0:
            self.run.average = twin(self.run.actor)
            self.run.states, self.run.targets = [], []
        while self.run.iteration < self.iterations:
            began = time.monotonic()
            notes = self.improve()
            self.run.iteration += 1
            last = self.run.iteration == self.iterations
            check = last or self.run.iteration % self.settings.check_every == 0
            self.note(began, {"phase": "ppo", "iteration": self.run.iteration, **notes}, check)

    # ---- planned values -------------------------------------------------------------------------

    def learn_values(self) -> dict[str, float]:
        """One round of DAgger: states of the learner's own sessions, then some epochs over all of them."""
        run, settings = self.run, self.settings
        states, targets = self.gather()
        if not run.states:
            run.actor.scale_to(states)
        run.states.append(states)
        run.targets.append(targets)
        x, y = torch.cat(run.states), torch.cat(run.targets)
        lr = settings.value_lr * (1.0 - run.round / settings.rounds) + 1e-5
        for group in run.value_optimizer.param_groups:
            group["lr"] = lr
        total, count = 0.0, 0
        for _ in range(settings.epochs):
            for rows in torch.randperm(len(x)).split(settings.value_batch):
                loss = functional.mse_loss(run.actor(x[rows]), y[rows])
                run.value_optimizer.zero_grad()
                loss.backward()
                run.value_optimizer.step()
                total, count = total + loss.item(), count + 1
        run.average = twin(run.actor)
        return {"states": float(len(x)), "loss": total / count}

    def gather(self) -> tuple[torch.Tensor, torch.Tensor]:
        """States that the learner (at first RobustMPC) visits, and what the planner says of them."""
        run, settings = self.run, self.settings
        sessions = self.draw_sessions()
        net = ValueNet((layers_of(run.actor),))
        choose = BatchMPC(sessions) if run.round == 0 else BatchHindsight(sessions, net)
        xs, ys = [], []
        for _ in range(STEPS):
            xs.append(torch.from_numpy(features.fill(sessions)))
            worth = values.advantages(values.planned_values(sessions), features.WORST_VALUE)
            ys.append(torch.from_numpy(worth.astype(np.float32)))
            levels = choose.select()
            astray = run.random.random(len(sessions)) < settings.explore
            levels[astray] = run.random.integers(features.LEVELS, size=int(astray.sum()))
            sessions.step(levels)
        return torch.cat(xs), torch.cat(ys)

    def draw_sessions(self) -> Sessions:
        """A fresh batch; a fresh library when the last one has served its time.

        A library depends on the seed and its number alone, so that a resumed run draws the same.
        """
        run, settings = self.run, self.settings
        number = run.drawn // settings.redraw
        run.drawn += 1
        if self.library is None or number != self.library_number:
            random = np.random.default_rng((settings.seed, number))
            self.library, self.library_number = data.draw_library(self.sources, self.videos, random), number
        return data.draw_sessions(self.library, self.shares, settings.sessions, run.random, settings.threads)

    # ---- PPO ------------------------------------------------------------------------------------

    def improve(self) -> dict[str, float]:
        """One iteration: play a batch of sessions, then learn from it."""
        run, settings = self.run, self.settings
        x, future, levels, log_chance, rewards = self.play()
        seen = torch.cat((x, future), -1)  # (steps, sessions, WIDTH + WINDOWS)
        if run.iteration == 0:
            run.critic.scale_to(seen.flatten(0, 1))
        with torch.no_grad():
            expected = run.critic(seen).squeeze(-1)  # (steps, sessions)
        gains = torch.zeros_like(rewards)
        carried = torch.zeros(rewards.shape[1])
        for step in reversed(range(STEPS)):
            after = expected[step + 1] if step + 1 < STEPS else torch.zeros_like(carried)
            surprise = rewards[step] + settings.gamma * after - expected[step]
            carried = surprise + settings.gamma * settings.trace_decay * carried
            gains[step] = carried
        returns = gains + expected
        explained = 1.0 - (returns - expected).var() / returns.var()
        entropy = self.update(
            x.flatten(0, 1), seen.flatten(0, 1), levels.flatten(), log_chance.flatten(),
            gains.flatten(), returns.flatten(),
        )  # fmt: skip
        return {
            "reward": float(rewards.mean()),
            "explained": float(explained),
            "entropy": entropy,
        }

    def play(self) -> tuple[torch.Tensor, ...]:
        """(steps, sessions, …) states, futures, levels, their log probabilities and rewards."""
        run, sessions = self.run, self.draw_sessions()
        held: tuple[list[torch.Tensor], ...] = ([], [], [], [], [])
        windows = np.empty((len(sessions), WINDOWS))
        for _ in range(STEPS):
            x = torch.from_numpy(features.fill(sessions))
            values.future_mbps(sessions.library.packed, sessions.state, WINDOW_S, windows)
            with torch.no_grad():
                chances = log_chances(run.actor, x)
            levels = torch.multinomial(chances.exp(), 1)
            sessions.step(levels.squeeze(1).numpy())
            rewards = torch.from_numpy(softened(sessions.state.reward).astype(np.float32))
            step = (
                x, torch.from_numpy(np.log1p(windows).astype(np.float32)), levels.squeeze(1),
                chances.gather(1, levels).squeeze(1), rewards,
            )  # fmt: skip
            for into, each in zip(held, step, strict=True):
                into.append(each)
        return tuple(torch.stack(each) for each in held)

    def update(
        self,
        x: torch.Tensor,
        seen: torch.Tensor,
        levels: torch.Tensor,
        log_chance: torch.Tensor,
        gains: torch.Tensor,
        returns: torch.Tensor,
    ) -> float:
        """Some epochs over one batch; the mean entropy."""
        run, settings = self.run, self.settings
        left = 1.0 - run.iteration / self.iterations
        for optimizer in (run.actor_optimizer, run.critic_optimizer):
            for group in optimizer.param_groups:
                group["lr"] = settings.ppo_lr * left
        bonus = settings.entropy_last + (settings.entropy_first - settings.entropy_last) * left
        gains = ((gains - gains.mean()) / (gains.std() + 1e-8)).clamp(-LARGEST_GAIN, LARGEST_GAIN)
        total, count = 0.0, 0
        for _ in range(settings.ppo_epochs):
            for rows in torch.randperm(len(x)).split(settings.ppo_batch):
                error = functional.smooth_l1_loss(run.critic(seen[rows]).squeeze(-1), returns[rows])
                run.critic_optimizer.zero_grad()
                error.backward()
                torch.nn.utils.clip_grad_norm_(run.critic.parameters(), 0.5)
                run.critic_optimizer.step()
                if run.iteration < settings.frozen:
                    continue
                chances = log_chances(run.actor, x[rows])
                ratio = (chances.gather(1, levels[rows, None]).squeeze(1) - log_chance[rows]).exp()
                held = ratio.clamp(1.0 - settings.clip, 1.0 + settings.clip)
                entropy = -(chances.exp() * chances).sum(-1).mean()
                loss = -torch.minimum(ratio * gains[rows], held * gains[rows]).mean() - bonus * entropy
                run.actor_optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(run.actor.parameters(), 0.5)
                run.actor_optimizer.step()
                follow(run.average, run.actor, settings.average_keep)
                total, count = total + entropy.item(), count + 1
        return total / max(count, 1)

    # ---- looking at it --------------------------------------------------------------------------

    def note(self, began: float, entry: dict[str, Any], check: bool) -> None:
        """Log, score if it is due, keep the best, save the checkpoint."""
        if check:
            entry |= self.check()
        self.run.seconds += time.monotonic() - began
        entry["seconds"] = round(self.run.seconds, 1)
        with growing(self.out / LOG) as log:
            log.write(json.dumps(entry) + "\n")
        self.say(", ".join(f"{key} {_short(value)}" for key, value in entry.items()))
        if check:
            self.run.save(self.out / CHECKPOINT, self.settings)

    def check(self) -> dict[str, Any]:
        """Score the average on the validation traces; write it when it is the best so far."""
        layers = layers_of(self.run.average)
        candidate = self.out / "candidate.safetensors"
        notes = {"seed": str(self.settings.seed), "iteration": str(self.run.iteration)}
        write_net(candidate, [layers], notes)
        net = ValueNet.read(candidate)
        if not self.validation.groups:
            candidate.replace(self.out / BEST)
            return {}
        gains = self.validation.gains(lambda sessions: BatchHindsight(sessions, net))
        score = self.validation.score(gains)
        if score > self.run.best:
            self.run.best = score
            candidate.replace(self.out / BEST)
        return {
            "score": score,
            "best": self.run.best,
            "gain": {name: round(float(each.mean()), 4) for name, each in gains.items()},
        }

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def softened(rewards: Floats) -> Floats:
    """Rewards as they are down to `BAD_REWARD`, and the same slope there, but flatter and flatter below."""
    below = np.maximum(BAD_REWARD - rewards, 0.0)
    return np.maximum(rewards, BAD_REWARD) + BAD_REWARD * np.log1p(below / -BAD_REWARD)


def log_chances(actor: Scaled, vectors: torch.Tensor) -> torch.Tensor:
    """(batch, levels) log probabilities with which PPO draws; what is not sane is never drawn."""
    allowed = torch.from_numpy(features.sane(vectors.numpy()))
    return torch.log_softmax((SHARPNESS * actor(vectors)).masked_fill(~allowed, FORBIDDEN), -1)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

"""How the weights are made: planned action values first, PPO with a critic that knows the future second.

1. *Values.* On states that the learner itself visits (DAgger: Ross et al., AISTATS 2011), `values.py` plans
   with the true future; the network learns each level's worth less the best one's, by squared error.
2. *PPO* from there (`ppo.py`).

Every now and then the running average of the actor's weights is scored on the validation traces, and
the best so far is what is written. A run that is killed goes on from its checkpoint with the same command.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from player.simulated.batch.sessions import Sessions
from policies.hindsight import data, draws, values
from policies.hindsight.net import OptionNet, write_net
from policies.hindsight.policy import BatchHindsight
from policies.hindsight.ppo import improve
from policies.hindsight.run import HindsightRun, HindsightSettings
from policies.hindsight.seen import reward_units, softened
from policies.hindsight.torch_net import member_of, options_of, twin
from policies.hindsight.validate import TeacherValidation
from policies.rules.batch_mpc import BatchMPC
from policies.view import layout
from policies.view.batch import View
from policies.view.layout import MAX_LEVELS, WORST_VALUE
from traces.files import growing
from traces.ownership import make_directory

CHECKPOINT = "checkpoint.pt"
BEST = "hindsight.safetensors"
LOG = "log.jsonl"
WORST_LABEL = -10.0
"""A planned value's label is no lower, whatever a stall costs."""


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
        self.settings, self.out = settings, out
        self.mix = draws.SessionMix(tuple(sources), *data.read_videos(video_words))
        self.validation = TeacherValidation.of(self.mix, settings.threads)
        self.run = HindsightRun.new(settings)
        self._world: draws.World | None = None
        self._number = -1
        make_directory(out)
        if (out / CHECKPOINT).exists():
            self.run.load(out / CHECKPOINT, settings)
            self.say(f"going on from round {self.run.round}, iteration {self.run.iteration}")

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
        while self.run.decisions < self.settings.ppo_steps:
            began = time.monotonic()
            left = 1.0 - self.run.decisions / self.settings.ppo_steps
            sessions = self.draw_sessions()
            notes = improve(self.run, self.settings, sessions, draws.strata(len(sessions)), left)
            self.run.iteration += 1
            last = self.run.decisions >= self.settings.ppo_steps
            check = last or self.run.iteration % self.settings.check_every == 0
            self.note(began, {"phase": "ppo", "iteration": self.run.iteration, **notes}, check)

    def learn_values(self) -> dict[str, float]:
        """One round of DAgger: states of the learner's own sessions, then some epochs over all of them."""
        run, settings = self.run, self.settings
        states, targets = self.gather()
        if not run.states:
            run.actor.scale_to(states)
        run.states.append(states.half())
        run.targets.append(targets)
        x, y = torch.cat(run.states), torch.cat(run.targets)
        lr = settings.value_lr * (1.0 - run.round / settings.rounds) + 1e-5
        for group in run.value_optimizer.param_groups:
            group["lr"] = lr
        total, count = 0.0, 0
        for _ in range(settings.epochs):
            for rows in torch.randperm(len(x)).split(settings.value_batch):
                vectors = x[rows].float()
                there = options_of(vectors)[:, :, layout.EXISTS]
                loss = ((run.actor(vectors) - y[rows]).square() * there).sum() / there.sum()
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
        view = View(sessions)
        net = OptionNet((member_of(run.actor),))
        choose = BatchMPC(sessions) if run.round == 0 else BatchHindsight(sessions, net)
        xs, ys = [], []
        ladders = sessions.library.packed.levels[sessions.state.video]
        while not sessions.done.all():
            chosen = run.random.random(len(sessions)) < settings.labelled
            labelled = np.flatnonzero(chosen & ~sessions.done)
            xs.append(torch.from_numpy(view.fill()[labelled]))
            ys.append(torch.from_numpy(planned_worths(sessions, view, labelled)))
            levels = choose.select()
            astray = run.random.random(len(sessions)) < settings.explore
            levels[astray] = run.random.integers(ladders[astray])
            sessions.step(levels)
        return torch.cat(xs), torch.cat(ys)

    def draw_sessions(self) -> Sessions:
        """A fresh batch; a fresh world when the last one has served its time.

        A world depends on the seed and its number alone, so that a resumed run draws the same.
        """
        run, settings = self.run, self.settings
        number = run.drawn // settings.redraw
        run.drawn += 1
        if self._world is None or number != self._number:
            random = np.random.default_rng((settings.seed, number))
            self._world, self._number = draws.draw_world(self.mix, random), number
        return draws.draw_sessions(self._world, settings.sessions, run.random, settings.threads)

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
        candidate = self.out / "candidate.safetensors"
        notes = {"seed": str(self.settings.seed), "iteration": str(self.run.iteration)}
        write_net(candidate, [member_of(self.run.average)], notes)
        net = OptionNet.read(candidate)
        if not self.validation.groups:
            candidate.replace(self.out / BEST)
            return {}
        scores = self.validation.scores(lambda sessions: BatchHindsight(sessions, net))
        score = self.validation.score(scores)
        if score > self.run.best:
            self.run.best = score
            candidate.replace(self.out / BEST)
        return {
            "score": score,
            "best": self.run.best,
            "gain": {name: round(each.gain, 4) for name, each in scores.items()},
            "stalls": {name: round(each.stalls, 3) for name, each in scores.items()},
        }

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def planned_worths(sessions: Sessions, view: View, which: np.ndarray) -> np.ndarray:
    """(len(which), MAX_LEVELS) planned values less the best one's, softened; 0 where there is no level."""
    found = values.planned_values(sessions, only=which)[which] * reward_units(view)[which, None]
    lost = found - found.max(axis=1, keepdims=True)
    worths = np.zeros((len(which), MAX_LEVELS), np.float32)
    soft = np.maximum(softened(lost, WORST_VALUE), WORST_LABEL)
    worths[:, : found.shape[1]] = np.where(np.isfinite(lost), soft, 0.0)
    return worths


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

"""One run of `adapt`: a model that learns, the sessions it learns from, and the look at how good it is.

AdamW over the learned weights alone; the learning rate rises, then falls along a cosine. Every now and then
the student is scored on what the course keeps to choose by; the best checkpoint is what is written. All
that is drawn depends on the seed and the step's number: a killed run goes on, by the same command, as if it
had not been.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from policies.llm.engine.engine import Engine, pick_device, pick_dtype
from policies.llm.learning import batches, checkpoint, pool
from policies.llm.learning.checkpoint import CHECKPOINT, RunState
from policies.llm.learning.course import Batch, Course, Floats, Imitation
from policies.llm.learning.pool import Experience
from policies.llm.learning.settings import RETURN, AdaptError, LearningSettings
from policies.llm.model import adapter
from policies.llm.model.base import resolve
from policies.llm.model.model import Model
from policies.llm.model.shape import Shape
from policies.llm.task import Task
from traces.files import growing
from traces.ownership import make_directory, make_within
from traces.progress import Say

LOG, BEST, LAST = "log.jsonl", adapter.BEST, "last"
ROUNDS, BOARD = "rounds", "tensorboard"
TARGET_SHARES = (0.25, 0.5, 0.75, 1.0)
"""Of the best return in the pool, tried as what to ask for."""
BEST_RETURN = 0.99
"""Quantile of the pool's returns that counts as its best."""
CLIP = 1.0


class Adaptation:
    """One run: a model, a pool, settings and a folder. What a folder without a checkpoint holds of an earlier
    run is removed, but for its adapters.

    Args:
        command: what is noted in the adapter as the way to make it.

    Raises:
        AdaptError: the folder holds another run, or the pool is too small.
        BaseError, PoolError, DataError: something is not there.
    """

    def __init__(
        self,
        task: Task,
        shape: Shape,
        pool_folder: Path,
        out: Path,
        settings: LearningSettings,
        say: Say,
        command: str = "",
    ) -> None:
        torch.set_num_threads(settings.threads)
        self.task, self.shape, self.settings, self.out = task, shape, settings, out
        self.say, self.command = say, command
        held, self.facts = pool.read(pool_folder, task)
        self.course = _course(task, self.facts, settings)
        self.experience = self.course.begin(held, settings)
        if len(self.experience) < settings.batch:
            raise AdaptError(
                f"{pool_folder}: {len(self.experience)} sessions, fewer than a batch of {settings.batch};"
                " collect more, or take a smaller --batch"
            )
        self.device = pick_device(settings.device)
        torch.manual_seed(settings.seed)
        self.model = Model(resolve(shape.base), shape, task.modalities, task.head)
        seen = torch.from_numpy(self.experience.vectors).flatten(0, 1)
        self.model.encoder.scale_to(seen[seen.any(1)])  # steps after a session's end are zeros
        self.returns = self.experience.returns_to_go()
        self.best_return = float(np.quantile(self.returns[:, 1], BEST_RETURN))
        self.model.to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.model.learned(), settings.lr, weight_decay=settings.decay, betas=(0.9, 0.95)
        )
        self.half = pick_dtype("auto", self.device) == torch.bfloat16
        self.state = RunState()
        self._latest: tuple[int, float | None, dict[str, Floats]] | None = None
        """Step, return asked for and gains of the last look."""
        self._resume()

    def _resume(self) -> None:
        """Go on from the folder's checkpoint, or clear what an earlier run left."""
        make_directory(self.out)
        path = self.out / CHECKPOINT
        if path.exists():
            self.state = checkpoint.load(path, self._identity(), self.model, self.optimizer, self.device)
            rounds = [pool.read_part(self.out / ROUNDS / f"{n}.npz") for n in range(self.state.round)]
            self.experience = Experience.joined([self.experience, *rounds])
            self.say(f"going on from step {self.state.step}")
        else:
            for name in (ROUNDS, BOARD):
                shutil.rmtree(self.out / name, ignore_errors=True)
            (self.out / LOG).unlink(missing_ok=True)
        make_within(self.out, ROUNDS)

    def _identity(self) -> str:
        return checkpoint.identity(self.settings, self.model, self.facts)

    # ---- the run --------------------------------------------------------------------------------

    def go(self) -> dict[str, Any]:
        """Run to the end; what there is to say of it."""
        from torch.utils.tensorboard import SummaryWriter

        settings, state = self.settings, self.state
        with SummaryWriter(str(self.out / BOARD), purge_step=state.step + 1) as self.board:
            losses, began = [], time.monotonic()
            while state.step < settings.steps:
                if self.course.plays and state.round < settings.rounds_due(state.step):
                    self._play_round()
                losses.append(self._learn())
                state.step += 1
                self.board.add_scalar("loss", losses[-1], state.step)
                if state.step % settings.check_every == 0 or state.step == settings.steps:
                    state.seconds += time.monotonic() - began
                    self._check(float(np.mean(losses)))
                    losses, began = [], time.monotonic()
        return self.report()

    def report(self) -> dict[str, Any]:
        learned = sum(each.numel() for each in self.model.learned())
        return {
            "out": str(self.out / BEST),
            "score": self.state.best,
            "best_step": self.state.best_step,
            "steps": self.state.step,
            "seconds": round(self.state.seconds, 1),
            "teacher_score": self.course.teacher_score(),
            "target": self.state.target,
            "learned": learned,
            "learned_share": learned / sum(each.numel() for each in self.model.parameters()),
        }

    def last_gains(self) -> dict[str, Floats]:
        """What the last step's student gains in each validation session."""
        if self._latest is not None and self._latest[:2] == (self.state.step, self.state.target):
            return self._latest[2]
        engine = self._engine(max(self.course.sessions, 1))
        return self.course.gains(engine, self.state.target)

    # ---- learning ---------------------------------------------------------------------------------

    def _learn(self) -> float:
        settings, step = self.settings, self.state.step
        for group in self.optimizer.param_groups:
            group["lr"] = settings.lr * min((step + 1) / settings.warmup, 1.0) * self._cosine()
        self.model.train()
        batch = self._batch()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            outputs = self.model(batch.vectors)
        loss = self.course.loss(settings.objective, outputs.float(), batch)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.learned(), CLIP)
        self.optimizer.step()
        return loss.item()

    def _cosine(self) -> float:
        return falling(self.state.step / self.settings.steps)

    def _batch(self) -> Batch:
        """The sessions of this step."""
        held, settings = self.experience, self.settings
        rows, begin = batches.drawn(held, settings.batch, settings.seed, self.state.step)
        vectors = held.vectors[rows]
        if settings.objective == RETURN:
            vectors[:, :, self.course.return_at] = self.returns[rows]
        return batches.batch_of(self.task, held, rows, begin, vectors, self.device)

    # ---- the student's own sessions -----------------------------------------------------------------

    def _play_round(self) -> None:
        """Sessions that the student plays, with what the teacher says of them, join the experience."""
        settings, state = self.settings, self.state
        path = self.out / ROUNDS / f"{state.round}.npz"
        if not path.exists():
            self._write(self.out / LAST, None)
            seed = (settings.seed, 1000 + state.round)
            pool.write_part(
                path, self.course.own(self._engine, settings.round_sessions, seed, settings.threads)
            )
        own = pool.read_part(path)
        self.experience = Experience.joined([self.experience, own])
        state.round += 1
        self.say(
            f"round {state.round}: {len(own)} sessions of its own, {self.course.agreed(own):.1%} of answers"
            " the teacher's"
        )

    def _engine(self, slots: int) -> Engine:
        return Engine(
            self.task,
            self.out / LAST,
            device=str(self.device),
            slots=slots,
            max_steps=self.experience.answers.shape[1],
        )

    # ---- looking at it ------------------------------------------------------------------------------

    def _check(self, loss: float) -> None:
        """Score the student; write the adapter, and as the best if it is so far; checkpoint."""
        began, state = time.monotonic(), self.state
        self._write(self.out / LAST, state.target)
        gains, target = self._scored(self._engine(max(self.course.sessions, 1)))
        self._latest = state.step, target, gains
        score = self.course.score(gains)
        if target != state.target:
            self._write(self.out / LAST, target)
        if score > state.best:
            state.best, state.best_step, state.target = score, state.step, target
            self._write(self.out / BEST, target)
        self._log(loss, score, gains, target, time.monotonic() - began)
        path = self.out / CHECKPOINT
        checkpoint.save(path, self._identity(), state, self.model, self.optimizer)

    def _scored(self, engine: Engine) -> tuple[dict[str, Floats], float | None]:
        """What the student gains, and the return that is best asked for."""
        targets: list[float | None] = [None]
        if self.settings.objective == RETURN:
            targets = [share * self.best_return for share in TARGET_SHARES]
        found = {target: self.course.gains(engine, target) for target in targets}
        target = max(found, key=lambda each: self.course.score(found[each]))
        return found[target], target

    def _log(
        self, loss: float, score: float, gains: Mapping[str, Floats], target: float | None, seconds: float
    ) -> None:
        state = self.state
        means = {name: round(float(each.mean()), 4) for name, each in gains.items()}
        entry = {
            "step": state.step,
            "loss": round(loss, 5),
            "score": round(score, 4),
            "best": round(state.best, 4),
            "gain": means,
            "target": target,
            "sessions": len(self.experience),
            "seconds": round(state.seconds, 1),
            "check_seconds": round(seconds, 1),
        }
        self.board.add_scalar("validation/score", score, state.step)
        for name, gain in means.items():
            self.board.add_scalar(f"validation/{name}", gain, state.step)
        with growing(self.out / LOG) as log:
            log.write(json.dumps(entry) + "\n")
        self.say(", ".join(f"{key} {value}" for key, value in entry.items()))

    def _write(self, folder: Path, target: float | None) -> None:
        notes = {
            "command": self.command,
            "settings": asdict(self.settings),
            "step": self.state.step,
            "pool": {name: short(self.facts[name]) for name in self.course.told},
        }
        adapter.write(
            folder,
            self.model.learned_state(),
            task=self.task,
            shape=self.shape,
            base=self.model.base,
            objective=self.settings.objective,
            target=target,
            notes=notes,
        )


def falling(share: float) -> float:
    """What is left of the highest learning rate after such a share of the steps: a cosine."""
    return 0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * share))


def _course(task: Task, facts: Mapping[str, Any], settings: LearningSettings) -> Course:
    """The task's course.

    Raises:
        AdaptError: it knows no such objective.
    """
    course: Course = task.course(facts) or Imitation(task, facts)
    if settings.objective not in course.objectives:
        known = ", ".join(course.objectives)
        raise AdaptError(f"--objective {settings.objective}: the task {task.name} knows {known}")
    return course


def short(words: Any) -> Any:
    """Sources without the folders that they lie in on this machine."""
    if not isinstance(words, list):
        return words
    return ["/".join(str(word).rstrip("/").split("/")[-2:]) for word in words]

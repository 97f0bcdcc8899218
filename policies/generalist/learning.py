"""One run: a language model under one or several tasks' encoders and heads learns from their pools.

Every task has as many steps as if it were alone, on the same batches, at the same learning rates; the tasks
take turns, step by step. A batch's gradient on what is shared is divided by its task's own running size of
such gradients, so that no task's loss, whatever its unit, counts more than another's; what is a task's own
learns by its loss as it is. Nothing chooses a checkpoint: the last step's model is scored.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from policies.generalist.lessons import Lesson
from policies.llm.engine.engine import Engine, pick_device, pick_dtype
from policies.llm.learning.adaptation import CLIP, falling
from policies.llm.learning.course import Floats
from policies.llm.learning.settings import AdaptError, LearningSettings
from policies.llm.model import adapter
from policies.llm.model.base import resolve
from policies.llm.model.several import SeveralModels
from policies.llm.model.shape import Shape
from traces.files import aside, remove
from traces.ownership import make_directory
from traces.progress import Say
from traces.words import of_a_fault

CHECKPOINT, ADAPTER = "checkpoint.pt", "adapter"
LOOKS = 4
"""Checkpoints of a run."""
MEMORY = 0.9
"""Weight of what was, in a running size."""
LAST_SHARE = 0.1
"""Of the steps, whose losses are told."""


class Turns:
    """How large the gradients of each task have been lately on what the tasks share."""

    def __init__(self) -> None:
        self.sizes: dict[str, float] = {}

    def weigh(self, task: str, shared: Sequence[nn.Parameter]) -> None:
        """Divide the gradients of a task's batch by their running size."""
        there = [each.grad for each in shared if each.grad is not None]
        if not there:
            return
        sizes = torch.stack([torch.linalg.vector_norm(each) for each in there])
        size = float(torch.linalg.vector_norm(sizes))
        before = self.sizes.get(task, size)
        self.sizes[task] = MEMORY * before + (1.0 - MEMORY) * size
        if self.sizes[task] > 0.0:
            torch._foreach_div_(there, self.sizes[task])


class SharedLearning:
    """One run, which goes on from its folder's checkpoint.

    Args:
        lessons: the tasks that learn together.
        source: tensors of an adapter whose shared ones are taken, and stay as they are.
        settings: `steps` of each task; `batch` is the lesson's.

    Raises:
        AdaptError: the folder holds another run.
        BaseError: the base is not there.
    """

    def __init__(
        self,
        lessons: Sequence[Lesson],
        shape: Shape,
        out: Path,
        settings: LearningSettings,
        say: Say,
        source: dict[str, torch.Tensor] | None = None,
    ) -> None:
        torch.set_num_threads(settings.threads)
        self.lessons, self.settings, self.out, self.say = list(lessons), settings, out, say
        self.device = pick_device(settings.device)
        self.half = pick_dtype("auto", self.device) == torch.bfloat16
        tasks = [lesson.task for lesson in lessons]
        self.model = SeveralModels(resolve(shape.base), shape, tasks, settings.seed)
        for lesson in lessons:
            self.model.of(lesson.task.name).encoder.scale_to(lesson.seen())
        if source is not None:
            self.model.load_shared(source)
            self.model.freeze_shared()
        self.model.to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.model.learned(), settings.lr, weight_decay=settings.decay, betas=(0.9, 0.95)
        )
        self.turns, self.step, self.seconds = Turns(), 0, 0.0
        self.losses: dict[str, list[float]] = {lesson.task.name: [] for lesson in lessons}
        self.identity = _identity(lessons, self.model, settings, source is not None)
        make_directory(out)
        self._resume()

    @property
    def steps(self) -> int:
        """Of all tasks."""
        return self.settings.steps * len(self.lessons)

    def go(self) -> None:
        """Run to the end; the adapter is written then."""
        every, began_s = max(self.steps // LOOKS, 1), time.monotonic()
        while self.step < self.steps:
            self.learn(self.lessons[self.step % len(self.lessons)], self.step // len(self.lessons))
            self.step += 1
            if self.step % every == 0 and self.step < self.steps:
                self.seconds += time.monotonic() - began_s
                began_s = time.monotonic()
                self._save()
        self.seconds += time.monotonic() - began_s
        self._write()
        remove(self.out / CHECKPOINT)

    def learn(self, lesson: Lesson, turn: int) -> None:
        """A task's step of that number."""
        settings, task = self.settings, lesson.task.name
        rises = min((turn + 1) / settings.warmup, 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.lr * rises * falling(turn / settings.steps)
        model = self.model.of(task)
        model.train()
        batch = lesson.drawn(settings.seed, turn, self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            outputs = model(batch.vectors)
        loss = lesson.course.loss(settings.objective, outputs.float(), batch)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.learned_of(task), CLIP)
        if len(self.lessons) > 1:
            self.turns.weigh(task, self.model.shared())
        self.optimizer.step()
        self.losses[task].append(loss.item())

    def last_loss(self, task: str) -> float:
        """Mean over the last steps."""
        last = self.losses[task][-max(round(LAST_SHARE * self.settings.steps), 1) :]
        return sum(last) / len(last)

    def gains(self, lesson: Lesson) -> dict[str, Floats]:
        """What the adapter that was written gains in a task's sessions that choose."""
        slots, most = max(lesson.course.sessions, 1), lesson.steps
        engine = Engine(lesson.task, self.out / ADAPTER, device=str(self.device), slots=slots, max_steps=most)
        return lesson.course.gains(engine, None)

    # ---- on disk ------------------------------------------------------------------------------------

    def _write(self) -> None:
        notes = {"steps": self.settings.steps, "seed": self.settings.seed}
        place = self.out / ADAPTER
        shape, base, objective = self.model.shape, self.model.base, self.settings.objective
        if len(self.lessons) > 1:
            adapter.write_several(
                place,
                self.model.learned_state(),
                tasks=self.model.tasks,
                shape=shape,
                base=base,
                objective=objective,
                notes=notes,
            )
            return
        (lesson,) = self.lessons
        tensors = self.model.of(lesson.task.name).learned_state()
        adapter.write(
            place,
            tensors,
            task=lesson.task,
            shape=shape,
            base=base,
            objective=objective,
            target=None,
            notes=notes,
        )

    def _save(self) -> None:
        held = {
            "identity": self.identity,
            "step": self.step,
            "seconds": self.seconds,
            "losses": self.losses,
            "sizes": self.turns.sizes,
            "learned": self.model.learned_state(),
            "optimizer": self.optimizer.state_dict(),
        }
        with aside(self.out / CHECKPOINT) as partial:
            torch.save(held, partial)

    def _resume(self) -> None:
        path = self.out / CHECKPOINT
        if not path.exists():
            return
        try:
            held = torch.load(path, weights_only=True, map_location=self.device)
        except Exception as error:
            raise AdaptError(f"{path}: no checkpoint: {of_a_fault(error)}; delete the folder") from None
        if held["identity"] != self.identity:
            raise AdaptError(f"{path}: of another run; name another --out, or delete the folder")
        self.model.load_learned(held["learned"])
        self.optimizer.load_state_dict(held["optimizer"])
        self.turns.sizes, self.losses = held["sizes"], held["losses"]
        self.step, self.seconds = held["step"], held["seconds"]
        self.say(f"going on from step {self.step}")


def _identity(
    lessons: Sequence[Lesson], model: SeveralModels, settings: LearningSettings, transferred: bool
) -> str:
    """What makes two runs the same one."""
    told: dict[str, Any] = {name: value for name, value in asdict(settings).items() if name != "threads"}
    of_tasks = [(lesson.task.name, lesson.pool, lesson.batch, len(lesson.held)) for lesson in lessons]
    return json.dumps([told, asdict(model.shape), model.base.sha256, of_tasks, transferred], sort_keys=True)

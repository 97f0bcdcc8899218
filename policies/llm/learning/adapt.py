"""`adapt`: teach a base model a task (Adapt), offline, on a pool that `collect` made.

Two objectives, where the task knows both:

* `distill`: the teacher's action probabilities at every step of whole sessions. After the pool, rounds on
  the sessions that the student itself plays, in whose states the teacher is asked again (DAgger: Ross et
  al., AISTATS 2011). Where scores are planned with the true future, they are met in the mean.
* `return`: return-conditioned sequence modelling, as NetLLM does (Chen et al., NeurIPS 2021): each step is
  told the return that followed, and the action that was taken is to be predicted. At test a return is
  asked for; which one is chosen on the validation sessions.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from policies.llm.learning.adaptation import Adaptation, short
from policies.llm.learning.options import OF_THE_TASK
from policies.llm.learning.settings import AdaptError, LearningSettings
from policies.llm.model.base import placed
from policies.llm.model.shape import Shape
from policies.llm.task import DEFAULT, Task, task_named
from traces.progress import say


def _short_word(word: str) -> str:
    """A word of a command line, its path as `short` has it."""
    option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return f"{option}{equals}{short([value])[0]}" if "/" in value else word


def typed(words: Sequence[str]) -> str:
    """The command line that these words of `policies.llm` are."""
    return shlex.join(("python", "-m", "policies.llm", *words))


def _prompt(given: str, task: Task) -> str:
    """The words that are asked for.

    Raises:
        AdaptError: the task has none of its own.
    """
    if given == OF_THE_TASK and not task.prompt:
        raise AdaptError(f"the task {task.name} has no prompt of its own; give one: --task-prompt TEXT")
    return task.prompt if given == OF_THE_TASK else given


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Adapt; what `--json` says.

    Raises:
        AdaptError, BaseError, PoolError, DataError, ValueError: something does not fit.
        OSError: something cannot be written.
    """
    task = task_named(args.task)
    settings = LearningSettings(**{each.name: getattr(args, each.name) for each in fields(LearningSettings)})
    shape = Shape(
        base=placed(args.base),
        layers=args.layers,
        train=args.train,
        rank=args.rank,
        alpha=2.0 * args.rank,
        targets=args.targets,
        tokens=args.tokens,
        hidden=args.hidden,
        prompt=_prompt(args.task_prompt, task),
    )
    command = typed([_short_word(word) for word in args.words])
    adaptation = Adaptation(task, shape, args.pool, args.out, settings, say, command)
    report = adaptation.go()
    if not args.json:
        score = adaptation.course.conclusion(report["score"], report["teacher_score"])
        print(f"adapter: {report['out']}, of step {report['best_step']}: {score}")
        if "test" in task.commands:
            of_task = () if task.name == DEFAULT else ("--task", task.name)
            print(f"score it:  {typed(('test', *of_task, '--adapter', str(args.out)))}")
        print(f"the same again, with another --out: {typed(args.words)}")
    return report

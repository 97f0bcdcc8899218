"""The options of `adapt`. What takes long to import has no place here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from policies.llm.learning.settings import DISTILL, RETURN, LearningSettings
from policies.llm.model import base
from policies.llm.model.shape import TARGETS, TRAINED, Shape
from traces.commands import add_json_option, add_options
from traces.numbers import count

OF_THE_TASK = "\0"
"""`--task-prompt` without words."""


def add_adapt(commands: Any) -> None:
    """The command line of `adapt`."""
    made = commands.add_parser("adapt", help="teach a base model on a pool; goes on from --out's checkpoint")
    _add_what(made.add_argument_group("what"))
    how = made.add_argument_group("how")
    how.add_argument("--objective", choices=(DISTILL, RETURN), default=DISTILL)
    add_options(how, LearningSettings)
    how.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    where = made.add_argument_group("output")
    where.add_argument("--out", type=Path, required=True, metavar="DIR", help="best adapter, log, checkpoint")
    add_json_option(where)


def _add_what(group: Any) -> None:
    group.add_argument("--pool", type=Path, required=True, metavar="DIR", help="what `collect` made")
    group.add_argument(
        "--base", default=base.DEFAULT, help="name, hub name, directory (default: %(default)s)"
    )
    group.add_argument("--layers", type=count, default=8, help="of the base's first (default: %(default)s)")
    group.add_argument("--train", choices=TRAINED, default="lora", help="what learns (default: %(default)s)")
    group.add_argument("--rank", type=count, default=32, help="of LoRA (default: %(default)s)")
    group.add_argument(
        "--targets", choices=TARGETS, default=Shape.targets, help="of LoRA (default: %(default)s)"
    )
    group.add_argument(
        "--tokens", type=count, default=1, help="a step makes: 1, or one for each modality (default: 1)"
    )
    group.add_argument(
        "--task-prompt", nargs="?", const=OF_THE_TASK, default="", metavar="TEXT",
        help="words in front of every session's steps (without TEXT: the task's own)",
    )  # fmt: skip
    group.add_argument("--hidden", type=count, default=Shape.hidden, help="encoder's (default: %(default)s)")

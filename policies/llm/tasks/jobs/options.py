"""The options of the commands of `jobs`. What takes long to import has no place here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from policies.llm.arithmetic import add_dtype_option
from policies.llm.model.adapter import MAX_STEPS
from policies.llm.tasks.jobs.names import HELD_OUT, LEARNED, LENGTH, RELEASE, TEACHERS, TESTED
from traces.commands import add_json_option
from traces.jobs.sequence import JOBS
from traces.numbers import count, whole, wholes

CONTROLS = "pretrained,random,frozen,scratch"


def add_collect(commands: Any) -> None:
    """The command line of `collect`."""
    made = commands.add_parser("collect", help="play episodes and keep whom the teacher would give executors")
    made.add_argument(
        *("--traces", "--trace"), nargs="+", default=list(LEARNED), metavar="SPEC",
        help="sequences to learn from (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--held-out", nargs="+", default=list(HELD_OUT), metavar="SPEC",
        help="sequences that choose (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--length", type=count, default=LENGTH, metavar="N", help="jobs of each (default: %(default)s)"
    )
    made.add_argument("--teacher", choices=TEACHERS, default=RELEASE, help="(default: %(default)s)")
    made.add_argument("--sessions", type=count, default=960, help="in all (default: %(default)s)")
    made.add_argument(
        "--decisions", type=count, default=MAX_STEPS, metavar="N", help="of a session (default: %(default)s)"
    )
    made.add_argument("--seed", type=whole, default=1)
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="the pool")
    add_json_option(made)


def add_test(commands: Any) -> None:
    """The command line of `test`."""
    made = commands.add_parser("test", help="score an adapter beside fair and other schedulers")
    made.add_argument(
        "--adapter", type=Path, metavar="DIR", help="what `adapt` made (default: the shipped one)"
    )
    _add_over(made)
    made.add_argument("--policy", default="release,decima", help="others, by commas (default: %(default)s)")
    made.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add_dtype_option(made)
    add_json_option(made)


def add_controls(commands: Any) -> None:
    """The command line of `controls`."""
    made = commands.add_parser("controls", help="the same data and steps without the language model")
    made.add_argument("--pool", type=Path, required=True, metavar="DIR", help="what `collect` made")
    made.add_argument("--only", default=CONTROLS, metavar="NAME,…", help="(default: %(default)s)")
    made.add_argument("--seeds", type=wholes, default="1", metavar="N,…", help="(default: %(default)s)")
    made.add_argument("--layers", type=count, default=4, help="of the base's first (default: %(default)s)")
    made.add_argument("--steps", type=count, default=300, help="of each (default: %(default)s)")
    made.add_argument("--batch", type=count, default=12, help="sessions of a step (default: %(default)s)")
    made.add_argument("--threads", type=count, default=1, help="cores to use (default: %(default)s)")
    _add_over(made)
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="results.jsonl and each run")
    add_json_option(made)


def _add_over(made: Any) -> None:
    made.add_argument(
        *("--traces", "--trace"), nargs="+", default=list(TESTED), metavar="SPEC",
        help="sequences to schedule (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--length", type=count, default=JOBS, metavar="N", help="jobs of each (default: %(default)s)"
    )

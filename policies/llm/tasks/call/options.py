"""The options of the commands of `call`. What takes long to import has no place here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from policies.call.small.command_line import LEARNED, UNSEEN
from policies.llm.arithmetic import add_dtype_option
from policies.llm.tasks.call.names import SCALE, SMALL, TEACHERS
from traces.commands import add_json_option
from traces.numbers import count, positive, whole

SESSION_S = 20.0
"""Long enough for every cause to show its effect, short enough for many in a batch."""


def add_collect(commands: Any) -> None:
    """The command line of `collect`."""
    made = commands.add_parser("collect", help="play simulated calls and keep what the teacher would send")
    made.add_argument(
        *("--traces", "--trace"), nargs="+", default=list(LEARNED), metavar="SPEC",
        help="every fifth is held out (default: %(default)s)",
    )  # fmt: skip
    made.add_argument("--teacher", choices=TEACHERS, default=SMALL, help="(default: %(default)s)")
    made.add_argument("--sessions", type=count, default=1536, help="in all (default: %(default)s)")
    made.add_argument(
        "--duration-s", type=positive, default=SESSION_S, metavar="S", help="of each (default: %(default)g)"
    )
    made.add_argument("--seed", type=whole, default=1)
    made.add_argument("--threads", type=count, default=1, help="cores to use (default: %(default)s)")
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="the pool")
    add_json_option(made)


def add_test(commands: Any) -> None:
    """The command line of `test`."""
    made = commands.add_parser("test", help="score an adapter beside GCC, the small net and the oracle")
    made.add_argument(
        "--adapter", type=Path, metavar="DIR", help="what `adapt` made (default: the shipped one)"
    )
    made.add_argument(
        *("--traces", "--trace"), nargs="+", default=list(UNSEEN), metavar="SPEC",
        help="each is a set (default: %(default)s)",
    )  # fmt: skip
    made.add_argument("--scale", type=positive, default=SCALE, help="of its rates (default: %(default)g)")
    made.add_argument("--policy", default="small", help="other rules, by commas (default: %(default)s)")
    made.add_argument("--duration-s", type=positive, default=60.0, metavar="S", help="(default: %(default)g)")
    made.add_argument(
        "--starts", type=count, default=1, metavar="N", help="calls over each trace (default: 1)"
    )
    made.add_argument("--pooled", action="store_true", help="all sets as one besides; intervals over sets")
    made.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add_dtype_option(made)
    made.add_argument("--threads", type=count, default=1, help="cores to use (default: %(default)s)")
    add_json_option(made)

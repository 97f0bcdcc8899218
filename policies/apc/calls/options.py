"""The options of `python -m policies.apc.calls`. What takes long to import has no place here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from policies.apc.names import BUDGET_MS, LIGHT_OF_CALLS, WAYS
from policies.call.small.command_line import CHOOSE, LEARNED, UNSEEN
from policies.llm.arithmetic import add_dtype_option
from policies.llm.tasks.call.names import SCALE
from traces.commands import Parser, add_json_option
from traces.numbers import count, positive, share, whole

PROG = "python -m policies.apc.calls"
SHARES = (0.2, 0.3, 0.4, 0.5)
SESSIONS = (16, 64, 256, 1024)
LOADED = tuple(spec.replace("[1000:1100]", "[1000:1010]") for spec in UNSEEN)


def parser() -> Parser:
    """All subcommands."""
    top = Parser(prog=PROG, description="Who decides in calls: the light rule or the language model.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    train = commands.add_parser("train", help="measure what asking gains, and choose thresholds by it")
    _add_what(train, LEARNED, "to collect on")
    train.add_argument("--choose", nargs="+", default=list(CHOOSE), metavar="SPEC", help="to choose by")
    train.add_argument("--duration-s", type=positive, default=20.0, metavar="S", help="of a call")
    train.add_argument(
        "--shares", nargs="+", type=share, default=list(SHARES), metavar="X",
        help="of the model, that rules are made for (default: %(default)s)",
    )  # fmt: skip
    train.add_argument("--seed", type=whole, default=1)
    train.add_argument("--out", type=Path, required=True, metavar="DIR", help="moments and rules")
    train.add_argument("--write", action="store_true", help="ship the chosen rule")
    test = commands.add_parser("test", help="the shipped rule beside the model, the light policy and random")
    _add_what(test, UNSEEN, "to play")
    test.add_argument("--thresholds", default="", metavar="FILE", help="(default: ours)")
    test.add_argument("--starts", type=count, default=1, metavar="N", help="calls over each trace")
    _add_load(commands)
    return top


def _add_load(commands: Any) -> None:
    load = commands.add_parser("load", help="many calls in real time against the server")
    _add_what(load, LOADED, "to play beforehand")
    load.add_argument(
        "--sessions",
        nargs="+",
        type=count,
        default=list(SESSIONS),
        metavar="N",
        help="(default: %(default)s)",
    )
    load.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="(default: %(default)s)")
    load.add_argument("--duration-s", type=positive, default=20.0, metavar="S", help="of each load")
    load.add_argument("--ramp-s", type=positive, default=5.0, metavar="S", help="within which calls begin")
    load.add_argument("--budget-ms", type=positive, default=BUDGET_MS, metavar="MS", help="of a decision")
    load.add_argument("--thresholds", default="", metavar="FILE", help="(default: ours)")
    load.add_argument("--seed", type=whole, default=1)


def _add_what(command: Any, traces: tuple[str, ...], purpose: str) -> None:
    command.add_argument(
        *("--traces", "--trace"), nargs="+", default=list(traces), metavar="SPEC",
        help=f"{purpose} (default: %(default)s)",
    )  # fmt: skip
    command.add_argument(
        "--light", default=LIGHT_OF_CALLS, metavar="POLICY", help="a rule (default: %(default)s)"
    )
    command.add_argument("--adapter", type=Path, metavar="DIR", help="(default: the shipped one)")
    command.add_argument("--scale", type=positive, default=SCALE, help="of its rates (default: %(default)g)")
    command.add_argument("--threads", type=count, default=1, metavar="N", help="(default: 1)")
    add_dtype_option(command)
    add_json_option(command)

"""The options of `serve`. What takes long to import has no place here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from policies.llm.arithmetic import add_dtype_option
from policies.llm.serving.batch_by_deadline import BUDGET_S
from policies.llm.serving.batcher import GATHER_S, LARGEST_BATCH, LONGEST_QUEUE
from policies.llm.serving.sessions import IDLE_S, MOST_SESSIONS
from policies.llm.task import DEFAULT
from traces.commands import add_json_option
from traces.listening.addresses import LOOPBACK, port
from traces.numbers import count, not_negative, positive

SHORTEST_TOKEN = 16


def add_serve(commands: Any) -> None:
    """Add this subcommand to an argparse `add_subparsers`."""
    command = commands.add_parser("serve", help="hold the model and decide for whoever asks")
    _add_model(command.add_argument_group("model"))
    _add_place(command.add_argument_group("where it listens"))
    _add_limits(command.add_argument_group("limits, of each task; of all that one adapter holds together"))
    output = command.add_argument_group("output")
    add_json_option(output, "say that it is ready by one line of JSON, with what is served")


def _add_model(group: Any) -> None:
    group.add_argument(
        "--task",
        action="append",
        metavar="NAME[=DIR]",
        help="what is decided, with the adapter for it (default: the shipped one); again for another task at"
        f" once (default: {DEFAULT})",
    )
    group.add_argument(
        "--adapter",
        type=Path,
        metavar="DIR",
        help="what `adapt` made for the one task, or what holds several: all of them unless --task names some"
        " (default: shipped)",
    )
    group.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: %(default)s"
    )
    add_dtype_option(group)
    group.add_argument(
        "--threads", type=count, metavar="N", help="of the model on the CPU (default: one for every core)"
    )


def _add_place(group: Any) -> None:
    place = group.add_mutually_exclusive_group()
    place.add_argument(
        "--socket",
        type=Path,
        metavar="PATH",
        help="a Unix socket (default: streambed/llm.sock for this user)",
    )
    place.add_argument("--port", type=port, metavar="N", help="TCP instead; 0 takes a free one")
    group.add_argument("--host", metavar="HOST", help=f"with --port (default: {LOOPBACK})")
    group.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help=f"its first line, {SHORTEST_TOKEN} characters or more, is asked for as bearer token;"
        " needed off loopback",
    )


LIMITS: tuple[tuple[str, Any, float, str, str], ...] = (
    ("--max-sessions", count, MOST_SESSIONS, "N", "default: %(default)s"),
    ("--idle-s", positive, IDLE_S, "S", "forget a silent session (default: %(default)g)"),
    ("--max-waiting", count, LONGEST_QUEUE, "N", "requests (default: %(default)s)"),
    ("--max-batch", count, LARGEST_BATCH, "N", "sessions a forward (default: %(default)s)"),
    (
        "--gather-ms",
        not_negative,
        1000.0 * GATHER_S,
        "MS",
        "wait so long for others to share a forward (default: %(default)g)",
    ),
    (
        "--budget-ms",
        positive,
        1000.0 * BUDGET_S,
        "MS",
        "the shortest that a request allows: the earliest deadline goes first, no forward takes over"
        " half of this, or of what the hastiest session allows where that is more, and what can't make its"
        " deadline is refused at once (default: %(default)g)",
    ),
    ("--delay-ms", not_negative, 0.0, "MS", "be slow: wait so long before every forward (for tests)"),
)
"""Option, kind, default, and what help says of it."""


def _add_limits(group: Any) -> None:
    for name, kind, default, metavar, text in LIMITS:
        group.add_argument(name, type=kind, default=default, metavar=metavar, help=text)
    group.add_argument(
        "--first-come", action="store_true", help="first come, first served, in the largest batches"
    )

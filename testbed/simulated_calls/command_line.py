"""The command line of `testbed/simulate.py --task call`. What takes long to import has no place here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from player.commands.options import add_strict_option
from testbed.simulating.tasks import TASKS
from traces.commands import Parser, add_json_option

EXAMPLES = (
    "python3 testbed/simulate.py --task call --traces '4g[0:100]' --policy gcc,copa,nada",
    "python3 testbed/simulate.py --task call --traces 3g/7 --policy fixed:kbps=800 --queue-ms 400",
)


def call_parser() -> Parser:
    """The command line for calls."""
    command = Parser(
        prog="simulate.py",
        description="Each policy's call over each trace, computed, not emulated.",
        examples=EXAMPLES,
    )
    command.add_argument("--task", choices=TASKS, required=True, help="what is simulated: here a call")
    _add_what(command.add_argument_group("over what"))
    _add_who(command.add_argument_group("who decides"))
    _add_call(command.add_argument_group("the call"))
    _add_path(command.add_argument_group("the path"))
    _add_scoring(command.add_argument_group("QoE"))
    output = command.add_argument_group("output")
    output.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of records (default: results/simulated-calls-TIME)"
    )
    output.add_argument("--jobs", type=int, metavar="N", help="threads at once (default: one for each CPU)")
    add_json_option(output)
    return command


def _add_what(group: Any) -> None:
    group.add_argument(
        *("--traces", "--trace"),
        required=True,
        nargs="+",
        metavar="TRACES",
        help="families' members (4g[0:100], 4g/17), directories, or files in any known format",
    )
    group.add_argument("--format", metavar="NAME", help="the trace files' format (default: detected)")
    group.add_argument(
        "--starts",
        default="0",
        metavar="FILE|SEED|0",
        help="where in its trace each call begins: lines of `trace-name start_index` (at"
        " time[start_index-1]), drawn by a seed, or all at their beginning (default: 0)",
    )


def _add_who(group: Any) -> None:
    group.add_argument(
        "--policy",
        action="append",
        metavar="NAME[,NAME…]",
        help="NAME:key=value sets options, file.py:Class is yours (default: gcc)",
    )
    add_strict_option(group)
    group.add_argument(
        "--decision-delay-ms",
        type=float,
        default=0.0,
        metavar="MS",
        help="how long a decision of a policy takes, in which the old rate holds; rules, which act on every"
        " feedback, have none (default: 0)",
    )
    group.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of sizes, jitter, loss and policies (default: 0)"
    )


def _add_call(group: Any) -> None:
    group.add_argument(
        *("--duration-s", "--seconds"),
        type=float,
        default=60.0,
        metavar="S",
        help="how long it is (default: %(default)g)",
    )
    for name, default, unit, text in (
        ("fps", 25.0, "N", "frames a second"),
        ("min-kbps", 80.0, "KBPS", "least target"),
        ("start-kbps", 300.0, "KBPS", "target at the beginning"),
        ("max-kbps", 2500.0, "KBPS", "largest target"),
        ("feedback-ms", 50.0, "MS", "from report to report"),
        ("decide-every-ms", 200.0, "MS", "how often a policy is asked that doesn't act on every feedback"),
    ):
        group.add_argument(
            f"--{name}", type=float, default=default, metavar=unit, help=f"{text} (default: {default:g})"
        )
    group.add_argument(
        "--warm-up-s",
        type=float,
        metavar="S",
        help="left out of scores, at the beginning (default: 5, or half of a shorter call than 10 s)",
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any other figure of `player/call/settings.py`, such as size_cv=0.2",
    )


def _add_path(group: Any) -> None:
    for name, default, text in (
        ("rtt-ms", 80.0, "idle round trip; a trace's delays are added to it"),
        ("media-delay-ms", None, "the part of it that media meet (default: half)"),
        ("queue-ms", 200.0, "bottleneck's queue, at the trace's mean rate"),
        ("media-jitter-ms", 0.0, "media's delay varies by this much to either side"),
        ("jitter-ms", 0.0, "feedback's delay varies by this much to either side"),
        ("grant-ms", 0.0, "media leave at multiples of this alone; 0: at any time"),
    ):
        text = text if default is None else f"{text} (default: {default:g})"
        group.add_argument(f"--{name}", type=float, default=default, metavar="MS", help=text)
    group.add_argument(
        "--queue-bytes", type=int, metavar="BYTES", help="bottleneck's queue in bytes, in place of --queue-ms"
    )
    group.add_argument(
        "--loss-pct", type=float, default=0.0, metavar="PCT", help="media lost, besides what the trace loses"
    )


def _add_scoring(group: Any) -> None:
    group.add_argument(
        "--qoe",
        choices=("linear", "opennetlab", "pandia"),
        default="linear",
        help="which number stands for a call; bitrate and stall stand beside it (default: linear)",
    )
    group.add_argument(
        "--stall-weight", type=float, metavar="MBPS", help="linear: what a share of stall of 1 costs"
    )
    group.add_argument(
        "--delay-weight", type=float, metavar="MBPS", help="linear: what a second of p95 frame delay costs"
    )

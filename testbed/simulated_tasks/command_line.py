"""The command line of `testbed/simulate.py --task jobs|viewport`. What takes long to import has no place
here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from testbed.simulating.tasks import JOBS, TASKS
from traces.commands import Parser, add_json_option

EXAMPLES = {
    "jobs": (
        "python3 testbed/simulate.py --task jobs --traces 'tpch[0:48]' --policy fifo,fair,sjf:20,sqrt",
        "python3 testbed/simulate.py --task jobs --traces 'FOLDER[1:13]' --mode published --policy fifo,fair",
    ),
    "viewport": (
        "python3 testbed/simulate.py --task viewport --traces 'heads[0:20]' --policy static,velocity,small",
        "python3 testbed/simulate.py --task viewport --traces FOLDER --earlier OTHER --policy static,crowd",
    ),
}


def task_parser(task: str) -> Parser:
    """The command line for a task."""
    what = {"jobs": "Each scheduler over each sequence of jobs", "viewport": "Each predictor over each video"}
    command = Parser(prog="simulate.py", description=f"{what[task]}, computed.", examples=EXAMPLES[task])
    command.add_argument("--task", choices=TASKS, required=True, help=f"what is simulated: here {task}")
    (_add_jobs if task == JOBS else _add_viewport)(command)
    output = command.add_argument_group("output")
    output.add_argument(
        "--out", type=Path, metavar="DIR", help=f"folder of records (default: results/simulated-{task}-TIME)"
    )
    add_json_option(output)
    return command


def _add_traces(command: Parser, text: str, default: str) -> Any:
    what = command.add_argument_group("over what")
    what.add_argument(
        *("--traces", "--trace"),
        nargs="+",
        default=[default],
        metavar="TRACES",
        help=f"{text} (default: {default})",
    )
    return what


def _add_who(command: Parser, default: str) -> None:
    who = command.add_argument_group("who decides")
    who.add_argument(
        "--policy",
        action="append",
        metavar="NAME[,NAME…]",
        help=f"NAME:key=value sets options, file.py:Class is yours (default: {default})",
    )
    who.add_argument("--seed", type=int, default=0, metavar="N", help="of draws and policies (default: 0)")


def _add_jobs(command: Parser) -> None:
    what = _add_traces(
        command, "tpch/3, tpch[0:48], or a folder of published jobs with seeds, FOLDER[1:13]", "tpch/0"
    )
    what.add_argument(
        "--length", type=int, default=200, metavar="N", help="jobs of a sequence (default: 200)"
    )
    what.add_argument(
        "--gap-s", type=float, default=25.0, metavar="S", help="mean time between arrivals (default: 25)"
    )
    _add_who(command, "fair")
    cluster = command.add_argument_group("the cluster")
    cluster.add_argument("--executors", type=int, default=50, metavar="N", help="how many (default: 50)")
    for name, default, text in (
        ("moving-ms", 2000.0, "until an executor that is sent to another job can work"),
        ("warm-up-ms", 1000.0, "more for a first task where no durations of such are known"),
    ):
        cluster.add_argument(
            f"--{name}", type=float, default=default, metavar="MS", help=f"{text} (default: {default:g})"
        )
    cluster.add_argument(
        "--mode",
        choices=("common", "published"),
        default="common",
        help="common: all schedulers face the same durations; published: drawn one after the other, with the"
        " published environment's reversed interpolation (default: common)",
    )


def _add_viewport(command: Parser) -> None:
    what = _add_traces(
        command, "heads/3, heads[0:20], or a folder with videoV/userU.csv in it", "heads[0:20]"
    )
    what.add_argument(
        "--earlier",
        type=Path,
        metavar="FOLDER",
        help="viewers who have a recording in there are not judged, but known to `crowd` (default: for each"
        " viewer of a folder all its others are)",
    )
    _add_who(command, "static")

"""The command line of `testbed/simulate.py` for the task that it names. Only what is quick to import."""

from __future__ import annotations

from testbed.simulated_calls.command_line import call_parser
from testbed.simulated_tasks.command_line import task_parser
from testbed.simulating.command_line import parser
from testbed.simulating.tasks import CALL, VIDEO, task_of
from traces.commands import Parser


def parser_of(words: list[str]) -> Parser:
    """The parser for these words."""
    task = task_of(words)
    if task == VIDEO:
        return parser()
    return call_parser() if task == CALL else task_parser(task)

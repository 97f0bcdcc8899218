"""`python -m policies.llm`: NetLLM's three calls, collect, adapt and test, and what belongs to them.

    prepare     have the default base model ready (set-up does this)
    collect     play existing policies and keep what happened
    adapt       teach a base model on that
    test        score an adapter beside other policies, in simulated sessions
    beside      model, small net, teacher and oracle on lines that were kept apart
    settings    thirty drawn settings, and a rising cost of stalls
    controls    what the language model itself is worth: the same data and steps without it
    efficiency  how much data the language model saves
    layers      how many of its layers a decision needs
    generalist  one LoRA for several tasks: as good as one a task, of any help to another?
    prompt      a control: the language model asked in words
    cost        LoRA against full fine-tuning: memory and time of a step
    serve       decide for players, over a socket
    bench       latency and cost of decisions
    arithmetic  one model in two number formats: time and quality
    load        many simulated players in real time against the server
    scale       QoE and decision time against the number of layers
    gpu         on a machine with CUDA: decisions, steps, load and learning in one table
    explain     why each level of a record was chosen, and what would have changed it

Exit status: 0 done, 1 no CUDA (`gpu`), 2 bad input, 130 interrupted (the same command goes on where it can).
"""

from __future__ import annotations

if __name__ == "__main__":
    from traces.handover import hand_over

    hand_over()

import argparse
import importlib
import json
import sys
from collections.abc import Sequence

from player.registry import PolicyError
from player.video.video import VideoError
from policies.llm.task import DEFAULT, Task, TaskError, names, task_named
from traces.commands import Parser, carried_out, exit_with
from traces.trace import TraceError

EXPECTED = (PolicyError, TraceError, VideoError, ValueError)
GENERAL = {
    "prepare": "policies.llm.model.prepare",
    "adapt": "policies.llm.learning.adapt",
    "serve": "policies.llm.serving.serve",
    "explain": "policies.explain.command",
    "efficiency": "policies.llm.studies.efficiency",
    "layers": "policies.llm.studies.layers",
    "generalist": "policies.generalist.command",
}
"""Commands that are the same for every task; `Task.commands` are its own. A command's module has
`run(args)`, which returns what `--json` prints, or an exit status, and `add_parser(commands)` unless its
options are elsewhere. `args.words` is the command line as typed."""
OPTIONS = {
    "adapt": "policies.llm.learning.options:add_adapt",
    "serve": "policies.llm.serving.options:add_serve",
    "explain": "policies.explain.options:add_explain",
    "efficiency": "policies.llm.studies.options:add_efficiency",
    "layers": "policies.llm.studies.options:add_layers",
    "generalist": "policies.generalist.options:add_generalist",
}
"""As `Task.options` has them."""
WITHOUT_TASK = ("prepare", "serve", "explain", "generalist")
"""They need none, ask for several themselves, or find theirs in a record or in pools."""
PROG = "python -m policies.llm"


def commands_of(task: Task) -> dict[str, str]:
    """Command: its module."""
    return {**GENERAL, **task.commands}


def parser(task: Task, wanted: Sequence[str] | None = None) -> Parser:
    """The command line for a task.

    Args:
        wanted: commands whose own options are needed, all where None; the others have their names alone, as
            their modules take long to import.
    """
    top = Parser(prog=PROG, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    modules = commands_of(task)
    for name in modules:
        if wanted is not None and name not in wanted:
            commands.add_parser(name)
            continue
        place, _, function = (OPTIONS | dict(task.options)).get(name, modules[name]).partition(":")
        getattr(importlib.import_module(place), function or "add_parser")(commands)
        if name not in WITHOUT_TASK:
            commands.choices[name].add_argument(
                "--task",
                default=task.name,
                metavar="NAME",
                help=f"of {', '.join(names())} (default: {DEFAULT})",
            )
    return top


def asked_task(words: Sequence[str]) -> Task:
    """The task that a command line names; `serve` asks for its tasks itself.

    Raises:
        TaskError: there is none of that name, or it has no such command.
    """
    named = DEFAULT
    if words[:1] != ["serve"]:
        for place, word in enumerate(words):
            if word == "--task" and place + 1 < len(words):
                named = words[place + 1]
            elif word.startswith("--task="):
                named = word.partition("=")[2]
    task = task_named(named)
    known = commands_of(task)
    if words and words[0] not in known and words[0] in commands_of(task_named(DEFAULT)):
        raise TaskError(f"the task {named} has no command {words[0]}; it has {', '.join(known)}")
    return task


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return carried_out(
        PROG, lambda: _run(words), EXPECTED, interrupted="interrupted; the same command goes on where it can"
    )


def _run(words: list[str]) -> int:
    task = asked_task(words)
    known = words[0] if words and words[0] in commands_of(task) else None
    args = parser(task, [known] if known else []).parse_args(words)
    args.words = words
    if args.command not in WITHOUT_TASK and args.task != task.name:  # an abbreviation that argparse takes
        raise TaskError(f"write --task {args.task} out")
    report = importlib.import_module(commands_of(task)[args.command]).run(args)
    if isinstance(report, int):
        return report
    if args.json:
        print(json.dumps(report))
    return 0


if __name__ == "__main__":
    exit_with(main)

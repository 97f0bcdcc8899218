"""`python -m policies.llm`: NetLLM's three calls, collect, adapt and test, and what belongs to them.

    prepare     have the default base model ready (set-up does this)
    collect     play existing policies and keep what happened
    adapt       teach a base model on that
    test        score an adapter beside other policies, in simulated sessions
    controls    what the language model itself is worth: the same data and steps without it
    prompt      a control: the language model asked in words
    cost        LoRA against full fine-tuning: memory and time of a step
    serve       decide for players, over a socket
    bench       latency and cost of decisions
    load        many simulated players in real time against the server
    scale       QoE and decision time against the number of layers

Exit status: 0 done, 2 bad input, 130 interrupted (the same command goes on where it can).
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Sequence

from player.registry import PolicyError
from player.video.video import VideoError
from policies.hindsight.data import DataError
from policies.hindsight.net import WeightsError
from traces.commands import BAD_INPUT, Parser, exit_with
from traces.trace import TraceError

INTERRUPTED = 130
COMMANDS = {
    "prepare": "policies.llm.model.prepare",
    "collect": "policies.llm.tasks.abr.collect",
    "adapt": "policies.llm.learning.adapt",
    "test": "policies.llm.studies.evaluate",
    "controls": "policies.llm.studies.controls",
    "prompt": "policies.llm.studies.ask_in_words",
    "cost": "policies.llm.studies.cost",
    "serve": "policies.llm.serving.serve",
    "bench": "policies.llm.studies.bench",
    "load": "policies.apc.load.command",
    "scale": "policies.llm.studies.scale",
}
"""Each command's module; it has `add_parser(commands)` and `run(args)`, which returns what
`--json` prints, or an exit status. `args.words` is the command line as typed."""
PROG = "python -m policies.llm"


def parser(wanted: Sequence[str] = tuple(COMMANDS)) -> Parser:
    """The command line.

    Args:
        wanted: commands whose own options are needed; modules of the others are not imported.
    """
    top = Parser(prog=PROG, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    for name in wanted:
        importlib.import_module(COMMANDS[name]).add_parser(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    known = words[0] if words and words[0] in COMMANDS else None
    try:
        args = parser([known] if known else tuple(COMMANDS)).parse_args(words)
        args.words = words
        module = importlib.import_module(COMMANDS[args.command])
        report = module.run(args)
    except ModuleNotFoundError as error:
        print(f"{PROG}: this needs {error.name}; run: make setup", file=sys.stderr)
        return BAD_INPUT
    except (DataError, PolicyError, TraceError, VideoError, WeightsError, ValueError) as error:
        print(f"{PROG}: {error}", file=sys.stderr)
        return BAD_INPUT
    except OSError as error:
        print(f"{PROG}: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print(f"{PROG}: interrupted; the same command goes on where it can", file=sys.stderr)
        return INTERRUPTED
    if isinstance(report, int):
        return report
    if args.json:
        print(json.dumps(report))
    return 0


if __name__ == "__main__":
    exit_with(main)

"""`python -m policies.apc`: who decides, the light policy or the language model.

    train    measure what asking the model gains, and make candidate schedulers from it
    sweep    play candidates on validation traces, draw the front, pick; --write ships them
    test     the shipped schedulers on other traces, beside the model alone, the light policy alone, random
    bench    how long routing takes

Exit status: 0 done, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from player.registry import PolicyError
from player.video.video import VideoError
from policies.apc.study import bench, score, sweep, train
from traces.commands import BAD_INPUT, Parser, exit_with
from traces.trace import TraceError

INTERRUPTED = 130
PROG = "python -m policies.apc"
COMMANDS = {"train": train, "sweep": sweep, "test": score, "bench": bench}


def parser() -> Parser:
    """The command line."""
    top = Parser(prog=PROG, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    for module in COMMANDS.values():
        module.add_parser(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    args = parser().parse_args(arguments)
    try:
        report = COMMANDS[args.command].run(args, say)
    except ModuleNotFoundError as error:
        print(f"{PROG}: this needs {error.name}; run: make setup", file=sys.stderr)
        return BAD_INPUT
    except (PolicyError, TraceError, VideoError, ValueError) as error:
        print(f"{PROG}: {error}", file=sys.stderr)
        return BAD_INPUT
    except OSError as error:
        print(f"{PROG}: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print(f"{PROG}: interrupted", file=sys.stderr)
        return INTERRUPTED
    if args.json:
        print(json.dumps(report))
    return 0


def say(text: str) -> None:
    """A line of what is found; on stderr, so that stdout is the object's."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    exit_with(main)

"""The options of `python -m analysis watch`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from analysis.options import add_command
from traces.listening.addresses import LOOPBACK, port

WATCH_COMMAND = "watch"
PORT = 8090


def add_watch(commands: Any) -> None:
    """The command and its options."""
    command = add_command(
        commands, WATCH_COMMAND, "a page of a run or a sweep, while it runs or afterwards", _watch
    )
    what = command.add_argument_group("what to watch")
    what.add_argument("folder", type=Path, metavar="DIR", help="folder of the records")
    how = command.add_argument_group("how")
    how.add_argument(
        "--port",
        type=port,
        default=PORT,
        metavar="N",
        help="where the page is served; 0 takes a free one (default: %(default)s)",
    )
    how.add_argument(
        "--listen",
        default=LOOPBACK,
        metavar="ADDRESS",
        help="for others than this machine: the address carries a token then, which is printed (default:"
        " %(default)s)",
    )
    how.add_argument(
        "--out",
        type=_html,
        metavar="FILE",
        help="write the page as it is now into one file (.html) that needs nothing else, and serve none",
    )
    how.add_argument("--with-parent", action="store_true", help=argparse.SUPPRESS)


def _html(text: str) -> Path:
    if not text.endswith(".html"):
        raise argparse.ArgumentTypeError(f"{text}: a page's name ends in .html")
    return Path(text)


def _watch(args: argparse.Namespace) -> int:
    from analysis.watch.command import watch  # what takes a while to import is not for --help

    return watch(args)

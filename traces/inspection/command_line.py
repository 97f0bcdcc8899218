"""The command line of `python -m traces`. What takes long to import has no place here."""

from __future__ import annotations

import argparse
import re
from typing import Any

from traces import formats
from traces.commands import Parser, add_json_option
from traces.families.model import DEFAULT_LENGTH_S, DEFAULT_MIN_MEAN_MBPS, JUDGED_MEMBERS
from traces.formats.reading import add_reading
from traces.numbers import count_to_a_million, length_s, rate_mbps, share

PROGRAM = "python -m traces"
LISTED_MEMBERS = 20


def parser() -> Parser:
    """The command line."""
    top = Parser(prog=PROGRAM, description="Bandwidth traces: look at, check, convert, fit, generate.")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="command")
    _add_list(commands)
    _add_show(commands)
    _add_lint(commands)
    _add_convert(commands)
    _add_generate(commands)
    _add_fit(commands)
    _add_fit_fast(commands)
    return top


def _add_list(commands: Any) -> None:
    command = _command(commands, "list", "the families and what their members are like")
    what = command.add_argument_group("what to list")
    what.add_argument(
        "family", nargs="?", help="list this family's members one by one (default: all families)"
    )
    what.add_argument("--members", metavar="BEGIN:END", help=f"which members (default: 0:{LISTED_MEMBERS})")

    what.add_argument(
        "--fit", action="store_true", help="a Markdown table: generated beside measured, as the README has it"
    )
    what.add_argument(
        "--fit-fast", action="store_true", help="the same of the fast layers (4g-fast and so on)"
    )


def _add_show(commands: Any) -> None:
    command = _command(commands, "show", "statistics and a picture of traces")
    what = command.add_argument_group("what to show")
    what.add_argument("spec", help="4g, 4g/17, 4g[0:100], a file or a directory")
    _add_format(what)
    look = command.add_argument_group("how")
    look.add_argument(
        "--width", type=count_to_a_million, default=72, help="characters of the picture (default: 72)"
    )


def _add_lint(commands: Any) -> None:
    command = _command(commands, "lint", "faults of trace files: file, line, fault; exit 1 on errors")
    what = command.add_argument_group("what to check")
    what.add_argument("paths", nargs="+", metavar="FILE|DIR", help="trace files, or directories of them")
    _add_format(what)


def _add_convert(commands: Any) -> None:
    command = _command(commands, "convert", "write a trace in another format")
    what = command.add_argument_group("from and to")
    what.add_argument(
        "source", metavar="IN", help="a trace file, or anything that `show` takes for one trace"
    )
    what.add_argument("target", metavar="OUT", help="the file to write")
    what.add_argument("--force", action="store_true", help="write over OUT if it is there")
    what.add_argument(
        "--drop-delay-loss",
        action="store_true",
        help="write the rates alone, for formats that can't hold delay and loss",
    )
    what.add_argument("--to", required=True, choices=formats.WRITABLE, help="format to write")
    _add_format(what)


def _add_generate(commands: Any) -> None:
    command = _command(commands, "generate", "write members of a family to files")
    what = command.add_argument_group("what to generate")
    what.add_argument("family", help="a family's name, or the data file that `fit` made")
    what.add_argument("--members", metavar="BEGIN:END", default="0:10", help="which members (default: 0:10)")
    where = command.add_argument_group("where to")
    where.add_argument("--out", required=True, metavar="DIR", help="directory to write to, made if missing")
    where.add_argument(
        "--to", choices=formats.WRITABLE, default="text", help="format to write (default: text)"
    )


def pattern(text: str) -> re.Pattern[str]:
    """A regular expression."""
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no regular expression: {error}") from None


def _add_judging(judge: Any) -> None:
    judge.add_argument(
        "--hold-out-every",
        type=count_to_a_million,
        metavar="N",
        help="hold out every N-th log in name order (2 or more; default: fit all)",
    )
    judge.add_argument(
        "--block-s",
        type=length_s,
        metavar="S",
        help="for few logs: hold out every N-th block of this length instead",
    )
    judge.add_argument(
        "--line",
        type=pattern,
        metavar="REGEX",
        help="for several logs of one line: hold out every N-th line whole; the line is the first group that"
        " takes part in the match with a log's name",
    )
    judge.add_argument(
        "--judge", nargs="+", metavar="DIR", help="judge on the logs in these directories instead"
    )
    judge.add_argument(
        "--members",
        type=count_to_a_million,
        default=JUDGED_MEMBERS,
        help="members to judge (default: %(default)s)",
    )


def _add_model(model: Any) -> None:
    model.add_argument("--family", default="mine", help="the family's name (default: mine)")
    model.add_argument(
        "--about", default="", help="a line on where the logs come from, kept in the data file"
    )
    model.add_argument(
        "--classes", type=count_to_a_million, default=3, help="kinds of link to tell apart (default: 3)"
    )
    model.add_argument("--step-s", type=length_s, default=1.0, help="step of logs and members (default: 1)")
    model.add_argument(
        "--length-s", type=length_s, default=DEFAULT_LENGTH_S, help="length of a member (default: 600)"
    )
    model.add_argument(
        "--long-outage-s",
        type=length_s,
        metavar="S",
        help="outages of this length and more get rates of their own (default: all are alike)",
    )
    model.add_argument("--out", metavar="FILE", help="the data file to write")


def _add_fit(commands: Any) -> None:
    command = _command(commands, "fit", "fit a family to measured logs, and judge it on logs left out")
    what = command.add_argument_group("logs")
    what.add_argument("directories", nargs="+", metavar="DIR", help="directories (or files) of measured logs")
    what.add_argument(
        "--include", action="append", metavar="GLOB", help="only files whose names match (repeatable)"
    )
    what.add_argument(
        "--exclude",
        action="append",
        metavar="GLOB",
        default=[],
        help="no files whose names match (repeatable)",
    )
    what.add_argument(
        "--min-mean-mbps",
        type=rate_mbps,
        default=DEFAULT_MIN_MEAN_MBPS,
        metavar="MBPS",
        help="leave out logs, and draw members anew, of a lower mean (default: %(default)s)",
    )
    what.add_argument(
        "--max-mean-mbps",
        type=rate_mbps,
        metavar="MBPS",
        help="the same for a higher mean (default: no bound)",
    )
    _add_choosing(what)
    _add_format(what)
    _add_judging(command.add_argument_group("judging"))
    _add_model(command.add_argument_group("model"))


def _add_fit_fast(commands: Any) -> None:
    about = "fit a fast layer (variation by 20 ms) to logs by the millisecond, and judge it on others"
    command = _command(commands, "fit-fast", about)
    what = command.add_argument_group("logs")
    what.add_argument("logs", nargs="+", metavar="LOG", help="logs to fit: one kind of link each")
    what.add_argument("--judge", nargs="+", metavar="LOG", help="logs to judge by, which are not fitted")
    _add_format(what)
    model = command.add_argument_group("layer")
    model.add_argument("--layer", default="mine", help="the layer's name (default: mine)")
    model.add_argument("--about", default="", help="a line on where the logs come from")
    model.add_argument("--out", metavar="FILE", help="the data file to write")


def _add_choosing(what: Any) -> None:
    what.add_argument(
        "--min-dark-share",
        type=share,
        default=0.0,
        metavar="SHARE",
        help="leave out logs that are below 0.3 Mbit/s for less of their time (default: 0)",
    )
    what.add_argument(
        "--min-swing-share",
        type=share,
        default=0.0,
        metavar="SHARE",
        help="leave out logs whose rate is twice or half as much 2 s later less often (default: 0)",
    )


def _command(commands: Any, name: str, about: str) -> Parser:
    made: Parser = commands.add_parser(name, help=about, description=about)
    output = made.add_argument_group("output")
    add_json_option(output)
    return made


def _add_format(group: Any) -> None:
    add_reading(group, tuple(formats.FORMATS))

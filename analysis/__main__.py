"""The command line of `python -m analysis`."""

from __future__ import annotations

if __name__ == "__main__":
    from traces.handover import hand_over

    hand_over()

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.calls.found import calls_are_in
from analysis.cases.grouping import GROUPINGS
from analysis.options import (
    OF_TASKS,
    add_bound,
    add_by,
    add_cluster,
    add_command,
    add_interrupted,
    add_json,
    add_scoring,
    add_seen,
    add_sessions,
    scored_by,
)
from analysis.outcomes import read_outcomes
from analysis.power.options import add_power
from analysis.report.options import REPORT_COMMAND, add_report
from analysis.sessions import AnalysisError, FoundSessions, load_sessions, tell_next, tell_unreadable
from analysis.style import FORMATS, RC, save
from analysis.tables.collect import add_collect, table_path
from analysis.tables.next_command import next_command, use_of
from analysis.tables.table_file import ENDINGS, TableFileError
from analysis.tasks.found import task_of_records
from analysis.together.command import TOGETHER_COMMAND, add_together
from analysis.unpaired.options import add_unpaired
from analysis.watch.options import WATCH_COMMAND, add_watch
from player.qoe import scored_json
from player.record import RecordError
from traces.commands import PIPE_COLUMNS, Parser, carried_out, exit_with, tell_line
from traces.words import counted

if TYPE_CHECKING:
    from rich.console import Console

    from analysis.comparison import Missing
    from analysis.outcomes import Outcomes

FIGURE_NAMES = ("cdf", "bars", "box", "scatter")
"""Of `analysis.figures.FIGURES`, which takes a while to import."""
TIMELINE = "timeline"
PLANE = "plane"
"""Of calls."""

PICTURES = tuple(f".{kind}" for kind in FORMATS)

PROG = "python -m analysis"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0; 1 when a damaged record was left out; 2 when the command could not be carried out; 130 when
        interrupted.
    """
    args = _parser().parse_args(arguments)
    return carried_out(PROG, lambda: int(_run_of(args)(args)), (AnalysisError, RecordError, TableFileError))


def _run_of(args: argparse.Namespace) -> Callable[[argparse.Namespace], int]:
    """Who carries the command out: by what the records are of.

    Raises:
        AnalysisError: there is no such command for calls, a weight that is of calls alone, or calls and
            videos together.
    """
    run: Callable[[argparse.Namespace], int] = args.run
    if args.command in (TOGETHER_COMMAND, WATCH_COMMAND):  # of records of either kind
        return run
    if (task := task_of_records(args.results)) is not None:
        from analysis.tasks.command import command_of as command_of_task

        return command_of_task(task, args.command)
    _refuse_of_tasks(args)
    if calls_are_in(args.results):
        from analysis.calls.command import command_of

        return command_of(args.command)
    for name in ("stall_weight", "delay_weight"):
        if getattr(args, name, None) is not None:
            raise AnalysisError(f"--{name.replace('_', '-')} weighs calls, and these records are of videos")
    if getattr(args, "what", None) == PLANE:
        raise AnalysisError("--what plane: these records are of videos; --what scatter is the same of them")
    return run


def _refuse_of_tasks(args: argparse.Namespace) -> None:
    """Raises AnalysisError for what is of jobs and viewports alone."""
    if args.command == REPORT_COMMAND and len(args.results) > 1:
        raise AnalysisError("report: of videos and calls one folder makes one; name one")
    if getattr(args, "seen", None):
        raise AnalysisError("--seen is of jobs and viewports; of videos and calls a sweep's file says it")
    if getattr(args, "by", None) in OF_TASKS:
        raise AnalysisError(f"--by {args.by} is of viewports, and these records are of others")


def _parser() -> Parser:
    parser = Parser(prog=PROG, description="Figures from session records.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)

    _add_compare(commands)
    _add_table(commands)
    add_power(commands)
    add_unpaired(commands)
    add_collect(commands)
    add_report(commands)
    add_together(commands)
    _add_plot(commands)
    add_watch(commands)
    return parser


def _add_plot(commands: Any) -> None:
    command = add_command(commands, "plot", "draw sessions", _plot)
    what = command.add_argument_group("what to draw")
    add_sessions(what)
    what.add_argument(
        "--what",
        required=True,
        choices=[*FIGURE_NAMES, TIMELINE, PLANE],
        help="cdf: of sessions' QoE; bars: mean QoE with intervals; box: QoE in each setting; scatter:"
        " bitrate against stall ratio; timeline: sessions, or calls, over time, side by side; plane: bitrate"
        " against stall ratio of calls",
    )
    add_by(what, tuple(GROUPINGS), "a part of the figure for each of these")
    add_seen(what)
    add_bound(what, "(bars and box)")
    add_cluster(what)
    add_interrupted(what)
    what.add_argument(
        "--invalid",
        action="store_true",
        help="in a timeline also sessions over links that the self-check found untrue",
    )
    add_scoring(command, " (a timeline has what the policies were told)")
    output = command.add_argument_group("output")
    output.add_argument(
        "--out",
        type=_picture,
        required=True,
        metavar="FILE",
        help=f"the picture; its ending says the format: {', '.join(PICTURES)}",
    )
    add_json(output)


def _add_compare(commands: Any) -> None:
    command = add_command(
        commands, "compare", "compare policies over the same traces, with intervals", _compare
    )
    what = command.add_argument_group("what to compare")
    add_sessions(what)
    what.add_argument(
        "--baseline", metavar="NAME", help="compare all with this policy (default: each with each)"
    )
    add_by(what, tuple(GROUPINGS), "a comparison for each of these")
    add_cluster(what)
    add_interrupted(what)
    add_scoring(command)
    output = command.add_argument_group("output")
    output.add_argument(
        "--csv",
        type=table_path,
        metavar="FILE",
        help=f"write the differences there, a row a pair, and the means to FILE-means"
        f" (ends in {', '.join(ENDINGS)})",
    )
    add_json(output)


def _add_table(commands: Any) -> None:
    command = add_command(
        commands,
        "table",
        "mean QoE of policies by families (or videos, RTTs, settings), with intervals",
        _table,
    )
    what = command.add_argument_group("what to table")
    add_sessions(what)
    what.add_argument("--by", choices=list(GROUPINGS), default="family", help="the columns (default: family)")
    what.add_argument(
        "--baseline", metavar="NAME", help="mark who is ahead of it, behind it, or in a tie with it"
    )
    add_cluster(what)
    add_interrupted(what)
    add_scoring(command)
    output = command.add_argument_group("output")
    output.add_argument("--markdown", action="store_true", help="print a table in Markdown")
    add_json(output)


def _picture(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in PICTURES:
        raise argparse.ArgumentTypeError(
            f"{text}: a picture's ending says its format; end the name in {', '.join(PICTURES[:-1])}"
            f" or {PICTURES[-1]}"
        )
    return path


def _compare(args: argparse.Namespace) -> int:
    from analysis.compare import compare
    from analysis.compare_report import as_json, show
    from analysis.tables.comparison_rows import write_comparison

    qoe, rule = scored_by(args)
    outcomes = read_outcomes(args.results, qoe, args.policy, interrupted=args.interrupted)
    status = tell_unreadable(outcomes.unreadable)
    comparison = compare(outcomes, baseline=args.baseline, by=args.by, rule=rule, at_points=True)
    written = write_comparison(comparison, args.csv) if args.csv else []
    if args.json:
        print(json.dumps(as_json(comparison) | {"tables": [str(path) for path in written]}))
        return status
    show(comparison, _console())
    for what, path in zip(("differences", "means"), written, strict=False):
        tell_line(f"{what}: {path}")
    tell_next(args.results, "report")
    return status


def _table(args: argparse.Namespace) -> int:
    from analysis import table
    from analysis.compare import can_be_compared

    qoe, rule = scored_by(args)
    if args.json and args.markdown:
        raise AnalysisError("--json and --markdown exclude each other; give one")
    outcomes = read_outcomes(args.results, qoe, args.policy, interrupted=args.interrupted)
    status = tell_unreadable(outcomes.unreadable)
    found = table.matrix(outcomes, args.by, args.baseline, rule)
    if args.json:
        print(json.dumps(table.as_json(found)))
        return status
    table.show(found, _console(), args.markdown)
    if not args.markdown:
        options = ("--interrupted",) if args.interrupted else ()
        tell_next(args.results, "compare" if can_be_compared(outcomes) else "report", *options)
    return status


def _console() -> Console:
    from traces.console import VisibleConsole

    return VisibleConsole(width=None if sys.stdout.isatty() else PIPE_COLUMNS)


def _plot(args: argparse.Namespace) -> int:
    if args.what == TIMELINE and args.bound is not None:
        raise AnalysisError("--bound is of means: a timeline shows sessions; leave it away")
    return _plot_timeline(args) if args.what == TIMELINE else _plot_many(args)


def _plot_many(args: argparse.Namespace) -> int:
    """A figure of many sessions."""
    import matplotlib

    from analysis.compare import missing_of, told_together
    from analysis.compare_report import left_out_lines
    from analysis.figures import FIGURES

    qoe, rule = scored_by(args)
    outcomes = read_outcomes(args.results, qoe, args.policy, interrupted=args.interrupted)
    status = tell_unreadable(outcomes.unreadable)
    with matplotlib.rc_context(RC):
        drawn = FIGURES[args.what](outcomes, args.by, rule, *_bounds(args))
        save(drawn.figure, args.out)
    missing = missing_of(outcomes)
    policies = [one for one in outcomes.policies if one not in outcomes.without_figures]
    if args.json:
        facts = {
            "what": args.what,
            "out": str(args.out),
            "cases": drawn.cases,
            "not_common": drawn.not_common,
            "without_bound": list(drawn.without_bound),
        }
        print(json.dumps(facts | _drawn_json(outcomes, missing)))
        return status
    for line in left_out_lines(outcomes):
        tell_line(line)
    for why in drawn.without_bound:
        tell_line(f"no bound drawn: {why}")
    if drawn.not_common:
        lacking = ", ".join(dict.fromkeys(one.policy for one in missing))
        tell_line(
            f"not drawn: {drawn.not_common} cases that {lacking} lack; `python -m analysis compare` names"
            " them, --policy leaves a policy out"
        )
    for told in told_together(outcomes, args.by):
        tell_line(f"note: {told}")
    tell_line(f"{args.what} of {', '.join(policies)} over {counted(drawn.cases, 'case')}: {args.out}")
    tell_next(args.results, "report")
    return status


def _bounds(args: argparse.Namespace) -> list[Any]:
    """What else a figure is given: the bounds that `--bound` names.

    Raises:
        AnalysisError: it names none, or the figure shows none.
    """
    from analysis.figures import WITH_BOUNDS
    from analysis.knowable.bound_file import read_bounds
    from analysis.knowable.over_cases import line_over

    if args.bound is None:
        return []
    if args.what not in WITH_BOUNDS:
        raise AnalysisError(f"--bound is of means: --what {' or '.join(WITH_BOUNDS)}, not {args.what}")
    return [line_over(read_bounds(args.bound))]


def _drawn_json(outcomes: Outcomes, missing: Sequence[Missing]) -> dict[str, Any]:
    """Of whom a figure is, and what is not in it."""
    return {
        "qoe": scored_json(outcomes.scored),
        "policies": [one for one in outcomes.policies if one not in outcomes.without_figures],
        "missing": list(map(_missing_json, missing)),
        "invalid": len(outcomes.invalid),
        "left_out": [{"record": one.record, "reason": one.reason} for one in outcomes.left_out],
    }


def _missing_json(one: Missing) -> dict[str, str]:
    return {"policy": one.policy, "case": str(one.case), "reason": one.reason}


def _plot_timeline(args: argparse.Namespace) -> int:
    import matplotlib

    from analysis.timeline import draw_timeline

    sessions = load_sessions(args.results, policies=args.policy, with_invalid=args.invalid)
    status = tell_unreadable(sessions.unreadable)
    with matplotlib.rc_context(RC):
        figure = draw_timeline(sessions.taken)
        save(figure, args.out)
    if args.json:
        print(json.dumps(_as_json(args, sessions)))
        return status
    for session in sessions.left_out:
        tell_line(f"left out, its link was invalid (--invalid draws it): {session.path}")
    counts = f"{counted(len(sessions.taken), 'session')}, {len(sessions.left_out)} invalid left out"
    tell_line(f"{args.what} of {counts}: {args.out}")
    if command := next_command(map(use_of, sessions.taken)):
        tell_next(args.results, command)
    return status


def _as_json(args: argparse.Namespace, sessions: FoundSessions) -> dict[str, Any]:
    return {
        "what": args.what,
        "out": str(args.out),
        "sessions": [
            {
                "policy": session.policy,
                "trace": session.trace.name if session.trace else None,
                "outcome": session.end.outcome,
                "valid": session.end.valid,
                "qoe": session.summary.qoe,
                "qoe_weights": asdict(session.weights),
                "stall_s": session.summary.stall_s,
                "record": session.path,
            }
            for session in sessions.taken
        ],
        "invalid": len(sessions.left_out),
        "left_out": [session.path for session in sessions.left_out],
    }


if __name__ == "__main__":
    exit_with(main)

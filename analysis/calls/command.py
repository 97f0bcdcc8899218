"""The commands of `python -m analysis` where the records are of calls."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from analysis.calls.comparison import compare_calls, means_of
from analysis.calls.options import call_qoe, call_rule
from analysis.calls.outcomes import CallSession, FoundCalls, read_calls
from analysis.calls.rows import TABLE, collect_calls
from analysis.calls.said import show
from analysis.calls.written import as_json, write_csv
from analysis.compare import can_be_compared
from analysis.compare_report import left_out_lines
from analysis.sessions import AnalysisError, of_policies, read_each, tell_next, tell_unreadable
from analysis.style import RC, save
from player.call.record import read_call
from player.record import RecordError
from traces.commands import PIPE_COLUMNS, tell_line
from traces.console import VisibleConsole
from traces.words import counted

PLANE, TIMELINE = "plane", "timeline"


def command_of(name: str) -> Callable[[argparse.Namespace], int]:
    """The command of this name for calls.

    Raises:
        AnalysisError: it is one for videos alone.
    """
    if name not in COMMANDS:
        raise AnalysisError(f"{name}: these records are of calls, for which there is {', '.join(COMMANDS)}")
    return COMMANDS[name]


def _found(args: argparse.Namespace) -> FoundCalls:
    return read_calls(args.results, call_qoe(args), args.policy, interrupted=args.interrupted)


def _compare(args: argparse.Namespace) -> int:
    found = _found(args)
    status = tell_unreadable(found.unreadable)
    compared = compare_calls(found, baseline=args.baseline, by=args.by, rule=call_rule(args))
    written = write_csv(compared, args.csv) if args.csv else []
    if args.json:
        print(json.dumps(as_json(compared) | {"tables": [str(path) for path in written]}))
        return status
    show(compared, VisibleConsole(width=None if sys.stdout.isatty() else PIPE_COLUMNS))
    for what, path in zip(("differences", "means"), written, strict=False):
        tell_line(f"{what}: {path}")
    tell_next(args.results, "report")
    return status


def _plot(args: argparse.Namespace) -> int:
    if args.what not in (PLANE, TIMELINE):
        raise AnalysisError(f"--what {args.what}: these records are of calls; draw {PLANE} or {TIMELINE}")
    for name in ("by", "bound"):
        if getattr(args, name) is not None:
            raise AnalysisError(f"--{name} is of figures of videos; leave it away")
    return _plot_plane(args) if args.what == PLANE else _plot_timeline(args)


def _plot_plane(args: argparse.Namespace) -> int:
    import matplotlib

    from analysis.calls.plane import draw_plane

    found = _found(args)
    status = tell_unreadable(found.unreadable)
    means = means_of(found, call_rule(args))
    with matplotlib.rc_context(RC):
        save(draw_plane(found, means), args.out)
    cases = means[0].cases
    if args.json:
        facts = {"what": PLANE, "out": str(args.out), "cases": cases, "invalid": len(found.invalid)}
        print(json.dumps(facts | {"policies": [one.policy for one in means]}))
        return status
    for line in left_out_lines(found):
        tell_line(line)
    names = ", ".join(one.policy for one in means)
    tell_line(f"{PLANE} of {names} over {counted(cases, 'case')} that all have: {args.out}")
    tell_next(args.results, "report")
    return status


def load_calls(args: argparse.Namespace) -> tuple[list[CallSession], list[CallSession], list[str]]:
    """Calls to be drawn, those left out because their links were untrue, and faults of other records.

    Raises:
        AnalysisError: no call is of a policy, or none is left.
        RecordError: none of the records can be read.
    """
    calls, faulty = read_each(args.results, lambda path: CallSession(read_call(path)))
    faults = [fault for _, fault in faulty]
    if not calls:
        raise RecordError(faults[0])
    wanted = of_policies(calls, args.policy)
    taken = [one for one in wanted if args.invalid or one.record.end.valid]
    if not taken:
        raise AnalysisError(
            f"all {counted(len(wanted), 'call')} had untrue links; --invalid draws them all the same"
        )
    return taken, [one for one in wanted if one not in taken], faults


def _plot_timeline(args: argparse.Namespace) -> int:
    import matplotlib

    from analysis.calls.timeline import draw_calls

    taken, left_out, faults = load_calls(args)
    status = tell_unreadable(faults)
    with matplotlib.rc_context(RC):
        save(draw_calls(taken), args.out)
    if args.json:
        calls = [{"policy": one.policy, "record": one.path, "valid": one.record.end.valid} for one in taken]
        left = [one.path for one in left_out]
        print(json.dumps({"what": TIMELINE, "out": str(args.out), "calls": calls, "left_out": left}))
        return status
    for one in left_out:
        tell_line(f"left out, its link was invalid (--invalid draws it): {one.path}")
    tell_line(f"{TIMELINE} of {counted(len(taken), 'call')}: {args.out}")
    return status


def _collect(args: argparse.Namespace) -> int:
    if args.chunks:
        raise AnalysisError("--chunks: these records are of calls, which have none; leave it away")
    first: Path = args.results[0]
    table = args.out or (first if first.is_dir() else first.parent) / TABLE
    rows, faults = collect_calls(args.results, table)
    status = tell_unreadable(faults)
    if args.json:
        print(json.dumps({"table": str(table), "rows": rows, "unreadable": list(faults)}))
        return status
    tell_line(f"{counted(rows, 'call')}, {len(faults)} unreadable: {table}")
    tell_next(args.results, "report")
    return status


def _report(args: argparse.Namespace) -> int:
    from analysis.calls.report import report_calls

    found = _found(args)
    status = tell_unreadable(found.unreadable)
    facts = report_calls(found, args, call_rule(args), can_be_compared(found))
    if args.json:
        print(json.dumps(facts, allow_nan=False))
        return status
    tell_line(f"{counted(len(found.counted), 'call')}, {counted(len(found.policies), 'policy', 'policies')}:")
    tell_line(f"{facts['page']}")
    return status


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "compare": _compare,
    "plot": _plot,
    "collect": _collect,
    "report": _report,
}
"""What there is for calls."""

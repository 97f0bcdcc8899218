"""The command line of `python -m traces`."""

from __future__ import annotations

if __name__ == "__main__":
    from traces.handover import hand_over

    hand_over()

    from traces.inspection.command_line import parser

    parser().parse_args()  # help and mistakes don't wait for the imports that follow

import argparse
import fnmatch
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from traces import formats
from traces.commands import BAD_INPUT, carried_out, exit_with, next_step
from traces.escaping import visible
from traces.families import catalogue, fast_fit, fit
from traces.families.fast_layer import BIN_S, LAYER_OF, FastLayer, fast_families, load_layer
from traces.families.logs import chosen, prepare, split
from traces.families.model import JUDGED_MEMBERS, FamilyModel, read_model
from traces.families.statistics import Statistics, ranges, resample, summarise
from traces.files import write_aside
from traces.formats.reading import reading_in
from traces.inspection import lint
from traces.inspection.command_line import LISTED_MEMBERS, PROGRAM, parser
from traces.inspection.fast_report import FAST_HEADER, fast_rows
from traces.inspection.report import (
    FIT_HEADER,
    constant_line,
    fit_rows,
    more_lines,
    sparkline,
    statistics_lines,
)
from traces.ownership import make_directory
from traces.trace import Trace, TraceError
from traces.versions import ROOT
from traces.words import counted


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0; 1 when lint found errors; 2 when the command could not be carried out.
    """
    arguments = parser().parse_args(argv)
    return carried_out(PROGRAM, lambda: _COMMANDS[arguments.command](arguments), (TraceError,))


def _print_json(body: Any) -> None:
    print(json.dumps(body, allow_nan=False))


def _member_range(text: str) -> range:
    begin, colon, end = text.partition(":")
    if not (colon and (begin or "0").isdigit() and end.isdigit()) or len(text) > 20:
        raise TraceError(f"--members {text}: not a range; write it as 0:10")
    wanted = range(int(begin or 0), int(end))
    if not 0 < len(wanted) <= catalogue.MAX_SLICE:
        raise TraceError(f"--members {text}: {len(wanted)} members; ask for 1 to {catalogue.MAX_SLICE}")
    return wanted


def _family_model(name: str) -> FamilyModel:
    return read_model(Path(name)) if name.endswith(".json") else catalogue.load_family(name)


def _family(name: str, wanted: range) -> catalogue.Family:
    """The family of so many members.

    Raises:
        TraceError: there is none, or they are too many at once.
    """
    family = catalogue.family_named(name)
    if len(wanted) > family.most:
        raise TraceError(f"--members: {len(wanted)} of {family.name}; {family.most} at once is the most")
    return family


def _members(name: str, wanted: range) -> list[Trace]:
    family = _family(name, wanted)
    return [family.member(index) for index in wanted]


def _list(arguments: argparse.Namespace) -> int:
    if arguments.fit_fast:
        return _list_fit_fast(arguments)
    if arguments.fit:
        return _list_fit(arguments)
    wanted = _member_range(arguments.members or f"0:{LISTED_MEMBERS}")
    if arguments.family:
        rows = [(trace.name, [trace]) for trace in _members(arguments.family, wanted)]
    else:
        rows = [(name, _members(name, wanted)) for name in catalogue.families()]
    if arguments.json:
        key = "members" if arguments.family else "families"
        body = [{"name": name, **_about(name), **summarise(traces).as_json()} for name, traces in rows]
        _print_json({key: body})
        return 0
    print(f"{'name':<9}{'mean':>9}{'dev.':>9}{'p5':>9}{'p95':>9}  < 0.3  ACF 5 s  length  (rates in Mbit/s)")
    for name, traces in rows:
        figures = summarise(traces)
        memory = "-" if figures.autocorrelation_5s is None else f"{figures.autocorrelation_5s:.2f}"
        print(
            f"{name:<9}{figures.mean_mbps:>9.2f}{figures.deviation_mbps:>9.2f}{figures.p5_mbps:>9.2f}"
            f"{figures.p95_mbps:>9.2f}{figures.share_below_0_3:>6.1%}"
            f"{memory:>9}{traces[0].duration_s:>6.0f} s"
            f"  {_about(name).get('about', '')}".rstrip()
        )
    if not arguments.family:
        print(
            f"Statistics of members {wanted.start} to {wanted.stop - 1}; "
            "a family has members without end: 4g/0, 4g/1, ..."
        )
        print(f"With variation within the second, by 20 ms: {', '.join(fast_families())}")
    return 0


def _about(name: str) -> dict[str, Any]:
    if name not in catalogue.families():
        return {}
    return {"about": catalogue.load_family(name).about, "default_video": catalogue.default_video(name)}


def _show(arguments: argparse.Namespace) -> int:
    traces = catalogue.resolve_many(arguments.spec, reading_in(arguments))
    figures = summarise(traces)
    if arguments.json:
        shown = [
            {
                "name": trace.name,
                "family": trace.family,
                "duration_s": trace.duration_s,
                "sha256": trace.sha256,
                "mean_mbps": round(trace.mean_mbps, 4),
                "assumed": list(trace.assumed),
                **{name: figures.as_json() for name, figures in ranges(trace).items()},
            }
            for trace in traces
        ]
        _print_json({"spec": arguments.spec, "traces": shown, "statistics": figures.as_json()})
        return 0
    for trace in traces[:LISTED_MEMBERS]:
        rates = _columns(trace, arguments.width)
        how = constant_line(trace) or f"up to {max(trace.rate_mbps[1:]):g} Mbit/s"
        print(f"{visible(trace.name)}  0 to {trace.duration_s:g} s, {how}")
        print(f"  {sparkline(rates, sys.stdout.encoding or 'ascii')}")
        for line in (*more_lines(trace), *(f"assumed: {words}" for words in trace.assumed)):
            print(f"  {visible(line)}")
    if len(traces) > LISTED_MEMBERS:
        print(f"and {len(traces) - LISTED_MEMBERS} more")
    for line in statistics_lines(figures):
        print(f"  {line}")
    return 0


def _columns(trace: Trace, width: int) -> list[float]:
    return [float(rate) for rate in resample(trace, trace.duration_s / width)]


def _to_lint(name: str) -> tuple[list[Path], str]:
    """The files that a name stands for, or why there are none."""
    path = Path(name)
    if path.is_dir():
        files = catalogue.trace_files(path)
        return files, "" if files else f"{catalogue.what_it_holds(path)}; name one that holds traces"
    if path.exists():
        return [path], ""
    if target := catalogue.dangling(name):
        return [], f"a link to {target}, which is not there"
    near = catalogue.file_like(name)
    return [], f"no such file or directory{f'; did you mean {near}?' if near else ''}"


def _lint(arguments: argparse.Namespace) -> int:
    files: list[Path] = []
    missing = []
    for name in arguments.paths:
        there, lacking = _to_lint(name)
        files += there
        if lacking:
            missing.append(name)
            print(visible(f"{PROGRAM}: {name}: {lacking}"), file=sys.stderr)
    if not files:
        return BAD_INPUT
    reading = reading_in(arguments)
    found = [fault for file in files for fault in lint.lint_file(file, reading)]
    errors, warnings, notes = (
        sum(fault.severity == severity for fault in found) for severity in ("error", "warning", "note")
    )
    if arguments.json:
        _print_json(
            {
                "files": len(files),
                "missing": missing,
                "errors": errors,
                "warnings": warnings,
                "notes": notes,
                "faults": [asdict(fault) for fault in found],
            }
        )
    else:
        for fault in found:
            print(visible(str(fault)))
        what = f"{counted(errors, 'error')}, {counted(warnings, 'warning')}"
        print(f"{counted(len(files), 'file')}: {what}", file=sys.stderr)
    return BAD_INPUT if missing else 1 if errors else 0


def _convert(arguments: argparse.Namespace) -> int:
    trace = catalogue.resolve(arguments.source, reading_in(arguments))
    if Path(arguments.target).is_file() and not arguments.force:
        raise TraceError(f"{arguments.target} is there already; name another file, or say --force")
    written = trace.without_delay_loss if arguments.drop_delay_loss else trace
    formats.save(written, arguments.target, arguments.to)
    dropped = [] if written is trace else more_lines(trace)
    if arguments.json:
        _print_json(
            {
                "from": arguments.source,
                "to": arguments.target,
                "format": arguments.to,
                "duration_s": trace.duration_s,
                "mean_mbps": round(trace.mean_mbps, 4),
                "dropped": [] if written is trace else list(ranges(trace)),
                "assumed": list(trace.assumed),
            }
        )
        return 0
    what = f"{trace.duration_s:g} s, mean {trace.mean_mbps:.3f} Mbit/s, as {arguments.to}"
    print(f"{visible(arguments.target)}: {what}")
    lines = [f"dropped: {words}" for words in dropped] or more_lines(trace)
    for line in (*lines, *(f"assumed: {words}" for words in trace.assumed)):
        print(f"  {visible(line)}")
    if Path(arguments.target).is_file():
        _tell_simulation(arguments.target)
    return 0


def _tell_simulation(traces: str) -> None:
    """What one types next over traces that were written."""
    script = ROOT / "testbed" / "simulate.py"
    if script.exists():
        typed = os.path.relpath(script) if Path.cwd().is_relative_to(ROOT) else str(script)
        words = (typed, "--traces", traces, "--policy", "bba,robustmpc")
        print(visible(next_step(*words)))


def _generate(arguments: argparse.Namespace) -> int:
    wanted = _member_range(arguments.members)
    family = _family(arguments.family, wanted)
    directory = Path(arguments.out)
    make_directory(directory)
    digits = len(str(wanted.stop - 1))
    written = []
    for index in wanted:
        trace = family.member(index)
        file = directory / f"{family.name}_{index:0{digits}d}"
        formats.save(trace, file, arguments.to)
        written.append(
            {
                "file": str(file),
                "name": trace.name,
                "sha256": trace.sha256,
                "mean_mbps": round(trace.mean_mbps, 4),
            }
        )
    if arguments.json:
        _print_json({"family": family.name, "format": arguments.to, "written": written})
    else:
        what = f"{counted(len(written), 'trace')} of {family.name}, {family.model.length_s:g} s each"
        print(visible(f"{directory}: {what}"))
        _tell_simulation(str(directory))
    return 0


def _logs(names: Sequence[str], arguments: argparse.Namespace) -> list[Trace]:
    """The logs in directories and files, those left out by name or mean aside."""
    logs: list[Trace] = []
    reading = reading_in(arguments)
    for name in names:
        path = Path(name)
        if not path.exists():
            raise TraceError(f"{name}: no such file or directory")
        for file in catalogue.trace_files(path) if path.is_dir() else [path]:
            kept = not arguments.include or any(
                fnmatch.fnmatch(file.name, glob) for glob in arguments.include
            )
            if kept and not any(fnmatch.fnmatch(file.name, glob) for glob in arguments.exclude):
                logs.append(formats.load(file, reading))
    if not logs:
        raise TraceError(f"{' '.join(names)}: no logs are left; widen --include and --exclude")
    prepared = prepare(logs, arguments.step_s, arguments.min_mean_mbps, arguments.max_mean_mbps)
    return chosen(prepared, arguments.min_dark_share, arguments.min_swing_share)


def _logs_in_parts(arguments: argparse.Namespace) -> tuple[Sequence[Trace], Sequence[Trace]]:
    """Logs to fit, and logs to judge by."""
    logs: Sequence[Trace] = _logs(arguments.directories, arguments)
    held_out: Sequence[Trace] = ()
    if arguments.judge:
        held_out = _logs(arguments.judge, arguments)
    elif arguments.hold_out_every is not None:
        if arguments.hold_out_every < 2:
            raise TraceError("--hold-out-every 1: nothing would be left to fit; use 2 or more")
        if arguments.line is not None and arguments.block_s is not None:
            raise TraceError("--line and --block-s: whole lines or blocks of logs are held out; give one")
        parts = split(logs, arguments.hold_out_every, arguments.block_s, arguments.line)
        logs, held_out = parts.fitted, parts.held_out
    elif arguments.block_s is not None:
        raise TraceError("--block-s: blocks are held out by --hold-out-every; give both")
    elif arguments.line is not None:
        raise TraceError("--line: lines are held out by --hold-out-every; give both")
    if (arguments.judge or arguments.hold_out_every) and not (logs and held_out):
        raise TraceError(
            f"{len(logs)} logs to fit and {len(held_out)} held out; bring more logs, or set --block-s"
        )
    return logs, held_out


def _fit(arguments: argparse.Namespace) -> int:
    if arguments.length_s < arguments.step_s:
        raise TraceError(f"--length-s {arguments.length_s:g}: shorter than --step-s {arguments.step_s:g}")
    logs, held_out = _logs_in_parts(arguments)
    model = fit.fit(
        logs,
        arguments.family,
        about=arguments.about,
        classes=arguments.classes,
        step_s=arguments.step_s,
        length_s=arguments.length_s,
        min_mean_mbps=arguments.min_mean_mbps,
        max_mean_mbps=arguments.max_mean_mbps,
        long_outage_s=arguments.long_outage_s,
    )
    if held_out:
        figures = fit.measured(held_out, model.piece_s)
        model = replace(model, held_out=figures, held_out_logs=len(held_out))
    generated = fit.generated(model, model.piece_s, arguments.members)
    if arguments.out:
        write_aside(Path(arguments.out), model.to_json())
    if arguments.json:
        _print_json({"out": arguments.out, **_fit_body(model, generated, arguments.members)})
    else:
        _show_fit(model, generated, arguments)
    return 0


def _show_fit(model: FamilyModel, generated: Statistics, arguments: argparse.Namespace) -> None:
    print(FIT_HEADER)
    print("\n".join(fit_rows(model, generated, arguments.members)))
    if arguments.out:
        words = ("-m", "traces", "generate", arguments.out, "--out", Path(arguments.out).stem)
        print(visible(next_step(*words)))


def _fit_body(model: FamilyModel, generated: Statistics, members: int) -> dict[str, Any]:
    return {
        "family": model.family,
        "piece_s": model.piece_s,
        "classes": len(model.classes),
        "fitted_logs": model.fitted_logs,
        "held_out_logs": model.held_out_logs,
        "members": members,
        "fitted": model.fitted.as_json(),
        "held_out": model.held_out.as_json() if model.held_out else None,
        "generated": generated.as_json(),
    }


def _list_fit(arguments: argparse.Namespace) -> int:
    names = [arguments.family] if arguments.family else catalogue.families()
    members = len(_member_range(arguments.members)) if arguments.members else JUDGED_MEMBERS
    shown = [(model, fit.generated(model, model.piece_s, members)) for model in map(_family_model, names)]
    if arguments.json:
        _print_json({"families": [_fit_body(model, generated, members) for model, generated in shown]})
        return 0
    print(FIT_HEADER)
    for model, generated in shown:
        print("\n".join(fit_rows(model, generated, members)))
    return 0


def _list_fit_fast(arguments: argparse.Namespace) -> int:
    layers = [load_layer(name) for name in sorted(set(LAYER_OF.values()))]
    return _show_layers(layers, arguments.json)


def _show_layers(layers: Sequence[FastLayer], as_json: bool, out: str | None = None) -> int:
    if as_json:
        body = {layer.layer: [asdict(judged) for judged in layer.judged] for layer in layers}
        _print_json({"out": out, "layers": body} if out else {"layers": body})
        return 0
    print(FAST_HEADER)
    for layer in layers:
        print("\n".join(map(visible, fast_rows(layer))))
    return 0


def _fit_fast(arguments: argparse.Namespace) -> int:
    reading = replace(reading_in(arguments), bin_ms=round(1000 * BIN_S))
    logs = [formats.load(Path(name), reading) for name in arguments.logs]
    held_out = [formats.load(Path(name), reading) for name in arguments.judge or ()]
    layer = fast_fit.fit_layer(arguments.layer, arguments.about, logs, held_out)
    if arguments.out:
        write_aside(Path(arguments.out), layer.to_json())
    return _show_layers([layer], arguments.json, arguments.out)


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "list": _list,
    "show": _show,
    "lint": _lint,
    "convert": _convert,
    "generate": _generate,
    "fit": _fit,
    "fit-fast": _fit_fast,
}


if __name__ == "__main__":
    exit_with(main)

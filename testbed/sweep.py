"""A whole experiment from one file: sessions by the hundred, emulated or simulated, whatever happens.

    sudo python testbed/sweep.py testbed/sweeps/quick.toml [--lanes 8] [--out results/quick]
    python testbed/sweep.py testbed/sweeps/quick.toml --simulate

The plan is printed first. Each finished session is on disk at once; after `kill -9`, a reboot or Ctrl-C
the same command goes on where it stopped. Exit status: 0 every session is good, 1 some were tried in
vain, 2 bad input or a machine that cannot, 130 or 143 when interrupted.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from traces.handover import hand_over

    hand_over()

    from testbed.sweeps.command_line import parser

    parser().parse_args()  # help and mistakes don't wait for the imports that follow

import argparse
import json
import re
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from analysis.sessions import AnalysisError
from analysis.sweep_state import SweepState
from analysis.tables.collect import TABLE, collect
from player.defaults import PUBLISHED
from player.qoe import Scoring
from player.real.stdout import kept_for_us
from player.registry import PolicyError
from player.video.video import VideoError
from testbed.browser.clients import DASHJS
from testbed.process.console import person_console
from testbed.process.errors import TestbedError
from testbed.process.served_page import page_of
from testbed.process.signals import exit_status, terminated_by
from testbed.simulating.tasks import CALL
from testbed.sweeps.command_line import CLUSTER, parser
from testbed.sweeps.engines import Cluster, Computed, Emulated, SweepEngine
from testbed.sweeps.experiment import estimate
from testbed.sweeps.experiment.plan import SweepPlan, plan_sweep
from testbed.sweeps.experiment.schema import SettingEntry, read_sweep, shown_value
from testbed.sweeps.experiment.units import Unit
from testbed.sweeps.folder import SweepFolder
from testbed.sweeps.journal import is_as_noted
from testbed.sweeps.progress import SweepDisplay
from testbed.sweeps.state import SweepFacts, command_entry, utc_now
from testbed.sweeps.work import SweepWork
from traces.commands import leave, next_step, refuse, said_of
from traces.escaping import visible_output
from traces.trace import TraceError
from traces.words import counted, duration

RESULTS = Path("results")
BAD_INPUT, NOT_ALL_GOOD = 2, 1
SPARE_BYTES = 64 * 1024 * 1024
"""Free disk that is wanted beside what the sessions take."""
MOST_LISTED = 20
"""Sessions that were tried in vain, on the screen; `sweep.json` has all."""
MOST_TABLED = 2_000
"""With more records, the table at the end would keep its reader waiting for half a minute."""
INTERRUPTED = "sweep.py: interrupted; the same command goes on from there"


def _default_out(plan: SweepPlan) -> Path:
    word = re.sub(r"[^A-Za-z0-9.=_-]+", "-", plan.file.name).strip("-.") or "sweep"
    how = "emulated" if plan.link_model is None else f"simulated-{plan.link_model}"
    return RESULTS / f"{word}-{how}"


def describe(
    plan: SweepPlan, left: Sequence[Unit], wall: str, disk: int, out: Path, another_time: int = 0
) -> list[str]:
    """The plan in a few lines.

    Args:
        another_time: sessions that `--only` leaves for then.
    """
    file = plan.file
    how = f"simulated, link {plan.link_model}" if plan.simulated else "emulated"
    lines = [f"{file.name}, {how}" + (f": {file.question}" if file.question else "")]
    policies = [policy.label for policy in plan.policies if policy.left_out is None]
    lines.append(f"policies: {', '.join(policies)}")
    lines += _settings_lines(plan)
    lines += [f"note: {note}" for note in plan.notes]
    recorded = plan.sessions - another_time - _players(left)
    there = f", {another_time} of them another time (--only)" if another_time else ""
    there += f", {recorded} of them over already" if recorded else ""
    lines.append(f"{counted(plan.sessions, 'session')}{there}; {wall}; {_bytes(disk)} of disk in {out}")
    return lines


def _settings_lines(plan: SweepPlan) -> list[str]:
    """A line a setting; one with an axis has one of its own, and a line a point below it."""
    lines: list[str] = []
    axes = {entry.label: entry for entry in plan.file.settings if entry.axes}
    for setting in plan.settings:
        mine = [unit for unit in plan.units if unit.setting is setting]
        if not mine:
            continue
        begin = f"setting {setting.label}"
        if setting.group in axes:
            head = _axes_line(axes[setting.group])
            lines += [] if head in lines else [head]
            begin = f"  {setting.label.removeprefix(setting.group).removeprefix(', ')}"
        lines.append(f"{begin}: {_setting_words(setting, mine)}")
    return lines


def _axes_line(entry: SettingEntry) -> str:
    """`setting 3g along rtt_ms 20, 80, 300`."""
    axes = (f"{key} {', '.join(map(shown_value, entry.values[key]))}" for key in entry.axes)
    return f"setting {entry.label} along {' and '.join(axes)}"


def _setting_words(setting: Any, units: Sequence[Unit]) -> str:
    traces = len({unit.swept.trace.name for unit in units})
    videos = sorted({f"{unit.whole.name} {unit.chunks} x {unit.whole.chunk_s:g} s" for unit in units})
    call = setting.call
    words = [
        f"{counted(traces, 'trace')}",
        " and ".join(videos) if call is None else f"calls of {call.duration_s:g} s",
        f"RTT {setting.link.rtt_ms:g} ms",
    ]
    if setting.link.loss.kind != "none":
        words.append(f"loss {setting.link.loss.p:g} %")
    if (live := units[0].live) is not None:
        words.append(f"live, {live.latency_s:g} s behind")
        words += [f"in parts of {live.part_s:g} s"] if live.part_s is not None else []
    if setting.client == DASHJS:
        words.append("dash.js plays")
    if setting.players > 1:
        words.append(f"{setting.players} players on a bottleneck, {setting.stagger_s:g} s apart")
    if setting.others:
        words.append(f"beside {', '.join(setting.others.words)}")
    if setting.seen is not None:
        words.append("seen" if setting.seen else "unseen")
    if setting.stress:
        words.append("stress")
    return f"{', '.join(words)}: {counted(_players(units), 'session')}"


def _bytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(count / 1e6, 0.1):.1f} MB"


def _check_room(out: Path, wanted_bytes: int) -> None:
    place = out
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < wanted_bytes + SPARE_BYTES:
        raise TestbedError(
            f"--out {out}: {_bytes(free)} free, {_bytes(wanted_bytes + SPARE_BYTES)} wanted; make room there"
        )


def _show_table(console: Console, out: Path, scoring: Scoring, baseline: str | None) -> None:
    """The sweep's policies by setting, or why there is no such table."""
    from analysis.table import show_by_setting  # what it takes a while to import is not for --help

    console.print()
    show_by_setting(console, out, scoring, baseline)
    console.print()


def _finish(work: SweepWork, console: Console, report: dict[str, Any]) -> int:
    """Collect, list what was tried in vain, and say where all is."""
    counts = report["counts"]
    table = work.out / TABLE
    calls = work.folder.plan.file.task == CALL  # which `python -m analysis compare` scores
    if not calls and not work.ran and is_as_noted(table):
        report["table"] = str(table)
    elif not calls and counts["expected"] > counts["missing"]:
        try:
            collected = collect([work.out], table)
            work.folder.note_table(collected.table)
            report["table"] = str(collected.table)
        except AnalysisError as error:  # no session came to a record
            console.print(Text(f"no {TABLE}: {error}"), soft_wrap=True)
    in_vain = work.not_good
    for unit, status, reasons in in_vain[:MOST_LISTED]:
        console.print(Text(f"{status}: {unit.name}: {'; '.join(reasons)}"), soft_wrap=True)
    if len(in_vain) > MOST_LISTED:
        console.print(Text(f"… and {len(in_vain) - MOST_LISTED} more, see {work.out / 'sweep.json'}"))
    words = [f"{counts['done']} done"] + [
        f"{counts[key]} {key}" for key in ("invalid", "failed", "missing") if counts[key]
    ]
    if 0 < counts["done"] <= MOST_TABLED and not calls:
        file = work.folder.plan.file
        _show_table(console, work.out, file.scoring, file.baseline)
    spent = _spent_words(work, duration(report["spent"]["wall_s"]))
    sessions = counted(counts["expected"], "session")
    console.print(Text(f"{sessions}: {', '.join(words)}, {spent}"), soft_wrap=True)
    console.print(Text(f"records: {work.out}"), soft_wrap=True)
    if counts["done"]:
        then = next_step("-m", "analysis", "compare" if calls else "report", str(work.out))
        console.print(Text(then), soft_wrap=True)
    return 0 if not in_vain else NOT_ALL_GOOD


def _spent_words(work: SweepWork, all_runs: str) -> str:
    """How long all of the sweep's runs took, and whether this one had a part in it."""
    if not work.ran:
        return f"in {all_runs} of earlier runs; nothing was left to do"
    return f"in {all_runs}, earlier runs included" if work.goes_on else f"in {all_runs}"


def _as_json(report: dict[str, Any], work: SweepWork) -> dict[str, Any]:
    """The object of `--json`: counts, policy by policy too, and where all is."""
    by_policy: dict[str, Counter[str]] = {}
    for row in report["sessions"]:
        by_policy.setdefault(row["policy"], Counter())[row["status"]] += 1
    return {
        "name": report["name"],
        "simulated": report["simulated"],
        "complete": report["complete"],
        "counts": report["counts"],
        "policies": [{"policy": policy, **counts} for policy, counts in by_policy.items()],
        "not_good": [
            {"session": row["session"], "status": row["status"], "reasons": row["reasons"]}
            for row in report["sessions"]
            if row["status"] not in ("done", "missing")
        ],
        "spent": report["spent"],
        "table": report.get("table"),
        "out": str(work.out),
    }


def _plan_as_json(plan: SweepPlan, engine: SweepEngine, disk: int, out: Path) -> dict[str, Any]:
    """The object of `--plan --json`."""
    return {
        "name": plan.file.name,
        "simulated": plan.simulated,
        "sessions": plan.sessions,
        "left_out": plan.left_out,
        "settings": dict(Counter(unit.setting.label for unit in plan.units for _ in unit.sessions)),
        "policies": dict(Counter(unit.policy.label for unit in plan.units for _ in unit.sessions)),
        "wall_s": round(engine.wall_s(plan.units), 1),
        "at_once": engine.at_once,
        "disk_bytes": disk,
        "notes": list(plan.notes),
        "out": str(out),
    }


def _planned(args: argparse.Namespace) -> SweepPlan:
    """All that the file asks for.

    Raises:
        TestbedError: options or a file that don't go together.
    """
    if args.strict and args.engine == Cluster.name:
        raise TestbedError(f"--strict: nodes don't stop each other; leave --engine {Cluster.name} out")
    if args.link and not args.simulate:
        raise TestbedError(f"--link {args.link} is a model of a link; add --simulate, or leave it out")
    file = read_sweep(args.file)
    if args.link and file.task == CALL:
        raise TestbedError(f"--link {args.link} is of videos, and {args.file} asks for calls; leave it out")
    return plan_sweep(file, simulated=args.simulate, link_model=args.link or PUBLISHED, strict=args.strict)


def _sweep(args: argparse.Namespace, words: Sequence[str], out: TextIO) -> int:
    console = person_console(out, args.json)
    plan = _planned(args)
    place = args.out or _default_out(plan)
    if not plan.units:
        raise TestbedError(f"{args.file}: no session is left for this engine: {'; '.join(plan.notes)}")
    engine = _engine(plan, args, words)
    only = _only(plan, args.only)
    if args.plan:
        now = [unit for unit in plan.units if not only or unit.setting.group in only]
        disk = _show_plan(console, plan, now, engine, place, plan.sessions - _players(now))
        if args.json:
            print(json.dumps(_plan_as_json(plan, engine, disk, place), allow_nan=False), file=out, flush=True)
        return 0
    engine.check()
    with SweepFolder(plan, place, only) as folder, page_of(place, args.serve_page, console):
        folder.remove_leftovers()
        _tell_damaged(console, folder)
        left = folder.pending()
        waiting = [unit for unit in folder.missing() if not folder.chosen(unit)]
        disk = _show_plan(console, plan, left, engine, place, _players(waiting))
        _check_room(place, disk)
        facts = _facts(folder, words, engine, left, disk)
        if left:
            engine.prepare(folder, facts, console)
        with SweepDisplay(console, engine.forecast(left)) as display:
            work = SweepWork(folder, facts, display)
            work.write()
            try:
                status = engine.run(work)
            finally:
                report = work.write().to_json()
        if status:
            raise SweepInterrupted(status)
        status = _finish(work, console, report)
        if args.json:
            print(json.dumps(_as_json(report, work), allow_nan=False), file=out, flush=True)
        return status


def _tell_damaged(console: Console, folder: SweepFolder) -> None:
    """Name the records that can't be read any more: their sessions are run again."""
    for fault in folder.damaged[:MOST_LISTED]:
        console.print(Text(f"damaged, so its session is played again: {fault}"), soft_wrap=True)
    if len(folder.damaged) > MOST_LISTED:
        console.print(Text(f"… and {len(folder.damaged) - MOST_LISTED} more such records"))


def _only(plan: SweepPlan, words: str | None) -> frozenset[str]:
    """The labels of `--only`."""
    known = list(dict.fromkeys(setting.group for setting in plan.settings))
    chosen = frozenset(word.strip() for word in words.split(",")) if words is not None else frozenset()
    if unknown := sorted(chosen - set(known)):
        raise TestbedError(
            f"--only {unknown[0]}: no such setting in {plan.file.name}; it has {', '.join(known)}"
        )
    return chosen


def _engine(plan: SweepPlan, args: argparse.Namespace, words: Sequence[str]) -> SweepEngine:
    if args.engine == CLUSTER:
        return Cluster(plan, args, words)
    return Computed(plan, args, words) if args.simulate else Emulated(plan, args, words)


def _players(units: Sequence[Unit]) -> int:
    return sum(unit.players for unit in units)


def _show_plan(
    console: Console, plan: SweepPlan, left: Sequence[Unit], engine: SweepEngine, out: Path, another_time: int
) -> int:
    """Print the plan; the bytes that are still to be written."""
    disk = sum(estimate.disk_bytes(unit, plan.simulated) for unit in left)
    for line in describe(plan, left, engine.describe(left), disk, out, another_time):
        console.print(Text(line), soft_wrap=True)
    return disk


def _facts(
    folder: SweepFolder, words: Sequence[str], engine: SweepEngine, left: Sequence[Unit], disk: int
) -> SweepFacts:
    """What is known of the commands, this one included."""
    before = folder.before or SweepState()
    spent = before.spent or {}
    return SweepFacts(
        engine=engine.name,
        begun_at=before.begun_at or utc_now(),
        commands=[*(before.commands or ()), command_entry(words)],
        estimate=dict(before.estimate)
        if before.estimate
        else {"sessions": folder.plan.sessions, "wall_s": round(engine.wall_s(left), 1), "disk_bytes": disk},
        lanes=dict(before.lanes) if before.lanes else None,
        wall_s=float(spent.get("wall_s", 0.0)),
        session_s=float(spent.get("session_s", 0.0)),
    )


class SweepInterrupted(Exception):
    """A signal came while sessions were streaming."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    args = parser().parse_args(words)
    with terminated_by(signal.SIGTERM, signal.SIGHUP), visible_output():
        return _carried_out(args, words)


def _carried_out(args: argparse.Namespace, words: Sequence[str]) -> int:
    """Run the sweep; what goes wrong is a line on stderr. Returns the exit status."""
    try:
        with kept_for_us() as out:  # what a policy prints may not mix with our lines
            return _sweep(args, words, out)
    except (TestbedError, PolicyError, TraceError, VideoError) as error:
        return refuse("sweep.py", error)
    except OSError as error:
        return refuse("sweep.py", f"{said_of(error)}; once that is mended the same command goes on")
    except SweepInterrupted as interrupted:
        print(INTERRUPTED, file=sys.stderr)
        return interrupted.status
    except KeyboardInterrupt as interrupt:
        print(INTERRUPTED, file=sys.stderr)
        return exit_status(interrupt)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which `hand_over` took away
    leave(main())

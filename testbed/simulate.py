"""Sessions without a network: each policy over each trace, computed by the simulated player.

    python testbed/simulate.py --traces 4g[0:100] --policy bba,robustmpc --out results/simulated

Nothing here needs root. Records and manifests are the emulator's, with `"simulated": true` and the
link model in them. The same command again goes on from the records that are there. Exit status: 0
done, 2 bad input or a session that cannot be computed, 130 or 143 when interrupted.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from testbed.process.handover import hand_over

    hand_over()

import argparse
import contextlib
import dataclasses
import json
import os
import re
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from analysis.bootstrap import mean_interval
from analysis.clusters import ClusterRule
from player.options import add_scoring_options
from player.policy import BY_FALLBACK
from player.qoe import QoE, SessionSummary
from player.real.live import silence
from player.record import FINISHED
from player.registry import PolicyError, load_policy
from player.simulated.link_published import RTT_MS, PublishedLink, refuse_loss
from player.simulated.session import CHUNKS, Link
from player.simulated.tcp.link import CONGESTION_CONTROL, QUEUE_MS, TcpLink
from player.video.built_in import load_video
from player.video.video import Video, VideoError
from testbed.process.console import person_console
from testbed.process.errors import TestbedError
from testbed.process.signals import exit_status, terminated_by
from testbed.session.options import (
    add_policy_option,
    add_tcp_options,
    add_video_options,
    asked_policies,
    scoring_of,
)
from testbed.session.trace_notes import delay_loss_notes, video_notes
from testbed.simulated.simulation import RunFacts, SessionToSimulate, carries_state, plan_jobs, run_jobs
from testbed.simulated.starts import Start, Starts, read_starts
from traces.commands import Parser, add_json_option, carried_out, leave
from traces.families.catalogue import default_video, resolve_many
from traces.ownership import make_directory
from traces.trace import Trace, TraceError

RESULTS = Path("results")
LONGEST_NAME = 200
"""Characters of a record's name; file systems take 255 bytes."""

PROGRESS_LINES = 10
"""On a pipe, so many in all."""


def _published_link(args: argparse.Namespace) -> Link:
    """The link of the public simulators.

    Raises:
        TestbedError: something that it has not was asked for.
    """
    asked = {
        "--queue-ms": args.queue_ms is not None,
        "--queue-bytes": args.queue_bytes is not None,
        "--cc": args.cc != CONGESTION_CONTROL,
        "--no-slow-start-after-idle": args.no_slow_start_after_idle,
        "--loss-pct": args.loss_pct != 0,
    }
    for option, given in asked.items():
        if given:
            raise TestbedError(f"{option}: the published link has no TCP and no queue; add --link tcp")
    if not 0 <= args.rtt_ms < float("inf"):
        raise TestbedError(f"--rtt-ms {args.rtt_ms}: must be 0 or more")
    return PublishedLink(noise=args.noise, rtt_ms=args.rtt_ms)


def _tcp_link(args: argparse.Namespace) -> Link:
    """The emulator's TCP, computed.

    Raises:
        TestbedError: figures that make no link.
    """
    if args.noise:
        raise TestbedError("--noise: the tcp link has none; it is the published link's")
    try:
        return TcpLink(
            rtt_ms=args.rtt_ms,
            queue_ms=QUEUE_MS if args.queue_ms is None else args.queue_ms,
            queue_bytes=args.queue_bytes,
            congestion_control=args.cc,
            slow_start_after_idle=not args.no_slow_start_after_idle,
            loss_pct=args.loss_pct,
        )
    except ValueError as error:
        raise TestbedError(str(error)) from None


LINKS: dict[str, Callable[[argparse.Namespace], Link]] = {"published": _published_link, "tcp": _tcp_link}
"""Link models by name."""


def parser() -> Parser:
    """The command line."""
    command = Parser(prog="simulate.py", description="Each policy over each trace, computed, not emulated.")
    _add_what(command.add_argument_group("what is streamed"))
    _add_who(command.add_argument_group("who decides"))
    _add_link(command.add_argument_group("link"))
    add_scoring_options(command)
    output = command.add_argument_group("output")
    output.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of records (default: results/simulated-TIME)"
    )
    output.add_argument("--jobs", type=int, metavar="N", help="processes at once (default: one for each CPU)")
    add_json_option(output)
    return command


def _add_what(what: Any) -> None:
    what.add_argument(
        "--traces",
        required=True,
        nargs="+",
        metavar="TRACES",
        help="families' members (4g[0:100], 4g/17), directories, or files in any known format",
    )
    what.add_argument("--format", metavar="NAME", help="the trace files' format (default: detected)")
    what.add_argument(
        "--starts",
        default="0",
        metavar="FILE|SEED|0",
        help="where in its trace each session begins: lines of `trace-name start_index`"
        " (at time[start_index-1]), drawn by a seed, or all at their beginning (default: 0)",
    )
    add_video_options(what)


def _add_who(who: Any) -> None:
    add_policy_option(who)
    who.add_argument(
        "--first-level",
        default="0",
        metavar="N|policy",
        help="the first chunk's level, or ask the policy as the emulator does (default: 0, as published)",
    )
    who.add_argument(
        "--seed",
        default="0",
        metavar="N[,N…]",
        help="of policies and noise; each makes sessions of its own (default: 0)",
    )


def _add_link(link: Any) -> None:
    link.add_argument(
        "--link",
        choices=list(LINKS),
        default="published",
        help="the public simulators' arithmetic, or the emulator's TCP (default: published)",
    )
    link.add_argument(
        "--rtt-ms",
        type=float,
        default=RTT_MS,
        metavar="MS",
        help=f"round trip; a trace's delays are added to it (default: {RTT_MS:g})",
    )
    link.add_argument(
        "--loss-pct",
        type=float,
        default=0.0,
        metavar="PCT",
        help="frames lost towards the player, besides those that the trace loses; tcp only",
    )
    link.add_argument(
        "--noise", action="store_true", help="multiply each download's time by U(0.9, 1.1); published only"
    )
    add_tcp_options(link)


@dataclass(frozen=True)
class SimulationPlan:
    """All sessions of a command."""

    sessions: tuple[SessionToSimulate, ...]
    facts: RunFacts
    out: Path
    processes: int
    qoe: QoE
    notes: tuple[str, ...]
    """What a person should know before."""


def plan_simulation(args: argparse.Namespace, arguments: Sequence[str]) -> SimulationPlan:
    """Check everything that can be checked before anything is made.

    Raises:
        TestbedError, PolicyError, TraceError, VideoError: what is wrong and the way out.
    """
    traces = _traces(args.traces, args.format)
    starts = read_starts(args.starts, [trace for _, trace in traces])
    videos = {trace.name: load_video(args.video or default_video(trace.family)) for _, trace in traces}
    qoe = scoring_of(args, videos.values())
    policies = _unique(asked_policies(args))
    with contextlib.redirect_stdout(sys.stderr):  # a user's file may print; stdout is for --json
        carrying = [name for name in policies if carries_state(load_policy(name))]
    seeds = _seeds(args.seed)
    out = args.out or RESULTS / f"simulated-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    link = LINKS[args.link](args)
    if isinstance(link, PublishedLink):
        _refuse_loss(trace for _, trace in traces)
    spec_of = {trace.name: spec for spec, trace in traces}
    same = partial(SessionToSimulate, link_name=args.link, link=link, qoe=qoe)
    sessions = tuple(
        same(
            policy=policy,
            start=start,
            trace_spec=spec_of[start.trace.name],
            video=videos[start.trace.name],
            chunks=_chunks(args.chunks, videos[start.trace.name]),
            first_level=_first_level(args.first_level, videos[start.trace.name]),
            run_seed=seed,
            record=out / _record_name(start, policy, seed if len(seeds) > 1 else None),
        )
        for policy in policies
        for seed in seeds
        for start in starts.starts
    )
    _check_names(sessions)
    notes = (
        *_notes(args, starts, carrying),
        *delay_loss_notes((trace for _, trace in traces), [args.rtt_ms], "--rtt-ms"),
        *video_notes(videos.values()),
    )
    return SimulationPlan(sessions, _facts(out, arguments), out, _processes(args.jobs), qoe, notes)


def _facts(out: Path, arguments: Sequence[str]) -> RunFacts:
    return RunFacts(
        run_id=out.name,
        started_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        command_line=("testbed/simulate.py", *arguments),
    )


def _refuse_loss(traces: Iterable[Trace]) -> None:
    """Raises TestbedError where a trace loses frames, which the `published` link can't."""
    for trace in traces:
        refuse_loss(trace)


def _traces(specs: Sequence[str], format: str | None) -> list[tuple[str, Trace]]:
    """(spec, trace) of all; names differ, because records, starts and pairs go by them."""
    found: dict[str, tuple[str, Trace]] = {}
    for spec in specs:
        for trace in resolve_many(spec, format):
            if trace.name in found:
                raise TestbedError(
                    f"two traces are named {trace.name} (of {found[trace.name][0]} and {spec});"
                    " simulate them into folders of their own, and compare the folders together"
                )
            found[trace.name] = spec, trace
    return list(found.values())


def _unique(policies: list[str]) -> list[str]:
    for policy in policies:
        if policies.count(policy) > 1:
            raise TestbedError(f"policy {policy} is given twice; a computed session comes out the same")
    return policies


def _seeds(text: str) -> list[int]:
    seeds = text.split(",")
    if not all(re.fullmatch(r"\s*\d{1,18}\s*", seed) for seed in seeds) or len(set(seeds)) < len(seeds):
        raise TestbedError(f"--seed {text}: expected whole numbers that differ, such as 0 or 0,1,2")
    return [int(seed) for seed in seeds]


def _chunks(asked: int | None, video: Video) -> int:
    chunks = min(CHUNKS, video.chunks) if asked is None else asked
    if chunks < 2:
        raise TestbedError(f"--chunks {chunks}: must be 2 or more, as the first does not count")
    return video.first(chunks).chunks


def _first_level(text: str, video: Video) -> int | None:
    if text == "policy":
        return None
    if not re.fullmatch(r"\d{1,9}", text) or int(text) >= video.levels:
        raise TestbedError(f"--first-level {text}: {video.name} has 0 to {video.levels - 1}; or `policy`")
    return int(text)


def _processes(asked: int | None) -> int:
    if asked is None:
        return len(os.sched_getaffinity(0))
    if asked < 1:
        raise TestbedError(f"--jobs {asked}: must be 1 or more")
    return asked


def _record_name(start: Start, policy: str, seed: int | None) -> str:
    """A file's name that says what is in it."""
    policy_word = re.sub(r"^[^:]*/(?=[^/:]+\.py(:|$))", "", policy)
    words = (start.trace.name, f"s{start.index}", policy_word, *(() if seed is None else (f"seed{seed}",)))
    return "_".join(re.sub(r"[^A-Za-z0-9.=+_-]+", "-", word).strip("-.") for word in words) + ".jsonl"


def _check_names(sessions: Sequence[SessionToSimulate]) -> None:
    names: dict[Path, SessionToSimulate] = {}
    for session in sessions:
        other = names.setdefault(session.record, session)
        if other is not session:
            raise TestbedError(
                f"{other.name} and {session.name} would share the file {session.record.name};"
                " simulate them into folders of their own"
            )
        if len(session.record.name) > LONGEST_NAME:
            raise TestbedError(
                f"{session.name}: its file's name is over {LONGEST_NAME} characters; rename it"
            )


def _notes(args: argparse.Namespace, starts: Starts, carrying: Sequence[str]) -> tuple[str, ...]:
    notes = [
        f"{name} carries state from session to session: its sessions run in order, in one process"
        for name in carrying
    ]
    if starts.unused:
        notes.append(
            f"{args.starts}: {len(starts.unused)} of its traces are not among --traces"
            f" ({', '.join(starts.unused[:3])}{', …' if starts.unused[3:] else ''})"
        )
    return tuple(notes)


class ProgressLine:
    """How many sessions are done: a bar on a terminal, a few lines on a pipe; on stderr."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._said = total, 0, 0
        console = Console(stderr=True)
        self._bar = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("simulating"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=console,
                transient=True,
            )
            self._task = self._bar.add_task("", total=total)

    def __enter__(self) -> ProgressLine:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, sessions: int) -> None:
        """So many more are done."""
        self._done += sessions
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done)
            return
        part = self._done * PROGRESS_LINES // max(self._total, 1)
        if part > self._said:
            self._said = part
            print(f"simulated {self._done} of {self._total} sessions", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class SimulatedOutcome:
    """What came of one session."""

    session: SessionToSimulate
    summary: SessionSummary


def carry_out(plan: SimulationPlan) -> list[SimulatedOutcome]:
    """Compute what is not there; all outcomes in the plan's order.

    Raises:
        TestbedError: see `plan_jobs` and `run_jobs`.
        OSError: a record cannot be written.
    """
    with contextlib.redirect_stdout(sys.stderr):
        jobs, summaries = plan_jobs(plan.sessions, plan.facts)
    for note in plan.notes:
        print(f"note: {note}", file=sys.stderr)
    if summaries:
        print(
            f"note: {len(summaries)} of {len(plan.sessions)} sessions are recorded already", file=sys.stderr
        )
    try:
        make_directory(plan.out)
    except OSError as error:
        raise TestbedError(f"--out {plan.out}: {error.strerror}; name a folder that can be written") from None
    with ProgressLine(len(plan.sessions) - len(summaries)) as progress:
        for written in run_jobs(jobs, plan.processes):
            summaries |= written
            progress.advance(len(written))
    return [SimulatedOutcome(session, summaries[session.record]) for session in plan.sessions]


def as_json(outcomes: Sequence[SimulatedOutcome], qoe: QoE, out: str) -> dict[str, Any]:
    """The object of `--json`: a line a policy, means over its sessions, the interval over traces."""
    rule = ClusterRule()
    policies = []
    for policy in dict.fromkeys(one.session.policy for one in outcomes):
        mine = [one for one in outcomes if one.session.policy == policy]
        interval = mean_interval(
            [_qoe(one) for one in mine], [rule.key(one.session.start.trace.name) for one in mine]
        )
        means = {
            name: statistics.fmean(getattr(one.summary, name) for one in mine)
            for name in (
                "bitrate_mbps",
                "stall_s_per_chunk",
                "stall_ratio",
                "smoothness_mbps",
                "startup_s",
                "switches",
            )
        }
        policies.append(
            {
                "policy": policy,
                "sessions": len(mine),
                "qoe": interval.mean,
                "qoe_ci95": interval.bounds,
                **means,
                "invalid": 0,
                "unfinished": sum(one.summary.outcome != FINISHED for one in mine),
                "fallback_chunks": sum(one.summary.decided_by.get(BY_FALLBACK, 0) for one in mine),
            }
        )
    return {
        "qoe": dataclasses.asdict(qoe),
        "link": outcomes[0].session.link_name,
        "simulated": True,
        "policies": policies,
        "out": out,
    }


def _qoe(outcome: SimulatedOutcome) -> float:
    """A computed session has two chunks or more, and so a QoE."""
    assert outcome.summary.qoe is not None
    return outcome.summary.qoe


def table(report: dict[str, Any], qoe: QoE) -> Table:
    """What a person sees of the report."""
    shown = Table(
        title=f"QoE: {qoe}; first chunk not counted; simulated, link {report['link']}",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    shown.add_column("policy")
    for name in (
        "sessions",
        "QoE",
        "95 % interval",
        "bitrate Mbit/s",
        "stall ratio",
        "stall s/chunk",
        "switches",
        "startup s",
    ):
        shown.add_column(name, justify="right")
    for one in report["policies"]:
        bounds = one["qoe_ci95"]
        cells = (
            one["policy"],
            str(one["sessions"]),
            f"{one['qoe']:.3f}",
            "-" if bounds is None else f"{bounds[0]:.3f} to {bounds[1]:.3f}",
            f"{one['bitrate_mbps']:.3f}",
            f"{100 * one['stall_ratio']:.2f} %",
            f"{one['stall_s_per_chunk']:.3f}",
            f"{one['switches']:.1f}",
            f"{one['startup_s']:.2f}",
        )
        shown.add_row(*map(Text, cells))
    return shown


def _report(plan: SimulationPlan, outcomes: Sequence[SimulatedOutcome], as_object: bool) -> None:
    report = as_json(outcomes, plan.qoe, str(plan.out))
    for one in report["policies"]:
        if one["fallback_chunks"]:
            print(
                f"note: {one['fallback_chunks']} chunks of {one['policy']} were decided by the fallback,"
                " as it raised or answered nonsense; the records say why",
                file=sys.stderr,
            )
    if as_object:
        print(json.dumps(report), flush=True)
        return
    console = person_console(sys.stdout, as_object=False)
    console.print(table(report, plan.qoe))
    console.print(Text(f"records: {plan.out}"), soft_wrap=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    args = parser().parse_args(words)
    with terminated_by(signal.SIGTERM):
        return _carried_out(args, words)


def _carried_out(args: argparse.Namespace, words: Sequence[str]) -> int:
    """Plan, simulate and report; what goes wrong is a line on stderr. Returns the exit status."""

    def work() -> int:
        plan = plan_simulation(args, words)
        _report(plan, carry_out(plan), args.json)
        return 0

    try:
        return carried_out(
            "simulate.py",
            work,
            (TestbedError, PolicyError, TraceError, VideoError),
            after="; nothing more was recorded",
            interrupted="interrupted; the same command with --out goes on from there",
            status_of=exit_status,
        )
    except BrokenPipeError:  # the reader left; the records are there
        silence(sys.stdout)
        return 0


if __name__ == "__main__":
    leave(main())

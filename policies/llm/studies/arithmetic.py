"""`arithmetic`: one model computed in two number formats, in one run: time through the server, and quality.

Two servers with the same adapter, one for each format, are asked in turns by the same simulated sessions, all
at the same moment; the ratio of their times is taken round by round, so that whatever else the machine does
meanwhile falls on both. Then the same sessions are simulated with both: how often the first would have
decided otherwise at the second one's observations, and what QoE each comes to, paired.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from player.video.built_in import load_video
from policies.bootstrap import mean_interval
from policies.llm.engine.engine import Engine
from policies.llm.serving.client import Address
from policies.llm.studies.bench import session_steps
from policies.llm.studies.light_clients import ask_all
from policies.llm.studies.through_server import TimeSpread, a_server
from policies.llm.tasks.ladder.play import BATCH, LadderEngine
from policies.llm.tasks.ladder.sets import SessionSet, engine_qoe
from policies.llm.tasks.ladder.task import TASK
from policies.llm.tasks.ladder.wire import VideoStep
from traces.progress import say
from traces.temporary import temporary_folder

VIDEO = "envivio"
AVX2_ONLY = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "NUMBA_CPU_NAME": "haswell",
}
"""What keeps torch, its libraries and numba from newer instructions than AVX2 and FMA."""


@dataclass(frozen=True)
class TimeRow:
    """Sessions that ask at the same moment, of both servers."""

    sessions: int
    first_ms: float
    """Median over rounds of a request's median, of the format that is looked at."""
    second_ms: float
    first_p99_ms: float
    second_p99_ms: float
    ratio: float
    """First over second, of medians, round by round: the median …"""
    worst_ratio: float
    """… and the greatest."""


@dataclass(frozen=True)
class QualityRow:
    """The same simulated sessions by both."""

    setting: str
    sessions: int
    decisions: int
    otherwise: float
    """Share of decisions that the first would have made otherwise, at the second's observations."""
    first_qoe: float
    second_qoe: float
    difference: float
    """First less second, of a session's QoE a chunk."""
    difference_ci95: tuple[float, float]
    sessions_changed: int


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure; what `--json` prints.

    Raises:
        ValueError, OSError: the model can't be loaded so.
        BenchError, AskingError: a server does not start, or doesn't answer.
    """
    with temporary_folder("streambed-arithmetic-") as folder:
        times = list(timed(args, folder)) if args.rounds else []
    quality = [compared(spec, args) for spec in args.traces]
    report = {
        "first": args.dtype,
        "second": args.beside,
        "threads": args.threads,
        "avx2_only": args.avx2,
        "rounds": args.rounds,
        "times": [asdict(row) for row in times],
        "quality": [asdict(row) for row in quality],
    }
    if not args.json:
        print("\n".join(lines(args.dtype, args.beside, times, quality)))
    return report


def timed(args: argparse.Namespace, folder: Path) -> Iterator[TimeRow]:
    """A row for each number of sessions."""
    video, most = load_video(VIDEO), max(args.sessions)
    context = TASK.usual_context(video)
    sessions = [(context, session_steps(video, seed)) for seed in range(min(most, 16))]
    environment = AVX2_ONLY if args.avx2 else {}
    with ExitStack() as servers:
        addresses = [
            servers.enter_context(
                a_server(
                    args.adapter,
                    ("--device", "cpu", "--dtype", dtype),
                    most,
                    args.threads,
                    folder / f"{place}.sock",
                    environment,
                )
            ).address
            for place, dtype in enumerate((args.dtype, args.beside))
        ]
        for number in args.sessions:
            yield _in_turns(addresses, number, sessions, args.rounds)
            say(f"{number} sessions at once: done")


def _in_turns(
    addresses: Sequence[Address],
    number: int,
    sessions: Sequence[tuple[Any, Sequence[VideoStep]]],
    rounds: int,
) -> TimeRow:
    """Each round asks both, the other one first in every second round."""
    asking = [sessions[place % len(sessions)] for place in range(number)]
    p50: list[list[float]] = [[], []]
    p99: list[list[float]] = [[], []]
    for turn in range(rounds + 1):
        for which in (0, 1) if turn % 2 else (1, 0):
            asked = TimeSpread.of(ask_all(addresses[which], TASK, asking).times_ms)
            if turn:  # the first warms up
                p50[which].append(asked.p50_ms)
                p99[which].append(asked.p99_ms)
    ratios = [first / second for first, second in zip(*p50, strict=True)]
    first_ms, second_ms = (median(each) for each in p50)
    first_p99_ms, second_p99_ms = (median(each) for each in p99)
    return TimeRow(number, first_ms, second_ms, first_p99_ms, second_p99_ms, median(ratios), max(ratios))


def compared(spec: str, args: argparse.Namespace) -> QualityRow:
    """Both formats over the same traces.

    Raises:
        TraceError: no such traces.
    """
    setting = SessionSet.on(spec, VIDEO)
    slots = 2 * min(BATCH, len(setting.setup))
    first, second = (
        Engine(
            TASK, args.adapter, device="cpu", slots=slots, max_steps=setting.chunks,
            threads=args.threads, dtype=dtype,
        )
        for dtype in (args.dtype, args.beside)
    )  # fmt: skip
    qoe = [engine_qoe(each, setting) for each in (first, second)]
    otherwise, decisions = decided_otherwise(first, second, setting)
    difference = qoe[0] - qoe[1]
    mean, low, high = mean_interval(difference, setting.lines)
    return QualityRow(
        setting.name,
        len(difference),
        decisions,
        otherwise / decisions,
        float(qoe[0].mean()),
        float(qoe[1].mean()),
        mean,
        (low, high),
        int((difference != 0).sum()),
    )


def decided_otherwise(looked_at: Engine, decides: Engine, setting: SessionSet) -> tuple[int, int]:
    """How many decisions the one would have made otherwise at the other one's observations; and all."""
    otherwise = decisions = 0
    for sessions, _ in setting.parts(BATCH):
        players = [LadderEngine(sessions, each) for each in (looked_at, decides)]
        while not sessions.done.all():
            would, does = (player.select() for player in players)
            otherwise += int((would != does).sum())
            decisions += len(does)
            sessions.step(does)
        for player in players:
            player.close()
    return otherwise, decisions


def lines(first: str, second: str, times: Sequence[TimeRow], quality: Sequence[QualityRow]) -> Iterator[str]:
    """The report for a person."""
    if times:
        yield f"through the server, ms a decision (p50 / p99), {first} and {second} in turns"
        yield f"sessions{first:>18}{second:>20}   times: median, worst"
    for time in times:
        yield (
            f"{time.sessions:8}{time.first_ms:9.1f} /{time.first_p99_ms:7.1f}"
            f"{time.second_ms:11.1f} /{time.second_p99_ms:7.1f}{time.ratio:13.2f}, {time.worst_ratio:.2f}"
        )
    for row in quality:
        yield (
            f"{row.setting}, {row.sessions} sessions: QoE a chunk {row.first_qoe:.4f} and"
            f" {row.second_qoe:.4f}, difference {row.difference:+.4f}"
            f" [{row.difference_ci95[0]:+.4f}, {row.difference_ci95[1]:+.4f}];"
            f" {row.otherwise:.2%} of {row.decisions} decisions otherwise, in {row.sessions_changed} sessions"
        )

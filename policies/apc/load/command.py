"""`load`: simulated players in real time against the server, more and more of them.

Three ways to decide: `llm` asks the model for every chunk, first come, first served; `apc` routes, and the
server keeps a budget; `light` asks nobody. *Full load* is the first at which `llm` takes `FULL_MS` on
average.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from player.defaults import CHUNKS
from player.qoe import Scoring
from player.video.built_in import load_video
from player.video.video import Video
from policies.apc.dynamic import Price
from policies.apc.light import Light
from policies.apc.load.client import Connections
from policies.apc.load.players import Observed, Workload, play
from policies.apc.load.report import (
    FULL_MS,
    HEADER,
    full_load,
    gap_line,
    gaps,
    line_of,
    row_of,
)
from policies.apc.names import APC, LIGHT_ONLY, LLM, RESERVE_MS
from policies.apc.policy import make_scheduler
from policies.apc.router import Router
from policies.apc.study.files import write_json
from policies.llm.task import DEFAULT
from policies.llm.tasks.ladder.task import TASK
from traces.bound_processes import die_with_parent
from traces.families.catalogue import default_video, resolve_many
from traces.ownership import make_directory
from traces.progress import say
from traces.temporary import temporary_folder
from traces.trace import Trace

LLM_DEADLINE_S = 5.0
"""Without a budget, as the player's own deadline."""
READY_WITHIN_S = 180.0


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Play every load in every way; what `--json` says.

    Raises:
        ValueError, OSError: something named can't be used, or the server does not start.
    """
    _check(args)
    rows: list[dict[str, Any]] = []
    seen: dict[tuple[int, int, str], Observed] = {}
    say(f"QoE a chunk: {_weights(args)}")
    say(HEADER)
    with temporary_folder("streambed-load-") as folder:
        for adapter, layers, random in _adapters(args, folder):
            for way in args.ways:
                for row, observed in _loads(args, way, adapter, layers, random, folder):
                    rows.append(row)
                    say(line_of(row))
                    if row["qoe"] is not None:
                        seen[layers, row["sessions"], way] = observed
    report = _report(args, rows, list(gaps(seen)))
    for difference in report["qoe_differences"]:
        say(gap_line(difference))
    for layers, sessions in report["full"].items():
        say(f"{layers} layers: full load (llm at {FULL_MS:g} ms on average) is {sessions or 'beyond these'}")
    if args.out is not None:
        make_directory(args.out)
        write_json(args.out / "load.json", report)
        from policies.apc.load.figure import draw

        draw(report, args.out / "load.png")
    return report


def _check(args: argparse.Namespace) -> None:
    """Raises ValueError for settings that no load has."""
    if not (0.0 < args.ramp_s < args.duration_s < math.inf):
        raise ValueError(
            f"--ramp-s {args.ramp_s:g}, --duration-s {args.duration_s:g}: expected 0 < ramp < duration"
        )
    if not (0.0 < args.budget_ms < math.inf):
        raise ValueError(f"--budget-ms {args.budget_ms:g}: must be positive")
    make_router(args, APC)


def _weights(args: argparse.Namespace) -> str:
    """What sessions are scored by, in words."""
    ladder_kbps = _video(resolve_many(args.traces)).ladder_kbps
    return Scoring().on(ladder_kbps).in_words(ladder_kbps)


def _report(
    args: argparse.Namespace, rows: list[dict[str, Any]], differences: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "rows": rows,
        "weights": _weights(args),
        "qoe_differences": differences,
        "full": {
            str(layers): full_load(rows, layers) for layers in dict.fromkeys(row["layers"] for row in rows)
        },
        "budget_ms": args.budget_ms,
        "traces": args.traces,
        "duration_s": args.duration_s,
        "light": args.light,
        "scheduler": args.scheduler,
        "dynamic": not args.static,
        "cores": len(os.sched_getaffinity(0)),
    }


def _adapters(args: argparse.Namespace, folder: Path) -> Iterator[tuple[Path, int, bool]]:
    """Folder, layers, and whether the weights are random."""
    from policies.llm.model.adapter import read
    from policies.llm.model.random import random_adapter

    own = read(args.adapter, TASK)
    place = (args.adapter or own.folder).absolute()
    for layers in args.layers or [own.shape.layers]:
        if layers == own.shape.layers:
            yield place, layers, False
        else:
            yield random_adapter(TASK, folder / f"layers-{layers}", own.shape.base, layers), layers, True


def make_router(args: argparse.Namespace, way: str) -> Router:
    """One session's.

    Raises:
        ValueError: no such scheduler or light policy.
    """
    if way == LLM:
        return Router(Light("bba"), make_scheduler("always", "bba", 0.5, None))
    if way == LIGHT_ONLY:
        return Router(Light(args.light), make_scheduler("never", args.light, 0.5, None))
    price = None if args.static else Price(args.budget_ms)
    return Router(Light(args.light), make_scheduler(args.scheduler, args.light, 0.5, None), price)


def _video(traces: Sequence[Trace]) -> Video:
    return load_video(default_video(traces[0].family or ""))


def _loads(
    args: argparse.Namespace,
    way: str,
    adapter: Path,
    layers: int,
    random: bool,
    folder: Path,
) -> Iterator[tuple[dict[str, Any], Observed]]:
    """A way to decide at every load."""
    traces = resolve_many(args.traces)
    video = _video(traces)
    asked_ms = args.budget_ms - min(RESERVE_MS, args.budget_ms / 10.0)
    deadline_s = LLM_DEADLINE_S if way == LLM else asked_ms / 1000.0
    budget_ms = None if way == LLM else args.budget_ms
    path = folder / f"{way}-{layers}.sock"
    context = (
        contextlib.nullcontext(None)
        if way == LIGHT_ONLY
        else served(path, adapter, max(args.sessions), args.threads, args.device, budget_ms)
    )
    with context:
        for sessions in args.sessions:
            workload = Workload(
                sessions, traces, video, CHUNKS, args.ramp_s, args.ramp_s / 2.0, args.duration_s, args.seed
            )  # fmt: skip
            observed = asyncio.run(
                _play(args, way, workload, None if way == LIGHT_ONLY else path, deadline_s)
            )
            yield row_of(observed, workload, way, layers, random, args.budget_ms), observed


async def _play(
    args: argparse.Namespace, way: str, workload: Workload, path: Path | None, deadline_s: float
) -> Observed:
    connections = None if path is None else Connections(path)
    try:
        return await play(workload, lambda: make_router(args, way), connections, deadline_s)
    finally:
        if connections is not None:
            connections.close()


@contextlib.contextmanager
def served(
    path: Path,
    adapter: Path,
    sessions: int,
    threads: int | None,
    device: str,
    budget_ms: float | None,
    within_s: float = READY_WITHIN_S,
    task: str = DEFAULT,
) -> Iterator[int]:
    """A server of one task at a socket while the context lasts; its process id.

    Raises:
        ValueError: it does not start, or is not ready in time.
    """
    words = [sys.executable, "-m", "policies.llm", "serve", "--task", f"{task}={adapter}"]
    words += ["--socket", str(path), "--device", device, "--max-sessions", str(sessions)]
    words += ["--max-waiting", str(max(2 * sessions, 256))]
    words += [] if threads is None else ["--threads", str(threads)]
    words += ["--first-come"] if budget_ms is None else ["--budget-ms", str(budget_ms)]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [*words, "--json"], stdout=subprocess.PIPE, stderr=said, text=True, preexec_fn=die_with_parent
        )
        try:
            _await_ready(process, said, within_s)
            yield process.pid
        finally:
            _stop(process)


def _await_ready(process: subprocess.Popen[str], said: IO[bytes], within_s: float) -> None:
    """Return once the server has said that it is ready.

    Raises:
        ValueError: it ended, or did not say so in time.
    """
    assert process.stdout is not None
    overdue = threading.Timer(within_s, process.kill)
    overdue.daemon = True
    overdue.start()
    line = process.stdout.readline()
    overdue.cancel()
    if not line and process.wait() == -signal.SIGKILL:
        raise ValueError(f"the server does not start: not ready within {within_s:g} s")
    if not line:
        said.seek(0)
        last = said.read().decode(errors="replace").strip().splitlines()[-1:]
        raise ValueError(f"the server does not start: {' '.join(last) or 'it says nothing'}")
    json.loads(line)


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGCONT)
    process.terminate()
    try:
        process.wait(10.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    assert process.stdout is not None
    process.stdout.close()

"""`python -m policies.llm bench`: what a decision costs, of the engine alone and through the server.

In one run, on the same steps: a step on the KV cache; the same contexts computed anew, by the same engine; a
window of 20 steps of 8 tokens through transformers, as NetLLM's public code computes for every decision
(`plm_special/models/rl_policy.py`: `max_length` 20, eight tokens a step, no cache); and the whole way of a
player's request, with all sessions asking at the same moment, their own time included. Sessions are
simulated ones that BBA plays, so that contexts grow as they do when streaming. Times do not depend on what
an adapter knows: `--base` and `--layers` measure a model of any shape, with a random one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from player.observation import Observation
from player.policy import Policy
from player.qoe import QoE, Scoring
from player.registry import load_policy
from player.simulated.link_published import PublishedLink
from player.simulated.session import CHUNKS, simulate
from player.video.built_in import load_video
from player.video.video import Video
from policies.bench import walk
from policies.llm.serving.batcher import LONGEST_QUEUE
from policies.llm.serving.client import Address, Client, RemoteSession
from policies.llm.serving.options import add_dtype_option
from policies.llm.serving.transcript import Transcript
from policies.llm.task import Vectors
from policies.llm.tasks.abr.features import VideoFacts
from policies.llm.tasks.abr.task import TASK
from policies.llm.tasks.abr.wire import VideoStep
from traces.bound_processes import die_with_parent
from traces.commands import add_json_option
from traces.numbers import count, counts
from traces.progress import say
from traces.temporary import temporary_folder

if TYPE_CHECKING:
    from policies.llm.engine.engine import Engine

WINDOW_TOKENS = 160
"""20 steps of 8: what NetLLM's public code feeds its model for every decision."""
WINDOW_TIMES = 20
FEW_SESSIONS = 4
"""Contexts are computed anew only up to so many at a time: it takes long."""
START_WITHIN_S = 180.0
DEADLINE_S = 60.0
"""Of a decision here: nothing is to be cut off that is to be measured."""


class BenchError(ValueError):
    """The server to be measured does not serve."""


@dataclass(frozen=True)
class TimeSpread:
    """Times of many decisions."""

    decisions: int
    p50_ms: float
    p99_ms: float

    @classmethod
    def of(cls, times_ms: Sequence[float]) -> TimeSpread:
        return cls(len(times_ms), *(float(each) for each in np.percentile(times_ms, (50, 99))))


@dataclass(frozen=True)
class EngineRow:
    """The engine alone, sessions in one batch."""

    sessions: int
    cached: TimeSpread
    anew: TimeSpread | None
    """The whole context computed at every step."""
    decisions_per_s: float
    """On the cache, at the median."""


@dataclass(frozen=True)
class ServerRow:
    """Through the socket, all sessions at the same moment."""

    sessions: int
    asked: TimeSpread
    """From the player's call to its answer."""
    mean_batch: float
    decisions_per_s: float


def add_parser(commands: Any) -> None:
    """Add this subcommand to an argparse `add_subparsers`."""
    command = commands.add_parser("bench", help="latency and cost of decisions")
    model = command.add_mutually_exclusive_group()
    model.add_argument("--adapter", type=Path, metavar="DIR", help="default: the shipped one")
    model.add_argument("--base", metavar="NAME", help="of a random adapter (default: the shipped one's)")
    command.add_argument(
        "--layers",
        type=count,
        metavar="N",
        help="of the base's first, with a random adapter (default: the adapter's; all of a --base)",
    )
    command.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: %(default)s"
    )
    add_dtype_option(command)
    command.add_argument(
        "--threads",
        type=count,
        metavar="N",
        help="of the model on the CPU (default: one for two cores)",
    )
    command.add_argument(
        "--sessions", type=counts, default=[1, 4, 16, 64], metavar="N[,N…]", help="default: 1,4,16,64"
    )
    command.add_argument(
        "--rounds",
        type=count,
        default=3,
        metavar="N",
        help="videos that each session plays (default: %(default)s)",
    )
    add_json_option(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure; what `--json` prints.

    Raises:
        ValueError, OSError: the model can't be loaded.
        BenchError: the server does not start.
    """
    with temporary_folder("streambed-bench-") as folder:
        return measured(args, folder)


def measured(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """As `run`; files may lie in `folder` meanwhile."""
    threads = args.threads if args.threads is not None else max(len(os.sched_getaffinity(0)) // 2, 1)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # before torch is imported
    from policies.llm.engine.engine import Engine

    video, most = load_video("envivio"), max(args.sessions)
    sessions = [session_steps(video, seed) for seed in range(min(most, 16))]
    adapter = chosen_adapter(args, folder / "random")
    begun_s = time.perf_counter()
    engine = Engine(TASK, adapter, device=args.device, slots=most, threads=threads, dtype=args.dtype)
    loading_s = time.perf_counter() - begun_s
    facts = VideoFacts.of(video)
    TASK.ready()
    vectors, features_ms = timed_features(facts, engine.info.target, sessions)
    engine_rows = []
    for number in args.sessions:
        engine_rows.append(engine_row(engine, number, vectors, args.rounds))
        say(f"engine, {number} sessions: {engine_rows[-1].cached.p50_ms:.1f} ms a batch")
    alone = next((row for row in engine_rows if row.sessions == 1), None)
    alone = alone or engine_row(engine, 1, vectors, args.rounds)
    window = window_spread(engine)
    memory = {"engine_mib": resident_mib(os.getpid()), **device_memory(engine)}
    server_rows, memory["server_mib"] = through_the_server(args, adapter, threads, facts, sessions, folder)
    report = {
        "served": asdict(engine.info),
        **machine(threads),
        "loading_s": loading_s,
        "features": asdict(features_ms),
        "engine": [asdict(row) for row in engine_rows],
        "random_adapter": adapter is not None and adapter != args.adapter,
        **beside_window(alone, window),
        "server": [asdict(row) for row in server_rows],
        "memory": memory,
    }
    if not args.json:
        print("\n".join(lines(report)))
    return report


def through_the_server(
    args: argparse.Namespace,
    adapter: Path | None,
    threads: int,
    facts: VideoFacts,
    sessions: Sequence[Sequence[VideoStep]],
    folder: Path,
) -> tuple[list[ServerRow], float]:
    """A row for each number of sessions, and the memory that the server had at most, MiB."""
    rows, most = [], max(args.sessions)
    words = ("--device", args.device, "--dtype", args.dtype)
    with a_server(adapter, words, most, threads, folder / "s.sock") as (process, address):
        for number in args.sessions:
            rows.append(server_row(address, facts, number, sessions, args.rounds))
            say(f"server, {number} sessions at once: {rows[-1].asked.p50_ms:.1f} ms")
        return rows, resident_mib(process.pid)


def machine(threads: int) -> dict[str, Any]:
    """What it was measured on."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "threads": threads,
        "load_average": os.getloadavg()[0],
    }


def beside_window(alone: EngineRow, window: TimeSpread) -> dict[str, Any]:
    """One session's step beside a whole window through transformers, and beside its own context anew."""
    assert alone.anew is not None
    return {
        "window": {"tokens": WINDOW_TOKENS, **asdict(window)},
        "alone": asdict(alone),
        "window_over_cached": window.p50_ms / alone.cached.p50_ms,
        "anew_over_cached": alone.anew.p50_ms / alone.cached.p50_ms,
    }


def chosen_adapter(args: argparse.Namespace, folder: Path) -> Path | None:
    """The adapter to measure with, None for the shipped one; where `--base` or another number of layers asks
    for it, a random one in `folder`.

    Raises:
        AdapterError, BaseError: it is not there.
    """
    from policies.llm.model.adapter import read
    from policies.llm.model.base import placed, resolve
    from policies.llm.model.random import random_adapter

    if args.base is not None:
        base = placed(args.base)
        return random_adapter(TASK, folder, base, args.layers or resolve(base).layers)
    own: Path | None = args.adapter
    shape = read(own, TASK).shape
    return (
        own if args.layers in (None, shape.layers) else random_adapter(TASK, folder, shape.base, args.layers)
    )


class _Watching:
    """A policy that keeps what another one saw."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.seen: list[Observation] = []

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        self._policy.reset(video, seed, qoe)

    def select(self, observation: Observation) -> Any:
        self.seen.append(observation)
        return self._policy.select(observation)


def session_steps(video: Video, seed: int) -> list[VideoStep]:
    """All steps of a session over a made-up trace."""
    watching = _Watching(load_policy("bba").policy)
    chunks = min(CHUNKS, video.chunks)
    simulate(
        video,
        walk(seed),
        watching,
        seed=seed,
        qoe=Scoring().on(video.ladder_kbps),
        link=PublishedLink(),
        chunks=chunks,
        first_level=None,
    )
    return [VideoStep.of(seen) for seen in watching.seen]


def timed_features(
    facts: VideoFacts, target: float | None, sessions: Sequence[Sequence[VideoStep]]
) -> tuple[list[Vectors], TimeSpread]:
    """(steps, width) of each session, and what making one row takes."""
    vectors, times_ms = [], []
    for steps in sessions:
        transcript, rows = Transcript(TASK, facts, target), []
        for step in steps:
            begun_s = time.perf_counter()
            rows.append(transcript.features([step]))
            times_ms.append(1000.0 * (time.perf_counter() - begun_s))
            transcript.append([step])
        vectors.append(np.concatenate(rows))
    return vectors, TimeSpread.of(times_ms)


def engine_row(engine: Engine, count: int, vectors: Sequence[Vectors], rounds: int) -> EngineRow:
    """Sessions that grow side by side, a batch a step."""
    cached = batch_times_ms(engine, engine.forward, count, vectors, rounds)
    anew = batch_times_ms(engine, engine.recompute, count, vectors, 1) if count <= FEW_SESSIONS else None
    spread = TimeSpread.of(cached)
    return EngineRow(count, spread, TimeSpread.of(anew) if anew else None, 1000.0 * count / spread.p50_ms)


def batch_times_ms(
    engine: Engine,
    forward: Callable[[list[tuple[int, Vectors]]], Vectors],
    count: int,
    vectors: Sequence[Vectors],
    rounds: int,
) -> list[float]:
    """What each batch takes."""
    times_ms = []
    for _ in range(rounds):
        slots = [engine.open() for _ in range(count)]
        for step in range(len(vectors[0])):
            work = [
                (slot, vectors[place % len(vectors)][step : step + 1]) for place, slot in enumerate(slots)
            ]
            begun_s = time.perf_counter()
            forward(work)
            times_ms.append(1000.0 * (time.perf_counter() - begun_s))
        for slot in slots:
            engine.close(slot)
    return times_ms


def window_spread(engine: Engine) -> TimeSpread:
    """A whole window through transformers, with nothing merged and nothing kept."""
    import torch

    from policies.llm.engine.whole import Whole

    adapter = engine.adapter
    base = adapter.base()
    device = torch.device(engine.info.device)
    dtype = torch.bfloat16 if engine.info.dtype == "bfloat16" else torch.float32
    whole = Whole(base, adapter.shape, adapter.tensors(), device, dtype, 1, WINDOW_TOKENS)
    tokens = torch.randn(WINDOW_TOKENS, base.width, device=device)
    times_ms = []
    with torch.inference_mode():
        for _ in range(WINDOW_TIMES + 1):
            begun_s = time.perf_counter()
            whole.forward([0], [0], [tokens]).float().cpu()
            times_ms.append(1000.0 * (time.perf_counter() - begun_s))
    return TimeSpread.of(times_ms[1:])


@contextmanager
def a_server(
    adapter: Path | None,
    options: Sequence[str],
    most: int,
    threads: int,
    path: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[tuple[subprocess.Popen[str], Address]]:
    """A server process of the same model, at a socket, that holds every session's request.

    Args:
        options: of `serve`, besides.
        most: sessions at once.
        environment: of the process, besides this one's.

    Raises:
        BenchError: it does not start.
    """
    words = ["serve", "--socket", str(path), *options, "--threads", str(threads)]
    words += ["--max-sessions", str(most), "--max-waiting", str(max(2 * most, LONGEST_QUEUE)), "--json"]
    if adapter is not None:
        words += ["--adapter", str(adapter)]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "policies.llm", *words],
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            env={**os.environ, **(environment or {})},
            preexec_fn=die_with_parent,
        )
        overdue = threading.Timer(START_WITHIN_S, process.kill)
        overdue.start()
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            overdue.cancel()
            if not line:
                status = process.wait()
                said.seek(0)
                last = said.read().decode(errors="replace").strip().splitlines()[-1:]
                raise BenchError(f"the server did not start: {' '.join(last) or f'exit status {status}'}")
            json.loads(line)
            yield process, Address.of(str(path))
        finally:
            overdue.cancel()
            process.terminate()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def server_row(
    address: Address, facts: VideoFacts, count: int, sessions: Sequence[Sequence[VideoStep]], rounds: int
) -> ServerRow:
    """Sessions that ask at the same moment, each over a connection of its own."""
    times_ms: list[float] = []
    batches: list[int] = []
    faults: list[BaseException] = []
    barrier = threading.Barrier(count)

    def play(place: int) -> None:
        steps = sessions[place % len(sessions)]
        try:
            for _ in range(rounds):
                session = RemoteSession(Client(address), TASK, facts, DEADLINE_S)
                for held in range(1, len(steps) + 1):
                    barrier.wait()
                    begun_s = time.perf_counter()
                    answer = session.decide(steps[:held])
                    times_ms.append(1000.0 * (time.perf_counter() - begun_s))
                    batches.append(answer.batch)
                session.end()
        except BaseException as error:
            faults.append(error)
            barrier.abort()

    players = [threading.Thread(target=play, args=(place,)) for place in range(count)]
    begun_s = time.perf_counter()
    for player in players:
        player.start()
    for player in players:
        player.join()
    took_s = time.perf_counter() - begun_s
    if faults:
        fault = next((each for each in faults if str(each)), faults[0])
        reason = " ".join(str(fault).split()) or type(fault).__name__
        raise BenchError(f"{count} sessions through the server: {reason}")
    return ServerRow(count, TimeSpread.of(times_ms), float(np.mean(batches)), len(times_ms) / took_s)


def resident_mib(pid: int) -> float:
    """The most memory that a process has had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024.0
    return 0.0


def device_memory(engine: Engine) -> dict[str, float]:
    """The most of a GPU's memory that the engine has had; nothing on a CPU."""
    import torch

    if not engine.info.device.startswith("cuda"):
        return {}
    return {"device_mib": torch.cuda.max_memory_allocated() / 2**20}


def lines(report: dict[str, Any]) -> Iterator[str]:
    """The report for a person."""
    served, window, memory = report["served"], report["window"], report["memory"]
    known = ", random adapter" if report["random_adapter"] else ""
    yield (
        f"{served['base']}, {served['layers']} layers, {served['parameters'] / 1e6:.1f}M parameters,"
        f" {served['tokens_per_step']} token{'s' * (served['tokens_per_step'] > 1)} a step, {served['dtype']}"
        f" on {served['device']}{known}, {report['threads']} of {report['cores']} cores, load"
        f" {report['load_average']:.1f}; loaded in {report['loading_s']:.1f} s"
    )
    features = report["features"]
    yield f"a step's input: {features['p50_ms']:.2f} / {features['p99_ms']:.2f} ms (median / p99)"
    yield ""
    yield f"{'':8}{'engine, ms a batch':>19}{'':46}through the server, ms, all at once"
    yield (
        f"sessions{'cached p50 / p99':>19}{'anew p50 / p99':>18}  times  decisions/s"
        f"{'p50 / p99':>18}  batch  decisions/s"
    )
    for engine, server in zip(report["engine"], report["server"], strict=True):
        cached, anew, asked = engine["cached"], engine["anew"], server["asked"]
        again = f"{anew['p50_ms']:8.1f} /{anew['p99_ms']:6.1f}" if anew else f"{'-':>16}"
        times = f"{anew['p50_ms'] / cached['p50_ms']:7.1f}" if anew else f"{'-':>7}"
        yield (
            f"{engine['sessions']:8}{cached['p50_ms']:9.1f} /{cached['p99_ms']:6.1f}  {again}{times}"
            f"{engine['decisions_per_s']:13.0f}{asked['p50_ms']:9.1f} /{asked['p99_ms']:7.1f}"
            f"{server['mean_batch']:7.1f}{server['decisions_per_s']:13.0f}"
        )
    yield ""
    yield (
        f"a window of {window['tokens']} tokens through transformers, as NetLLM's public code for every"
        f" decision: {window['p50_ms']:.1f} / {window['p99_ms']:.1f} ms,"
        f" {report['window_over_cached']:.1f} times one session's cached step;"
        f" the same engine anew {report['anew_over_cached']:.1f} times"
    )
    yield "memory: " + ", ".join(f"{name.removesuffix('_mib')} {mib:.0f} MiB" for name, mib in memory.items())

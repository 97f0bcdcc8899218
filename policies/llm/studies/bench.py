"""`python -m policies.llm bench`: what a decision costs, of the engine alone and through the server.

In one run, on the same steps: a step on the KV cache; the same contexts computed anew, by the same engine; a
window of 20 steps of 8 tokens through transformers, as NetLLM's public code computes for every decision
(`plm_special/models/rl_policy.py`: `max_length` 20, eight tokens a step, no cache); the whole way of a
player's request; and all sessions asking the server at once, again as soon as they are answered, with
clients that take little of the machine (`light_clients.py`). Engine and server are measured in turns, so
that their ratio holds on a machine that others use, too. Sessions are simulated ones that BBA plays, so that
contexts grow as they do when streaming. Times do not depend on what an adapter knows: `--base` and
`--layers` measure a model of any shape, with a random one.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from player.defaults import CHUNKS
from player.observation import Observation
from player.policy import Policy
from player.qoe import QoE, Scoring
from player.registry import load_policy
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.built_in import load_video
from player.video.video import Video
from policies.bench import walk
from policies.llm.arithmetic import add_dtype_option
from policies.llm.serving.client import Address
from policies.llm.serving.transcript import Transcript
from policies.llm.studies.light_clients import ask_all
from policies.llm.studies.through_server import (
    ServerRow,
    TimeSpread,
    a_server,
    player_spread,
    resident_mib,
    server_row,
)
from policies.llm.task import Task, Vectors
from policies.llm.tasks.ladder.task import TASK
from policies.llm.tasks.ladder.wire import VideoStep
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


@dataclass(frozen=True)
class EngineRow:
    """The engine alone, sessions in one batch."""

    sessions: int
    cached: TimeSpread
    anew: TimeSpread | None
    """The whole context computed at every step."""
    decisions_per_s: float
    """On the cache: the median of the runs."""


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
        "--runs",
        type=count,
        default=5,
        metavar="N",
        help="a video of each session in the engine, then one through the server (default: %(default)s)",
    )
    _add_tasks(command)
    add_json_option(command)
    command.set_defaults(run=run)


def _add_tasks(command: Any) -> None:
    command.add_argument(
        "--tasks",
        type=lambda text: text.split(","),
        default=[],
        metavar="NAME,…",
        help="one server for several tasks instead, beside one for each: memory, times, the same answers;"
        " --adapter holds them all (default: a random one)",
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure; what `--json` prints.

    Raises:
        ValueError, OSError: the model can't be loaded.
        BenchError: the server does not start.
    """
    with temporary_folder("streambed-bench-") as folder:
        if args.tasks:
            from policies.llm.studies.bench_tasks import measured_tasks

            return measured_tasks(args, folder)
        return measured(args, folder)


def measured(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """As `run`; files may lie in `folder` meanwhile."""
    threads = args.threads if args.threads is not None else max(len(os.sched_getaffinity(0)) // 2, 1)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # before torch is imported
    from policies.llm.engine.engine import Engine

    video, most = load_video("envivio"), max(args.sessions)
    sessions = [session_steps(video, seed) for seed in range(min(most, 16))]
    adapter = chosen_adapter(args, TASK, folder / "random")
    begun_s = time.perf_counter()
    engine = Engine(TASK, adapter, device=args.device, slots=most, threads=threads, dtype=args.dtype)
    loading_s = time.perf_counter() - begun_s
    context = TASK.usual_context(video)
    asked = [(context, steps) for steps in sessions]
    vectors, features_ms = timed_features(TASK, engine.info.target, asked)
    alone = engine_row(engine, 1, vectors, [batch_times_ms(engine, engine.forward, 1, vectors)])
    window = window_spread(engine)
    memory = {"engine_mib": resident_mib(os.getpid()), **device_memory(engine)}
    words = ("--device", args.device, "--dtype", args.dtype)
    with a_server(adapter, words, most, threads, folder / "s.sock") as served:
        player = player_spread(served.address, TASK, *asked[0])
        askers = [[asked[n % len(asked)] for n in range(number)] for number in args.sessions]
        rows = [side_by_side(engine, served.address, TASK, vectors, each, args.runs) for each in askers]
        memory["server_mib"] = served.resident_mib()
    report = {
        "served": asdict(engine.info),
        **machine(threads),
        "loading_s": loading_s,
        "features": asdict(features_ms),
        "engine": [asdict(row) for row, _ in rows],
        "random_adapter": adapter is not None and adapter != args.adapter,
        **beside_window(alone, window),
        "server": [asdict(row) for _, row in rows],
        "player": asdict(player),
        "memory": memory,
    }
    if not args.json:
        print("\n".join(lines(report)))
    return report


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


def chosen_adapter(args: argparse.Namespace, task: Task, folder: Path) -> Path | None:
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
        return random_adapter(task, folder, base, args.layers or resolve(base).layers)
    own: Path | None = args.adapter
    shape = read(own, task).shape
    return (
        own if args.layers in (None, shape.layers) else random_adapter(task, folder, shape.base, args.layers)
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


def sampled(number: int) -> tuple[Any, list[VideoStep]]:
    """Context and steps of the session over the made-up trace of that number."""
    video = load_video("envivio")
    return TASK.usual_context(video), session_steps(video, number)


def timed_features(
    task: Task, target: float | None, sessions: Sequence[tuple[Any, Sequence[VideoStep]]]
) -> tuple[list[Vectors], TimeSpread]:
    """(steps, width) of each session, and what making one row takes."""
    task.ready()
    vectors, times_ms = [], []
    for context, steps in sessions:
        transcript, rows = Transcript(task, context, target), []
        for step in steps:
            begun_s = time.perf_counter()
            rows.append(transcript.features([step]))
            times_ms.append(1000.0 * (time.perf_counter() - begun_s))
            transcript.append([step])
        vectors.append(np.concatenate(rows))
    return vectors, TimeSpread.of(times_ms)


def side_by_side(
    engine: Engine,
    address: Address,
    task: Task,
    vectors: Sequence[Vectors],
    asked: Sequence[tuple[Any, Sequence[VideoStep]]],
    runs: int,
) -> tuple[EngineRow, ServerRow]:
    """A video of each session in the engine, then one through the server, in turns."""
    count, run_ms, heard = len(asked), [], []
    for _ in range(runs):
        run_ms.append(batch_times_ms(engine, engine.forward, count, vectors))
        heard.append(ask_all(address, task, asked))
    rates = [(decisions_per_s(count, each), said) for each, said in zip(run_ms, heard, strict=True)]
    row = server_row(count, rates)
    say(f"{count} sessions: the server keeps up with {100.0 * row.of_engine:.0f} %")
    return engine_row(engine, count, vectors, run_ms), row


def engine_row(
    engine: Engine, count: int, vectors: Sequence[Vectors], runs_ms: Sequence[Sequence[float]]
) -> EngineRow:
    """What the batches of all runs took; contexts are computed anew in one more."""
    anew = batch_times_ms(engine, engine.recompute, count, vectors) if count <= FEW_SESSIONS else None
    cached = TimeSpread.of([each for run_ms in runs_ms for each in run_ms])
    rate = float(np.median([decisions_per_s(count, run_ms) for run_ms in runs_ms]))
    return EngineRow(count, cached, TimeSpread.of(anew) if anew else None, rate)


def decisions_per_s(count: int, times_ms: Sequence[float]) -> float:
    """Of batches of so many sessions, one after the other."""
    return 1000.0 * count * len(times_ms) / sum(times_ms)


def batch_times_ms(
    engine: Engine,
    forward: Callable[[list[tuple[int, Vectors]]], Vectors],
    count: int,
    vectors: Sequence[Vectors],
) -> list[float]:
    """What each batch takes of sessions that grow side by side, a batch a step."""
    times_ms = []
    slots = [engine.open() for _ in range(count)]
    for step in range(len(vectors[0])):
        work = [(slot, vectors[place % len(vectors)][step : step + 1]) for place, slot in enumerate(slots)]
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
    yield from _rows(report["engine"], report["server"])
    player, most_client_ms = report["player"], max(row["client_ms"] for row in report["server"])
    yield ""
    yield (
        f"one player through its own client: {player['p50_ms']:.1f} / {player['p99_ms']:.1f} ms;"
        f" the clients above take {most_client_ms:.2f} ms of a processor a decision at most"
    )
    yield (
        f"a window of {window['tokens']} tokens through transformers, as NetLLM's public code for every"
        f" decision: {window['p50_ms']:.1f} / {window['p99_ms']:.1f} ms,"
        f" {report['window_over_cached']:.1f} times one session's cached step;"
        f" the same engine anew {report['anew_over_cached']:.1f} times"
    )
    yield "memory: " + ", ".join(f"{name.removesuffix('_mib')} {mib:.0f} MiB" for name, mib in memory.items())


def _rows(engine_rows: Sequence[dict[str, Any]], server_rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The table of `lines`."""
    yield f"{'':8}{'engine, ms a batch':>19}{'':34}through the server, ms, all at once    of the engine's"
    yield (
        f"sessions{'cached p50 / p99':>19}{'anew p50 / p99':>18}  decisions/s"
        f"{'p50 / p99':>18}  batch  decisions/s  median / worst run"
    )
    for engine, server in zip(engine_rows, server_rows, strict=True):
        cached, anew, asked = engine["cached"], engine["anew"], server["asked"]
        again = f"{anew['p50_ms']:8.1f} /{anew['p99_ms']:6.1f}" if anew else f"{'-':>16}"
        yield (
            f"{engine['sessions']:8}{cached['p50_ms']:9.1f} /{cached['p99_ms']:6.1f}  {again}"
            f"{engine['decisions_per_s']:13.0f}{asked['p50_ms']:9.1f} /{asked['p99_ms']:7.1f}"
            f"{server['mean_batch']:7.1f}{server['decisions_per_s']:13.0f}"
            f"{100.0 * server['of_engine']:9.0f} / {100.0 * server['worst_of_engine']:.0f} %"
        )

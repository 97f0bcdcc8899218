"""`python -m policies.bench_batch`: how fast sessions are simulated, compiled and one step at a time.

One run measures on the same traces and video: chunks a second of the compiled batch under a random policy,
without observations, with them, and as a gymnasium vector environment; beside them the simulated player
and a bare loop in Python, which do the same arithmetic; then RobustMPC and the oracle, compiled. Drawing
of sessions and actions is part of the time; compiling is not, and is printed.
"""

from __future__ import annotations

if __name__ == "__main__":
    from traces.handover import hand_over

    hand_over()

    from policies.bench_batch_options import parser

    parser().parse_args()  # help and mistakes don't wait for the imports that follow

import argparse
import json
import math
import os
import platform
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import gymnasium
import numba
import numpy as np

import player.simulated.batch.gym_env
from player.buffer import CAP_MS, WAIT_STEP_MS
from player.observation import Observation
from player.qoe import QoE
from player.simulated.batch.features import Features
from player.simulated.batch.library import Library
from player.simulated.batch.sessions import Sessions, Setup
from player.simulated.batch.threads import cores
from player.simulated.link_published import PAYLOAD, RTT_MS, PublishedLink
from player.simulated.session import CHUNKS, simulate
from player.video.built_in import load_video
from player.video.video import Video, VideoError
from policies.bench_batch_options import parser
from policies.rules.batch_mpc import BatchMPC
from policies.rules.oracle import best_plan
from traces.commands import carried_out, exit_with
from traces.families.catalogue import resolve_many
from traces.totals import running_total
from traces.trace import Trace, TraceError

PLAN_SESSIONS = 100
"""Sessions that RobustMPC plays."""
ORACLE_SESSIONS = 20


@dataclass(frozen=True)
class SimulationRate:
    """One way to simulate under a random policy."""

    name: str
    chunks: int
    seconds: float
    compile_s: float
    """What its first, small use took more than nothing: compiling, or reading compiled code."""

    @property
    def per_s(self) -> float:
        return self.chunks / self.seconds


@dataclass(frozen=True)
class Planner:
    """A compiled policy over whole sessions."""

    name: str
    sessions: int
    chunks: int
    seconds: float
    slowest_s: float | None
    """Of one session; None where all are played at once."""
    mean_qoe: float
    unproven: int | None
    """Sessions whose plan may not be the best; None for a policy that promises nothing."""
    compile_s: float


@dataclass(frozen=True)
class World:
    """What everything is measured on."""

    traces: Sequence[Trace]
    video: Video
    sessions: int
    """In the batch."""
    seconds: float
    """Each way is measured for at least so long."""
    threads: int

    @property
    def chunks(self) -> int:
        return min(CHUNKS, self.video.chunks)

    def library(self) -> Library:
        return Library(self.traces, [self.video])


class Dice:
    """The random policy of the loops."""

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        self._random, self._levels = random.Random(seed), video.levels

    def select(self, observation: Observation) -> int:
        return int(self._random.random() * self._levels)


def measure_rates(world: World) -> list[SimulationRate]:
    """Chunks a second, the fastest way first."""
    return [
        _timed("batch", world, _batch(world, observe=False)),
        _timed("batch, observations", world, _batch(world, observe=True)),
        _timed("gymnasium vector", world, _vector(world)),
        _timed("Python, bare loop", world, lambda round: _bare_session(world, round)),
        _timed("Python, simulated player", world, lambda round: _played_session(world, round)),
    ]


def _timed(name: str, world: World, play: Callable[[int], int]) -> SimulationRate:
    """`play(round)` again and again; the first round only warms up."""
    begun = time.perf_counter()
    play(0)
    first_s = time.perf_counter() - begun
    begun, chunks, rounds = time.perf_counter(), 0, 0
    while (seconds := time.perf_counter() - begun) < world.seconds:
        rounds += 1
        chunks += play(rounds)
    return SimulationRate(name, chunks, seconds, max(first_s - seconds / rounds, 0.0))


def _batch(world: World, observe: bool) -> Callable[[int], int]:
    """A round is one whole session in each of the batch's places."""
    library, dice = world.library(), np.random.default_rng(0)
    features = Features(library.levels, world.chunks)
    sessions = Sessions(
        library, _draw(library, dice, world.sessions), chunks=world.chunks, threads=world.threads
    )
    everyone = np.arange(world.sessions)
    vectors = np.empty((world.sessions, len(features)), np.float32)

    def play(round: int) -> int:
        sessions.reset(everyone, _draw(library, dice, world.sessions))
        for _ in range(world.chunks - 1):
            if observe:
                features.fill(sessions, vectors)
            sessions.step(dice.integers(library.levels, size=world.sessions))
        return world.sessions * world.chunks

    return play


def _draw(library: Library, dice: np.random.Generator, sessions: int) -> Setup:
    trace = dice.integers(len(library.traces), size=sessions)
    return Setup.of(sessions, trace=trace, start_index=dice.integers(1, library.points()[trace]))


def _vector(world: World) -> Callable[[int], int]:
    """A round is as many steps as an episode has, autoreset included."""
    envs = gymnasium.make_vec(
        player.simulated.batch.gym_env.ID,
        num_envs=world.sessions,
        traces=list(world.traces),
        video=world.video,
        chunks=world.chunks,
        threads=world.threads,
    )
    dice = np.random.default_rng(0)
    envs.reset(seed=0)

    def play(round: int) -> int:
        for _ in range(world.chunks):
            envs.step(dice.integers(world.video.levels, size=world.sessions))
        return world.sessions * world.chunks

    return play


def _played_session(world: World, round: int) -> int:
    trace = world.traces[round % len(world.traces)]
    simulate(world.video, trace, Dice(), seed=round, qoe=QoE(), link=PublishedLink(), chunks=world.chunks)
    return world.chunks


def _bare_session(world: World, round: int) -> int:
    trace, dice = world.traces[round % len(world.traces)], random.Random(round)
    bare_loop(
        trace, world.video, [0, *(int(dice.random() * world.video.levels) for _ in range(world.chunks - 1))]
    )
    return world.chunks


def bare_loop(trace: Trace, video: Video, levels: Sequence[int], qoe: QoE | None = None) -> float:
    """Sum of QoE without the first chunk's: the arithmetic alone, as public simulators write it."""
    weights = qoe if qoe is not None else QoE()
    quality = weights.quality(video.ladder_kbps)
    time_s, speeds = trace.time_s, [rate * 1_000_000.0 / 8.0 for rate in trace.rate_mbps]
    index, at_s, buffer_ms, total, chunk_ms, before = 1, 0.0, 0.0, 0.0, video.chunk_s * 1000.0, levels[0]
    for chunk, level in enumerate(levels):
        size, sent, took_s = video.sizes_bytes[chunk][level], 0.0, 0.0
        while True:
            speed, left_s = speeds[index], time_s[index] - at_s
            payload = speed * left_s * PAYLOAD
            if sent + payload > size:
                part_s = (size - sent) / speed / PAYLOAD
                at_s += part_s
                took_s += part_s
                break
            sent += payload
            took_s += left_s
            at_s = time_s[index]
            index += 1
            if index >= len(time_s):
                index, at_s = 1, 0.0
        delay_ms = took_s * 1000.0 + RTT_MS
        if chunk:
            stall_ms = max(delay_ms - buffer_ms, 0.0)
            change = abs(quality[level] - quality[before])
            total += quality[level] - weights.mu * (stall_ms / 1000.0) - weights.smooth * change
        buffer_ms = max(buffer_ms - delay_ms, 0.0) + chunk_ms
        before = level
        if buffer_ms > CAP_MS:
            wait_ms = math.ceil((buffer_ms - CAP_MS) / WAIT_STEP_MS) * WAIT_STEP_MS
            buffer_ms -= wait_ms
            while (left_s := time_s[index] - at_s) <= wait_ms / 1000.0:
                wait_ms -= left_s * 1000.0
                at_s = time_s[index]
                index += 1
                if index >= len(time_s):
                    index, at_s = 1, 0.0
            at_s += wait_ms / 1000.0
    return total


def measure_mpc(world: World) -> Planner:
    """RobustMPC over `PLAN_SESSIONS` sessions, all at once."""
    library = world.library()
    begun = time.perf_counter()
    _play_mpc(world, library, 1)
    warm_s = time.perf_counter() - begun
    begun = time.perf_counter()
    total = _play_mpc(world, library, PLAN_SESSIONS)
    seconds = time.perf_counter() - begun
    mean = total / PLAN_SESSIONS / (world.chunks - 1)
    return Planner("robustmpc", PLAN_SESSIONS, world.chunks, seconds, None, mean, None, warm_s)


def _play_mpc(world: World, library: Library, count: int) -> float:
    setup = Setup.of(count, trace=np.arange(count) % len(library.traces))
    sessions = Sessions(library, setup, chunks=world.chunks, threads=world.threads)
    mpc, total = BatchMPC(sessions), 0.0
    while not sessions.done.all():
        sessions.step(mpc.select())
        total += float(sessions.state.reward.sum())
    return total


def measure_oracle(world: World) -> Planner:
    """The oracle over `ORACLE_SESSIONS` sessions, one after the other on one core."""

    def plan(trace: Trace) -> tuple[float, float, bool]:
        begun = time.perf_counter()
        found = best_plan(world.video, trace, PublishedLink(), QoE(), chunks=world.chunks)
        return time.perf_counter() - begun, found.mean, found.gap > 1e-6

    warm_s, _, _ = plan(world.traces[0])
    found = [plan(world.traces[session % len(world.traces)]) for session in range(ORACLE_SESSIONS)]
    took_s, means, unproven = zip(*found, strict=True)
    return Planner(
        "oracle",
        ORACLE_SESSIONS,
        world.chunks,
        running_total(took_s),
        max(took_s),
        running_total(means) / ORACLE_SESSIONS,
        sum(unproven),
        warm_s,
    )


def machine() -> dict[str, str | float]:
    """What was measured on."""
    model = platform.processor() or platform.machine()
    names = Path("/proc/cpuinfo")
    if names.is_file():
        for line in names.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {
        "cpu": model,
        "cores": cores(),
        "load_before": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    top = parser()
    options = top.parse_args(arguments)
    if options.sessions < 1 or options.threads < 1 or not options.seconds > 0:
        top.error("--sessions and --threads must be 1 or more, --seconds above 0")
    return carried_out(top.prog, lambda: _run(options), (TraceError, VideoError))


def _run(options: argparse.Namespace) -> int:
    traces, video = resolve_many(options.traces), load_video(options.video)
    if video.chunks < 2:
        raise VideoError(f"{video.name}: one chunk; two or more are needed, as the first does not count")
    world = World(traces, video, options.sessions, options.seconds, options.threads)
    about = machine()
    rates, planners = measure_rates(world), [measure_mpc(world), measure_oracle(world)]
    if options.json:
        print(
            json.dumps(
                {
                    "machine": about,
                    "traces": options.traces,
                    "video": video.name,
                    "batch_sessions": world.sessions,
                    "threads": world.threads,
                    "rates": [{**asdict(rate), "chunks_per_s": rate.per_s} for rate in rates],
                    "planners": [asdict(planner) for planner in planners],
                }
            )
        )
        return 0
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    _print_tables(options.traces, video, world, rates, planners)
    return 0


def _print_tables(
    words: Sequence[str],
    video: Video,
    world: World,
    rates: Sequence[SimulationRate],
    planners: Sequence[Planner],
) -> None:
    work = f"{words}, {video.name}, {world.chunks} chunks"
    print(f"{work}, {world.sessions} sessions, {world.threads} threads\n")
    bare, played = rates[-2].per_s, rates[-1].per_s
    print(f"{'random policy':<28}{'chunks/s':>14}{'x bare loop':>14}{'x player':>12}{'compile s':>12}")
    for rate in rates:
        print(
            f"{rate.name:<28}{rate.per_s:>14,.0f}{rate.per_s / bare:>14.1f}{rate.per_s / played:>12.1f}"
            f"{rate.compile_s:>12.2f}"
        )
    heads = f"{'sessions':>10}{'all s':>10}{'slowest s':>12}{'mean QoE':>11}{'unproven':>10}{'compile s':>12}"
    print(f"\n{'planner':<14}{heads}")
    for each in planners:
        slowest = "-" if each.slowest_s is None else f"{each.slowest_s:.3f}"
        unproven = "-" if each.unproven is None else str(each.unproven)
        print(
            f"{each.name:<14}{each.sessions:>10}{each.seconds:>10.3f}{slowest:>12}{each.mean_qoe:>11.4f}"
            f"{unproven:>10}{each.compile_s:>12.2f}"
        )


if __name__ == "__main__":
    exit_with(main)

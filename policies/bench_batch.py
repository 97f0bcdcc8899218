"""`python -m policies.bench_batch`: how fast sessions are simulated, compiled and one step at a time.

One run measures on the same traces and video: chunks a second of the compiled batch under a random policy,
without observations, with them, and as a gymnasium vector environment; beside them the simulated player
and a bare loop in Python, which do the same arithmetic; then RobustMPC and the oracle, compiled. Drawing
of sessions and actions is part of the time; compiling is not, and is printed. All ways are measured in turn
and several times; ratios are of one turn each, and the worst stands beside the median.

With `--drawn` every session is of another kind (`policies/bench_batch_drawn.py`), in all ways alike.
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
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import gymnasium
import numba
import numpy as np

import player.simulated.batch.gym_env
from player.buffer import CAP_MS, WAIT_STEP_MS
from player.compiled.threads import cores
from player.defaults import CHUNKS, RTT_MS
from player.observation import Observation
from player.qoe import QoE, Scoring
from player.simulated.batch.features import Features
from player.simulated.batch.library import KINDS, Ints, Library
from player.simulated.batch.sessions import Sessions, Setup
from player.simulated.link_published import PAYLOAD, PublishedLink
from player.simulated.session import simulate
from player.video.built_in import load_video
from player.video.video import Video, VideoError
from policies.bench_batch_drawn import MOST_CHUNKS, draw_setup, drawn_library
from policies.bench_batch_options import parser
from policies.rules.batch_mpc import BatchMPC
from policies.rules.oracle import best_plan
from traces.commands import carried_out, exit_with
from traces.families.catalogue import resolve_many
from traces.totals import running_total
from traces.trace import Trace, TraceError

BARE, PLAYED = "Python, bare loop", "Python, simulated player"
RENEWED_EVERY = 8
"""Steps of a batch after which sessions that are over begin anew."""
LOOP_SESSIONS = 512
"""Sessions that the loops in Python play in turn."""
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
    """Of all sessions that are not drawn."""
    sessions: int
    """In the batch."""
    seconds: float
    """Each way is measured for at least so long."""
    threads: int
    drawn: bool = False
    """Whether each session has a video and all else of its own."""

    @property
    def chunks(self) -> int:
        return MOST_CHUNKS if self.drawn else min(CHUNKS, self.video.chunks)

    def library(self) -> Library:
        return drawn_library(self.traces) if self.drawn else Library(self.traces, [self.video])

    def draw(self, library: Library, random: np.random.Generator, sessions: int) -> Setup:
        """So many sessions."""
        if self.drawn:
            return draw_setup(library, random, sessions)
        trace = random.integers(len(library.traces), size=sessions)
        start = random.integers(1, library.points()[trace])
        return Setup.of(sessions, trace=trace, start_index=start, chunks=self.chunks)


class Dice:
    """The random policy of the loops."""

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        self._random, self._levels = random.Random(seed), video.levels

    def select(self, observation: Observation) -> int:
        return int(self._random.random() * self._levels)


@dataclass(frozen=True)
class WayRates:
    """One way in all turns."""

    turns: tuple[SimulationRate, ...]
    to_bare: tuple[float, ...]
    """Times as many chunks a second as the bare loop of the same turn."""

    @property
    def middle(self) -> SimulationRate:
        """The turn of the median rate."""
        return sorted(self.turns, key=lambda turn: turn.per_s)[len(self.turns) // 2]


def measure_rates(world: World, turns: int) -> list[WayRates]:
    """Chunks a second, the fastest way first."""
    ways = {
        "batch": _batch(world, observe=False),
        "batch, observations": _batch(world, observe=True),
        "gymnasium vector": None if world.drawn else _vector(world),  # drawn ladders have no one action space
        BARE: _bare_sessions(world),
        PLAYED: _played_sessions(world),
    }
    plays = {name: play for name, play in ways.items() if play is not None}
    found: dict[str, list[SimulationRate]] = {name: [] for name in plays}
    for _ in range(turns):
        for name, play in plays.items():
            found[name].append(_timed(name, world, play))
    bare = [turn.per_s for turn in found[BARE]]
    return [
        WayRates(tuple(of_way), tuple(turn.per_s / other for turn, other in zip(of_way, bare, strict=True)))
        for of_way in found.values()
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
    """A round is as many steps as a session may have; sessions that are over begin anew."""
    library, dice = world.library(), np.random.default_rng(0)
    features = Features(library.levels, world.chunks)
    setup = world.draw(library, dice, world.sessions)
    sessions = Sessions(library, setup, chunks=world.chunks, threads=world.threads)
    vectors = np.empty((world.sessions, len(features)), np.float32)
    renewed_every = RENEWED_EVERY if world.drawn else world.chunks

    def choose() -> Ints:
        if not world.drawn:
            return dice.integers(library.levels, size=world.sessions)
        ladders = library.packed.levels[sessions.state.video]
        return np.asarray((dice.random(world.sessions, np.float32) * ladders).astype(np.int64))

    def play(round: int) -> int:
        begun, chunks = int(sessions.state.chunk.sum()), 0
        for step in range(world.chunks - 1):
            if step % renewed_every == 0:
                over = np.flatnonzero(sessions.done)
                chunks += int(sessions.state.chunk[over].sum())
                sessions.reset(over, world.draw(library, dice, len(over)))
            if observe:
                features.fill(sessions, vectors)
            sessions.step(choose())
        return chunks + int(sessions.state.chunk.sum()) - begun

    return play


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


def _played_sessions(world: World) -> Callable[[int], int]:
    """A round is one session of the simulated player."""
    library = world.library()
    setup = world.draw(library, np.random.default_rng(0), LOOP_SESSIONS).on(library, world.chunks)

    def play(round: int) -> int:
        at = round % LOOP_SESSIONS
        rows, _ = simulate(
            library.videos[setup.video[at]],
            library.traces[setup.trace[at]],
            Dice(),
            seed=round,
            qoe=_qoe(setup, at),
            link=PublishedLink(rtt_ms=float(setup.rtt_ms[at])),
            start_index=int(setup.start_index[at]),
            chunks=int(setup.chunks[at]),
            cap_ms=float(setup.cap_ms[at]),
        )
        return len(rows)

    return play


def _bare_sessions(world: World) -> Callable[[int], int]:
    """A round is one session of the bare loop."""
    library = world.library()
    setup = world.draw(library, np.random.default_rng(0), LOOP_SESSIONS).on(library, world.chunks)
    qoes = [_qoe(setup, at) for at in range(LOOP_SESSIONS)]
    lists = setup.start_index.tolist(), setup.rtt_ms.tolist(), setup.cap_ms.tolist()
    places, chunks = [Place(*each) for each in zip(*lists, strict=True)], setup.chunks.tolist()

    def play(round: int) -> int:
        at, dice = round % LOOP_SESSIONS, random.Random(round)
        video, trace = library.videos[setup.video[at]], library.traces[setup.trace[at]]
        levels = [0, *(int(dice.random() * video.levels) for _ in range(chunks[at] - 1))]
        bare_loop(trace, video, levels, qoes[at], places[at])
        return len(levels)

    return play


def _qoe(setup: Setup, at: int) -> QoE:
    return QoE(KINDS[setup.kind[at]], float(setup.mu[at]), float(setup.smooth[at]))


class Place(NamedTuple):
    """Where in the trace a session begins, its round trip and its buffer's cap."""

    start_index: int = 1
    rtt_ms: float = RTT_MS
    cap_ms: float = CAP_MS


def bare_loop(
    trace: Trace, video: Video, levels: Sequence[int], qoe: QoE | None = None, place: Place | None = None
) -> float:
    """Sum of QoE without the first chunk's: the arithmetic alone, as public simulators write it."""
    weights = qoe or Scoring().on(video.ladder_kbps)
    index, rtt_ms, cap_ms = place or Place()
    quality, before = weights.quality(video.ladder_kbps), levels[0]
    time_s, speeds = trace.time_s, [rate * 1_000_000.0 / 8.0 for rate in trace.rate_mbps]
    at_s, buffer_ms, total, chunk_ms = time_s[index - 1], 0.0, 0.0, video.chunk_s * 1000.0
    for chunk, level in enumerate(levels):
        size, sent, took_s = video.sizes_bytes[chunk][level], 0.0, 0.0
        while True:
            speed, left_s = speeds[index], time_s[index] - at_s
            payload = speed * left_s * PAYLOAD
            if sent + payload > size:
                part_s = (size - sent) / speed / PAYLOAD
                at_s, took_s = at_s + part_s, took_s + part_s
                break
            sent, took_s = sent + payload, took_s + left_s
            at_s = time_s[index]
            index += 1
            if index >= len(time_s):
                index, at_s = 1, 0.0
        delay_ms = took_s * 1000.0 + rtt_ms
        if chunk:
            stall_ms = max(delay_ms - buffer_ms, 0.0)
            change = abs(quality[level] - quality[before])
            total += quality[level] - weights.mu * (stall_ms / 1000.0) - weights.smooth * change
        buffer_ms = max(buffer_ms - delay_ms, 0.0) + chunk_ms
        before = level
        if buffer_ms > cap_ms:
            wait_ms = math.ceil((buffer_ms - cap_ms) / WAIT_STEP_MS) * WAIT_STEP_MS
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
        qoe = Scoring().on(world.video.ladder_kbps)
        found = best_plan(world.video, trace, PublishedLink(), qoe, chunks=world.chunks)
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
    if options.sessions < 1 or options.threads < 1 or options.turns < 1 or not options.seconds > 0:
        top.error("--sessions, --threads and --turns must be 1 or more, --seconds above 0")
    return carried_out(top.prog, lambda: _run(options), (TraceError, VideoError))


def _run(options: argparse.Namespace) -> int:
    traces, video = resolve_many(options.traces), load_video(options.video)
    if video.chunks < 2:
        raise VideoError(f"{video.name}: one chunk; two or more are needed, as the first does not count")
    world = World(traces, video, options.sessions, options.seconds, options.threads, options.drawn)
    about = machine()
    rates = measure_rates(world, options.turns)
    planners = [] if world.drawn else [measure_mpc(world), measure_oracle(world)]
    if options.json:
        print(
            json.dumps(
                {
                    "machine": about,
                    "traces": options.traces,
                    "video": video.name,
                    "batch_sessions": world.sessions,
                    "threads": world.threads,
                    "drawn": world.drawn,
                    "rates": [
                        {
                            **asdict(way.middle),
                            "chunks_per_s": way.middle.per_s,
                            "turns": [turn.per_s for turn in way.turns],
                            "to_bare": way.to_bare,
                        }
                        for way in rates
                    ],
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
    rates: Sequence[WayRates],
    planners: Sequence[Planner],
) -> None:
    what = "everything drawn" if world.drawn else f"{video.name}, {world.chunks} chunks"
    print(
        f"{words}, {what}, {world.sessions} sessions, {world.threads} threads, {len(rates[0].turns)} turns\n"
    )
    played = rates[-1].middle.per_s
    heads = f"{'x bare loop':>14}{'worst turn':>12}{'x player':>12}{'compile s':>12}"
    print(f"{'random policy':<28}{'chunks/s':>14}{heads}")
    for way in rates:
        print(
            f"{way.middle.name:<28}{way.middle.per_s:>14,.0f}{statistics.median(way.to_bare):>14.1f}"
            f"{min(way.to_bare):>12.1f}{way.middle.per_s / played:>12.1f}{way.turns[0].compile_s:>12.2f}"
        )
    if planners:
        _print_planners(planners)


def _print_planners(planners: Sequence[Planner]) -> None:
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

"""`python -m policies.bench`: how long a decision takes, policy by policy, over simulated sessions."""

from __future__ import annotations

if __name__ == "__main__":
    from traces.handover import hand_over

    hand_over()

import argparse
import json
import math
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from player.commands.options import add_video_option
from player.defaults import CHUNKS
from player.observation import Observation
from player.policy import Decision, Policy
from player.qoe import QoE, Scoring
from player.registry import PolicyError, load_policy, split_policies
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.built_in import load_video
from player.video.video import Video, VideoError
from traces.commands import Parser, add_json_option, carried_out, exit_with
from traces.trace import Trace

TRACE_S = 240
MEAN_MBPS = 2.0
KEEP, SHAKE = 0.9, 0.35
"""An autoregressive walk of the rate's logarithm, 1-s steps: enough change to keep a policy busy."""


@dataclass(frozen=True)
class DecisionTimes:
    """Decision times of one policy."""

    policy: str
    decisions: int
    median_ms: float
    p99_ms: float
    max_ms: float


class Stopwatch:
    """A policy with a stopwatch around `select`."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.took_ms: list[float] = []

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        self._policy.reset(video, seed, qoe)

    def select(self, observation: Observation) -> Decision | int:
        begun = time.perf_counter()
        decision = self._policy.select(observation)
        self.took_ms.append(1000.0 * (time.perf_counter() - begun))
        return decision


def walk(seed: int) -> Trace:
    """A made-up trace, the same for a seed everywhere."""
    dice = random.Random(seed)
    log, rates = 0.0, [MEAN_MBPS]
    for _ in range(TRACE_S):
        log = KEEP * log + SHAKE * dice.gauss(0.0, 1.0)
        rates.append(MEAN_MBPS * math.exp(log))
    return Trace(f"walk/{seed}", tuple(map(float, range(TRACE_S + 1))), tuple(rates))


def measure(specs: Sequence[str], video: Video, sessions: int, qoe: QoE) -> Iterator[DecisionTimes]:
    """Time every decision of each policy over `sessions` sessions.

    Raises:
        PolicyError: a policy that cannot be had.
    """
    chunks = min(CHUNKS, video.chunks)
    for spec in specs:
        timed = Stopwatch(load_policy(spec).policy)
        for seed in range(sessions):
            simulate(video, walk(seed), timed, seed=seed, qoe=qoe, link=PublishedLink(), chunks=chunks)
        ordered = sorted(timed.took_ms)
        p99_ms = ordered[math.ceil(0.99 * len(ordered)) - 1]
        yield DecisionTimes(spec, len(ordered), statistics.median(ordered), p99_ms, ordered[-1])


def parser() -> Parser:
    """The command line."""
    top = Parser(prog="python -m policies.bench", description=__doc__)
    what = top.add_argument_group("what to time")
    what.add_argument(
        "--policy",
        default="rate,bba,bola,panda,robustmpc,mpc-published",
        help="policies, by commas (default: %(default)s)",
    )
    add_video_option(what)
    what.add_argument("--sessions", type=int, default=20, help="sessions each (default: %(default)s)")
    add_json_option(top.add_argument_group("output"))
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    top = parser()
    options = top.parse_args(arguments)
    if options.sessions < 1:
        top.error(f"--sessions {options.sessions}: must be 1 or more")
    return carried_out(top.prog, lambda: _run(options), (PolicyError, VideoError))


def _run(options: argparse.Namespace) -> int:
    video = load_video(options.video)
    timings = list(
        measure(split_policies(options.policy), video, options.sessions, Scoring().on(video.ladder_kbps))
    )
    if options.json:
        print(json.dumps({"video": video.name, "policies": [asdict(timing) for timing in timings]}))
        return 0
    width = max(len("policy"), *(len(timing.policy) for timing in timings))
    print(f"{'policy':<{width}}{'decisions':>11}{'median ms':>12}{'p99 ms':>10}{'max ms':>10}")
    for timing in timings:
        print(
            f"{timing.policy:<{width}}{timing.decisions:>11}{timing.median_ms:>12.3f}"
            f"{timing.p99_ms:>10.3f}{timing.max_ms:>10.3f}"
        )
    return 0


if __name__ == "__main__":
    exit_with(main)

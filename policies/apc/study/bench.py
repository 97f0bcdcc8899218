"""`bench`: how long routing takes: facts and scheduler, without the light policy's own decision."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from player.observation import Observation
from player.qoe import QoE, Scoring
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.built_in import load_video
from policies.apc import facts
from policies.apc.light import Light, LightDecision
from policies.apc.policy import make_scheduler
from policies.bench import walk
from policies.view.asked import Asked

BOUND_US = 100.0


class _Watches:
    """Plays as the light policy and keeps what it saw."""

    def __init__(self, light: Light) -> None:
        self._light = light
        self.seen: list[tuple[Observation, LightDecision]] = []

    def reset(self, video: Any, seed: int, qoe: QoE) -> None:
        self._light.reset(video, seed, qoe)

    def select(self, observation: Observation) -> int:
        decided = self._light.decide(observation)
        self.seen.append((observation, decided))
        return decided.level


def run(args: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Time; what `--json` says.

    Raises:
        ValueError: no such scheduler or light policy.
    """
    video, watches = load_video("envivio"), _Watches(Light(args.light))
    qoe = Scoring().on(video.ladder_kbps)
    asked = Asked.of(video, qoe)
    for seed in range(args.sessions):
        simulate(video, walk(seed), watches, seed=seed, qoe=qoe, link=PublishedLink())
    report: dict[str, Any] = {"bound_us": BOUND_US, "schedulers": []}
    for kind in args.scheduler:
        scheduler = make_scheduler(kind, args.light, 0.5, None)
        scheduler.reset(0)
        took_us = []
        for observation, light in watches.seen:
            begun_s = time.perf_counter()
            scheduler.route(facts.of(observation, asked, light.level, light.lead))
            took_us.append(1e6 * (time.perf_counter() - begun_s))
        took_us.sort()
        row = {
            "scheduler": kind,
            "decisions": len(took_us),
            "median_us": median(took_us),
            "p99_us": took_us[int(0.99 * (len(took_us) - 1))],
            "within": median(took_us) <= BOUND_US,
        }
        report["schedulers"].append(row)
        say(
            f"{kind:<8} {row['decisions']} decisions, median {row['median_us']:.1f} us,"
            f" p99 {row['p99_us']:.1f} us,"
            f" bound {BOUND_US:g} us at the median: {'within' if row['within'] else 'NOT within'}"
        )
    return report

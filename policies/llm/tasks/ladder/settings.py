"""`settings`: one policy under settings that nobody chose for it, and told how much a second of stall costs.

Thirty drawn from ladders of 3, 6 and 10 levels, chunks of 1, 2, 4 and 8 s, caps of 15, 30 and 60 s and round
trips of 20, 80 and 200 ms, the same thirty each time: ahead of RobustMPC, a tie or behind, with intervals
over lines. Then a rising cost of stalls, on the published ladder and, with the same share of its top level's
quality, on `uhd`: do its stalls fall as RobustMPC's do?
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np

from player.qoe import QoE, published_mu
from player.video.built_in import load_video
from policies.llm.tasks.ladder.brought import brought
from policies.llm.tasks.ladder.sets import (
    AHEAD,
    BEHIND,
    TIE,
    Makes,
    SessionSet,
    Spread,
    chosen,
    maker,
    played,
)
from traces.progress import say
from traces.trace import Trace

LADDERS = (
    (400, 1200, 4000),
    (300, 750, 1200, 1850, 2850, 4300),
    (200, 350, 600, 900, 1300, 1850, 2600, 3500, 4500, 6000),
)
CHUNKS_S = (1.0, 2.0, 4.0, 8.0)
CAPS_S = (15.0, 30.0, 60.0)
RTTS_MS = (20.0, 80.0, 200.0)
SETTINGS, DRAWN_WITH = 30, 14
MUS = (1.0, 4.3, 15.0, 43.0)
"""On the published ladder; its top level has the quality 4.3."""
BASELINE, WIDE = "robustmpc", "uhd"


@dataclass(frozen=True)
class LadderSetting:
    """What is asked for."""

    ladder_kbps: tuple[int, ...]
    chunk_s: float
    cap_s: float
    rtt_ms: float

    def __str__(self) -> str:
        return (
            f"{len(self.ladder_kbps):>2} levels, chunks {self.chunk_s:g} s, cap {self.cap_s:g} s,"
            f" RTT {self.rtt_ms:g} ms"
        )


def drawn_settings() -> tuple[LadderSetting, ...]:
    """The thirty; always the same."""
    every = [LadderSetting(*each) for each in product(LADDERS, CHUNKS_S, CAPS_S, RTTS_MS)]
    places = np.random.default_rng(DRAWN_WITH).choice(len(every), SETTINGS, replace=False)
    return tuple(every[place] for place in sorted(places))


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Play; what `--json` says. Without it the tables are printed.

    Raises:
        AdapterError, BaseError, PolicyError, TraceError, VideoError, ValueError: something is not there, or
            the policy refuses a ladder.
    """
    traces = [trace for spec in args.traces for trace in chosen(spec, args.all)]
    makes = {BASELINE: maker(BASELINE), args.policy: maker(args.policy, args.threads)}
    settings = [under(each, traces, makes, args) for each in drawn_settings()[: args.first]]
    costs = (
        [] if args.no_mu else [each for name in ("envivio", WIDE) for each in told(name, traces, makes, args)]
    )
    counts = Counter(str(row["verdict"]) for row in settings)
    if not args.json:
        show(args.policy, settings, costs)
    return {
        "policy": args.policy,
        "traces": args.traces,
        "settings": settings,
        "counts": {verdict: counts[verdict] for verdict in (AHEAD, TIE, BEHIND)},
        "costs": costs,
    }


def under(
    setting: LadderSetting, traces: list[Trace], makes: dict[str, Makes], args: argparse.Namespace
) -> dict[str, Any]:
    """One of the thirty."""
    video = brought(load_video("envivio"), list(setting.ladder_kbps), setting.chunk_s)
    qoe = QoE(mu=published_mu("linear", video.ladder_kbps))
    sessions = SessionSet.of(
        str(setting), traces, video, qoe, starts=args.starts, rtt_ms=setting.rtt_ms, cap_s=setting.cap_s
    )
    row = _beside(sessions, makes, args)
    say(f"{setting}: {row['verdict']}")
    return asdict(setting) | row


def told(
    name: str, traces: list[Trace], makes: dict[str, Makes], args: argparse.Namespace
) -> list[dict[str, Any]]:
    """A video with a rising cost of stalls, of its own top level's quality."""
    video = load_video(name)
    rows = []
    for asked in MUS:
        mu = asked / MUS[1] * published_mu("linear", video.ladder_kbps)
        qoe = QoE(mu=mu)
        sessions = SessionSet.of(name, traces, video, qoe, starts=args.starts, rtt_ms=80.0, cap_s=60.0)
        rows.append({"video": name, "mu": mu} | _beside(sessions, makes, args))
        say(f"{name}, mu {mu:g}: {rows[-1]['verdict']}")
    return rows


def _beside(sessions: SessionSet, makes: dict[str, Makes], args: argparse.Namespace) -> dict[str, Any]:
    base, mine = (played(sessions, make, args.threads) for make in makes.values())
    spread = Spread.of(mine.qoe - base.qoe, sessions.lines)
    return {
        "sessions": len(mine.qoe),
        "lines": len(set(sessions.lines)),
        "qoe": float(mine.qoe.mean()),
        f"less_{BASELINE}": asdict(spread),
        "verdict": spread.verdict,
        "stall_pct": mine.stall_pct,
        f"{BASELINE}_stall_pct": base.stall_pct,
    }


def show(policy: str, settings: list[dict[str, Any]], costs: list[dict[str, Any]]) -> None:
    """Both tables."""
    head = f"{'QoE':>8}  {'less ' + BASELINE:<26}{'':<7}stalls / {BASELINE}'s"
    if settings:
        print(f"{policy}, {settings[0]['sessions']} sessions on {settings[0]['lines']} lines in each setting")
        print(f"{'levels':>6} {'chunks':>7} {'cap':>5} {'RTT':>7} {head}")
    for row in settings:
        asked = f"{len(row['ladder_kbps']):>6} {row['chunk_s']:>5g} s {row['cap_s']:>3g} s"
        print(f"{asked} {row['rtt_ms']:>4g} ms {_figures(row)}")
    counts = Counter(str(row["verdict"]) for row in settings)
    if settings:
        print(f"{counts[AHEAD]} ahead, {counts[TIE]} ties, {counts[BEHIND]} behind")
    for place, row in enumerate(costs):
        if place % len(MUS) == 0:
            print(f"{row['video']:<10}{'mu':>6}  {head}")
        print(f"{'':<10}{row['mu']:>6.4g}  {_figures(row)}")


def _figures(row: dict[str, Any]) -> str:
    spread = Spread(**row[f"less_{BASELINE}"])
    return (
        f"{row['qoe']:>8.3f}  {spread.words():<26}{row['verdict']:<7}"
        f"{row['stall_pct']:.2f} / {row[f'{BASELINE}_stall_pct']:.2f} %"
    )

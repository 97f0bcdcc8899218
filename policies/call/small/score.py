"""What a net is worth beside GCC and the oracle: bitrate and stall of the same calls, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.call.compiled_rule import CompiledRule
from player.call.feedback_batch import FeedbackBatch
from player.call.path import CallPath
from player.call.scored.kinds import DELAY_MBPS_PER_S, STALL_MBPS
from player.call.scored.outcomes import CallOutcomes, call_outcomes
from player.call.settings import CallSettings
from player.call.simulated.batch import SimulatedCalls
from player.call.simulated.playing import play_rule
from player.call.simulated.told import end_of, seconds_of
from policies.bootstrap import percentile_interval
from policies.call.small.labels import ToldLinks, label_all, teach_all, told_links
from traces.trace import Trace

GCC, ORACLE, TEACHER = "gcc", "oracle", "teacher"
HEAD = f"{'policy':<24}{'Mbit/s':>7}{'stall':>10}{'p95 ms':>7}   more Mbit/s   more stall, points   more QoE"
"""Of the table whose rows are `in_words`."""
POOLED = "all sets"
TOGETHER = 64
"""Calls that are played at a time; it changes no result."""
Plays = Callable[[SimulatedCalls], None]
"""Plays a batch to its end."""


@dataclass(frozen=True)
class Scored:
    """(calls,) of one policy."""

    bitrate_mbps: NDArray[np.float64]
    stall_pct: NDArray[np.float64]
    frame_delay_p95_ms: NDArray[np.float64]
    """The call's length where no frame was seen."""
    lines: tuple[str, ...] = ()
    """(calls,) the trace that each was over; intervals draw whole traces. Empty: each has its own."""

    @classmethod
    def pooled(cls, parts: Mapping[str, Scored]) -> Scored:
        """All calls of sets; intervals draw whole sets."""
        return cls(
            np.concatenate([part.bitrate_mbps for part in parts.values()]),
            np.concatenate([part.stall_pct for part in parts.values()]),
            np.concatenate([part.frame_delay_p95_ms for part in parts.values()]),
            tuple(name for name, part in parts.items() for _ in part.stall_pct),
        )

    @property
    def qoe(self) -> NDArray[np.float64]:
        """(calls,) linear QoE with the usual weights (`player.call.scored.qoe`)."""
        lost = STALL_MBPS * self.stall_pct / 100.0 + DELAY_MBPS_PER_S * self.frame_delay_p95_ms / 1e3
        return np.asarray(self.bitrate_mbps - lost)


@dataclass(frozen=True)
class HowScored:
    """What calls are like in a score."""

    call: CallSettings
    path: CallPath
    threads: int = 1
    starts: int = 1
    """Calls a trace."""
    pooled: bool = False
    """All sets as one besides, such as folders of runs over one path each."""


def plays_rule(rule: CompiledRule, may_probe: bool) -> Plays:
    """A rule plays."""

    def plays(calls: SimulatedCalls) -> None:
        play_rule(calls, rule, may_probe)

    return plays


def plays_oracle(calls: SimulatedCalls) -> None:
    """The oracle plays."""
    _plays_told(calls, label_all)


def plays_teacher(calls: SimulatedCalls) -> None:
    """The teacher plays."""
    _plays_told(calls, teach_all)


def _plays_told(
    calls: SimulatedCalls, rates: Callable[[ToldLinks, FeedbackBatch, NDArray[np.float64]], None]
) -> None:
    """Whoever is told the link plays."""
    links, kbps = told_links(calls), np.zeros(len(calls))
    while True:
        feedback = calls.to_next_feedback()
        if calls.finished.all():
            return
        rates(links, feedback, kbps)
        calls.set_rates(kbps)


def scored(
    traces: Sequence[Trace], plays: Plays, call: CallSettings, path: CallPath, threads: int, starts: int = 1
) -> Scored:
    """Calls over each trace, from its beginning and from places that divide it evenly.

    Args:
        starts: calls a trace.
    """
    over = [(trace, trace.duration_s * place / starts) for trace in traces for place in range(starts)]
    found: list[CallOutcomes] = []
    for first in range(0, len(over), TOGETHER):
        part, start_s = zip(*over[first : first + TOGETHER], strict=True)
        calls = SimulatedCalls(call, part, path, np.arange(first, first + len(part)), start_s, threads)
        plays(calls)
        ends = [(seconds_of(calls, n), end_of(calls, n, 0)) for n in range(len(calls))]
        found += [call_outcomes(call, (), seconds, end) for seconds, end in ends]
    never_ms = 1000.0 * call.duration_s
    return Scored(
        np.array([each.bitrate_mbps for each in found]),
        np.array([100.0 * each.stall_ratio for each in found]),
        np.array([each.frame_delay_p95_ms or never_ms for each in found]),
        tuple(trace.name for trace, _ in over),
    )


def row(name: str, mine: Scored, base: Scored) -> dict[str, Any]:
    """One policy's figures over a set, and what it has more than `base`, with 95 % intervals over traces."""
    gains = {
        "more_mbps": mine.bitrate_mbps - base.bitrate_mbps,
        "more_stall_pts": mine.stall_pct - base.stall_pct,
        "more_qoe": mine.qoe - base.qoe,
    }
    found: dict[str, Any] = {
        "policy": name,
        "bitrate_mbps": float(mine.bitrate_mbps.mean()),
        "stall_pct": float(mine.stall_pct.mean()),
        "frame_delay_p95_ms": float(mine.frame_delay_p95_ms.mean()),
        "more_bitrate_pct": 100.0 * float(gains["more_mbps"].mean() / base.bitrate_mbps.mean()),
    }
    for what, values in gains.items():
        found[what] = float(values.mean())
        found[f"{what}_ci95"] = list(percentile_interval(values, mine.lines or None))
    return found


def in_words(found: dict[str, Any]) -> str:
    """A row of the table."""
    (low, high), (less, most) = found["more_mbps_ci95"], found["more_stall_pts_ci95"]
    worse, better = found["more_qoe_ci95"]
    return (
        f"{found['policy']:<24}{found['bitrate_mbps']:>7.3f}{found['stall_pct']:>8.2f} %"
        f"{found['frame_delay_p95_ms']:>7.0f}   {found['more_mbps']:+.3f} [{low:+.3f}, {high:+.3f}]"
        f" ({found['more_bitrate_pct']:+.1f} %)   {found['more_stall_pts']:+.2f} [{less:+.2f}, {most:+.2f}]"
        f"   {found['more_qoe']:+.3f} [{worse:+.3f}, {better:+.3f}]"
    )


def score_sets(
    sets: Mapping[str, Sequence[Trace]],
    players: Mapping[str, Plays],
    how: HowScored,
    say: Callable[[str], None],
) -> dict[str, list[dict[str, Any]]]:
    """By set, and as `POOLED` of all sets where that is asked for: a row a player, the first of which is what
    the others are held against."""
    first = next(iter(players))
    found: dict[str, dict[str, Scored]] = {}
    tables: dict[str, list[dict[str, Any]]] = {}
    for spec, traces in sets.items():
        found[spec] = {
            name: scored(traces, plays, how.call, how.path, how.threads, how.starts)
            for name, plays in players.items()
        }
        tables[spec] = _table(spec, found[spec], first, f"{len(traces)} traces", how, say)
    if how.pooled:
        whole = {name: Scored.pooled({spec: each[name] for spec, each in found.items()}) for name in players}
        tables[POOLED] = _table(POOLED, whole, first, f"{len(sets)} sets", how, say)
    return tables


def _table(
    spec: str, found: Mapping[str, Scored], first: str, over: str, how: HowScored, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    rows = [row(name, each, found[first]) for name, each in found.items()]
    calls = f"{len(found[first].stall_pct)} calls of {how.call.duration_s:g} s"
    say(f"{spec}: {calls}; more than {first} [95 % over {over}]")
    for line in (HEAD, *map(in_words, rows)):
        say(line)
    return rows

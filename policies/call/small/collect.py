"""Calls to learn from: what the net would have been told at every feedback, and what the teacher says there.

The teacher says its rate at any state, so anybody may drive: GCC, the teacher's own rate gone astray, the
net.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.call.compiled_rule import CompiledRule
from player.call.feedback_batch import FeedbackBatch
from player.call.path import CallPath
from player.call.settings import CallSettings
from player.call.simulated.batch import SimulatedCalls
from policies.call.small.inputs import INTERVALS, NUMBERS, ROWS_WIDTH
from policies.call.small.labels import teach_all, told_links
from policies.call.small.memory import MEMORIES
from policies.call.small.net import SmallNet
from policies.call.small.steps import begin, new_state, watch_all
from policies.call.small.teacher import TEACHER_MARGIN
from traces.trace import Trace

GROUP = 32
"""Calls over one path."""
DEFAULT_SHARE = 0.5
"""Of the groups, that have the usual path; of the others everything is drawn."""
THIN_SHARE, THINNEST = 0.5, 0.15
"""Of the links, that carry less than their trace says, all of it by one factor, and the least factor:
families have few links of 0.2 Mbit/s."""
ASTRAY = 0.35
"""Deviation of the logarithm of what the teacher's rate is multiplied by, where it goes astray …"""
ASTRAY_FOR = 40
"""… for so many feedbacks in the mean."""
FIRST_ROWS = INTERVALS - 1
OVER = 2.0
"""Labels go up to so many times what a call may ask for: a link that carries much more is told from one that
carries just that, so that neither an error nor a `scale` below 1 keeps a call below its most for nothing."""
STILL_AWAY_MS = 400.0
"""Reports of a call's last moments don't come back within it, on any path that is drawn."""

Drives = Callable[[FeedbackBatch, NDArray[np.float64]], NDArray[np.float64]]
"""(feedback, the teacher's rates) to (N,) rates, kbit/s."""


@dataclass(frozen=True)
class Watched:
    """N calls of I feedbacks."""

    rows: NDArray[np.float32]
    """(N, FIRST_ROWS + I, NUMBERS) with the rows that there are before the first feedback."""
    recalled: NDArray[np.float32]
    """(N, I, MEMORIES)."""
    labels: NDArray[np.float32]
    """(N, I) of `label_of`."""
    over: NDArray[np.float32]
    """(N,) what the square of an error upwards counts, of one downwards."""

    @classmethod
    def joined(cls, parts: Sequence[Watched]) -> Watched:
        """All calls of parts."""
        return cls(
            np.concatenate([part.rows for part in parts]),
            np.concatenate([part.recalled for part in parts]),
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.over for part in parts]),
        )

    def told(self, calls: NDArray[np.int64], feedbacks: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, WIDTH) what the net is told at n feedbacks."""
        rows = windows(self)[calls, feedbacks].reshape(len(calls), ROWS_WIDTH)
        return np.concatenate([rows, self.recalled[calls, feedbacks]], axis=1)


def watch(calls: SimulatedCalls, drives: Drives, net: SmallNet, margin: float = TEACHER_MARGIN) -> Watched:
    """Play a batch, all but its last moments, and keep what the net would have been told.

    Args:
        net: any; its state is what keeps the rows.
        margin: the teacher's.
    """
    call, count = calls.call, len(calls)
    kept = call.intervals - round(STILL_AWAY_MS / call.feedback_ms)
    state, links = new_state(count, net, 1.0), told_links(calls)
    for n in range(count):
        begin(state, n, call.start_kbps, call.min_kbps, call.max_kbps, False)
    rows = np.zeros((kept + FIRST_ROWS, count, NUMBERS), np.float32)
    rows[:FIRST_ROWS] = state.rows[:, 0]
    recalled = np.zeros((kept, count, MEMORIES), np.float32)
    labels, told = np.zeros((kept, count), np.float32), np.zeros(count)
    for heard in range(kept):
        feedback = calls.to_next_feedback()
        watch_all(state, feedback, rows[FIRST_ROWS + heard], recalled[heard])
        teach_all(links, feedback, told, margin)
        labels[heard] = label_of(told, call)
        calls.set_rates(drives(feedback, told))
    return Watched(
        np.ascontiguousarray(rows.transpose(1, 0, 2)),
        np.ascontiguousarray(recalled.transpose(1, 0, 2)),
        np.ascontiguousarray(labels.T),
        np.ones(count, np.float32),
    )


def label_of(told_kbps: NDArray[np.float64], call: CallSettings) -> NDArray[np.float64]:
    """What is taught of the teacher's rates: the logarithm of Mbit/s, within bounds."""
    return np.asarray(np.log(np.clip(told_kbps, call.min_kbps, OVER * call.max_kbps) / 1000.0))


def by_rule(rule: CompiledRule, call: CallSettings, count: int) -> Drives:
    """A rule drives; it sends no probes."""
    state, kbps, probes = rule.new_state(count), np.zeros(count), np.zeros(count)
    for n in range(count):
        rule.begin(state, n, call.start_kbps, call.min_kbps, call.max_kbps, False)

    def drives(feedback: FeedbackBatch, told: NDArray[np.float64]) -> NDArray[np.float64]:
        rule.step_all(state, feedback, kbps, probes)
        return kbps

    return drives


def by_oracle_astray(random: np.random.Generator, count: int) -> Drives:
    """The teacher's rate times a factor that changes now and then drives: states that no good rule sees."""
    factor = np.ones(count)

    def drives(feedback: FeedbackBatch, told: NDArray[np.float64]) -> NDArray[np.float64]:
        changes = random.random(count) < 1.0 / ASTRAY_FOR
        factor[changes] = np.exp(random.normal(0.0, ASTRAY, int(changes.sum())))
        return told * factor

    return drives


def drawn_path(random: np.random.Generator) -> CallPath:
    """A path to learn on: the usual one, or one with everything drawn."""
    if random.random() < DEFAULT_SHARE:
        return CallPath()
    rtt_ms = float(np.exp(random.uniform(np.log(20.0), np.log(200.0))))
    media_ms = rtt_ms / 2.0
    return CallPath(
        rtt_ms=rtt_ms,
        media_delay_ms=media_ms,
        queue_ms=float(np.exp(random.uniform(np.log(100.0), np.log(500.0)))),
        media_jitter_ms=min(float(random.choice([0.0, 2.0, 5.0])), media_ms),
        grant_ms=float(random.choice([0.0, 0.0, 5.0, 10.0])),
    )


def drawn_link(trace: Trace, random: np.random.Generator) -> Trace:
    """A link to learn on: the trace's, or a thinner one."""
    if random.random() >= THIN_SHARE:
        return trace
    factor = float(np.exp(random.uniform(np.log(THINNEST), 0.0)))
    return replace(trace, rate_mbps=tuple((factor * np.asarray(trace.rate_mbps)).tolist()))


def collected(
    traces: Sequence[Trace],
    call: CallSettings,
    random: np.random.Generator,
    makes: Callable[[int], Drives],
    net: SmallNet,
    threads: int,
    margin: float = TEACHER_MARGIN,
) -> Watched:
    """A call over each trace, from a moment that is drawn, in groups of one path.

    Args:
        makes: (calls of a group) who drives it.
        margin: the teacher's.
    """
    parts = []
    for first in range(0, len(traces), GROUP):
        group = [drawn_link(trace, random) for trace in traces[first : first + GROUP]]
        starts = [float(random.uniform(0.0, trace.duration_s)) for trace in group]
        seeds = random.integers(1 << 62, size=len(group))
        calls = SimulatedCalls(call, group, drawn_path(random), seeds, starts, threads)
        parts.append(watch(calls, makes(len(group)), net, margin))
    return Watched.joined(parts)


def windows(watched: Watched) -> Any:
    """(N, I, INTERVALS, NUMBERS) views: the rows that the net is told at each feedback, the oldest first."""
    views = np.lib.stride_tricks.sliding_window_view(watched.rows, INTERVALS, axis=1)
    return views.transpose(0, 1, 3, 2)

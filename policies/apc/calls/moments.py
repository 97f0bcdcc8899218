"""What asking the model gains in calls, decision by decision: the data that thresholds are made from.

As `policies/apc/study/moments.py` for videos: calls are played with half of the decisions drawn for the
model; every so often both rates, the model's and the light policy's, are played out for some seconds from the
same state, the light policy deciding after the choice, and the gain is what the model's brings more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from player.call.media.freezes import stalled_s
from player.call.scored.kinds import DELAY_MBPS_PER_S, STALL_MBPS
from player.call.settings import CallSettings
from player.call.simulated.batch import SimulatedCalls
from policies.apc.call_facts import NAMES
from policies.apc.calls.batch import Heard
from policies.apc.study.moments import Moments
from policies.call.small.collect import GROUP, drawn_path
from policies.llm.engine.engine import Engine
from policies.llm.tasks.call.names import SCALE
from policies.llm.tasks.call.play import EngineRates, LastIntervals
from traces.trace import Trace

EXPLORED = 0.5
"""Share of decisions that the model makes while data are collected."""
EVERY = 5
"""Of so many decisions one is played out: one a second."""
AHEAD_S = 3.0
"""How long a choice is played out."""
NEAR = 0.1
"""Rates whose logarithms are no further apart are the same."""

Floats = NDArray[np.float64]


class Batch:
    """Calls side by side, with all that decides in them.

    Args:
        light: the light policy's name.
        random: draws who decides.
    """

    def __init__(
        self, calls: SimulatedCalls, engine: Engine, light: str, random: np.random.Generator, scale: float
    ) -> None:
        self._calls, self._random = calls, random
        self._heard = Heard(calls, light)
        self._model, self._last = EngineRates(engine, len(calls), scale), LastIntervals(calls)

    def moments(self) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """Play to the end: (moments, calls, facts), and (moments, calls) gains and whether the two differ."""
        call, found = self._calls.call, []
        every, ahead = call.intervals_a_decision, round(1000.0 * AHEAD_S / call.feedback_ms)
        held, last = np.full(len(self._calls), np.nan), call.intervals - 2 * every
        try:
            for heard in range(1, last):
                self._heard.next()
                self._last.note()
                if heard % every == 0:
                    model = np.clip(self._model.kbps(self._last.vectors()), call.min_kbps, call.max_kbps)
                    if heard % (EVERY * every) == 0 and heard + ahead < last:
                        found.append(self._played_out(model, ahead))
                    held = np.where(self._random.random(len(held)) < EXPLORED, model, np.nan)
                    self._heard.set(held, guard=False)
                else:
                    held = self._heard.set(held)
        finally:
            self._model.close()
        facts, gains, differ = (np.stack(each) for each in zip(*found, strict=True))
        return facts, gains, differ

    def _played_out(self, model: Floats, ahead: int) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """(calls, facts), (calls,) gains, (calls,) whether the two differ."""
        light = self._heard.light.kbps
        differ = np.abs(np.log(model / np.maximum(light, 1.0))) > NEAR
        gains = self._worth(model, True, ahead) - self._worth(light, False, ahead)
        return self._heard.all_facts().copy(), np.where(differ, gains, 0.0), differ

    def _worth(self, kbps: Floats, holds: bool, ahead: int) -> Floats:
        """(calls,) linear QoE of what follows a choice; then the light policy decides, by what came of it.

        Args:
            holds: whether the rate holds until the next decision.
        """
        calls, light = self._calls.copy(), self._heard.light.copy()
        before = Window.of(calls)
        calls.set_rates(kbps)
        for heard in range(1, ahead + 1):
            feedback = calls.to_next_feedback()
            rates = light.hear(feedback)
            if heard >= calls.call.intervals_a_decision or not holds:
                calls.set_rates(rates)
        return before.worth(calls)


@dataclass(frozen=True)
class Window:
    """What had come when a choice was made."""

    at_s: Floats
    media_bytes: NDArray[np.int64]

    @classmethod
    def of(cls, calls: SimulatedCalls) -> Window:
        """Now."""
        return cls(calls.feedback.now_s.copy(), _came(calls))

    def worth(self, calls: SimulatedCalls) -> Floats:
        """(calls,) Mbit/s since then, less stalls' share and frames' mean delay by linear QoE's weights."""
        until_s = calls.feedback.now_s
        mbps = 8e-6 * (_came(calls) - self.media_bytes) / (until_s - self.at_s)
        lost = [_lost(calls, n, self.at_s[n], float(until_s[n])) for n in range(len(calls))]
        return np.asarray(mbps - np.array(lost))


def _came(calls: SimulatedCalls) -> NDArray[np.int64]:
    return np.asarray(calls.receiver.seconds["media_bytes"].sum(axis=1))


def _lost(calls: SimulatedCalls, n: int, begin_s: float, end_s: float) -> float:
    """What stalls and delay cost call `n` between two times, Mbit/s."""
    shown = calls.receiver.shown[n][: int(calls.receiver.record[n]["shown"])]
    since = shown[shown["at_s"] > begin_s]
    stalled, _ = stalled_s(shown["at_s"], begin_s, end_s)
    waited_s = float((since["at_s"] - since["captured_s"]).mean()) if len(since) else end_s - begin_s
    return STALL_MBPS * stalled / (end_s - begin_s) + DELAY_MBPS_PER_S * waited_s


def collect(
    engine: Engine,
    traces: Sequence[Trace],
    light: str,
    *,
    duration_s: float,
    seed: int,
    threads: int = 1,
    scale: float = SCALE,
    say: Callable[[str], None] = lambda text: None,
) -> Moments:
    """A call over each trace, from a drawn moment and over drawn paths, and what asking gains in it.

    Args:
        engine: with a slot for each of `GROUP` calls.
        light: the light policy's name.
    """
    random, call = np.random.default_rng(seed), CallSettings(duration_s=duration_s, warm_up_s=0.0)
    parts = []
    for first in range(0, len(traces), GROUP):
        group = traces[first : first + GROUP]
        starts = [float(random.uniform(0.0, trace.duration_s)) for trace in group]
        seeds = random.integers(1 << 62, size=len(group))
        calls = SimulatedCalls(call, group, drawn_path(random), seeds, starts, threads)
        facts, gains, differ = Batch(calls, engine, light, random, scale).moments()
        lines = np.tile(np.arange(first, first + len(group)), len(gains))
        parts.append((facts.reshape(-1, len(NAMES)), gains.ravel(), differ.ravel(), lines))
        say(f"{first + len(group)} of {len(traces)} calls, {sum(len(part[1]) for part in parts)} decisions")
    joined = [np.concatenate(each) for each in zip(*parts, strict=True)]
    return Moments(joined[0], joined[1], joined[2], joined[3], names=NAMES)

"""The view of one client, with numpy alone: `batch.py` fills the same for every session of a batch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from player.observation import Observation, PastChunk
from policies.rules.throughput import FLOOR_MBPS, harmonic_mean_mbps, observed_mbps, robust_mbps
from policies.view import layout
from policies.view.asked import Asked, Floats
from policies.view.layout import PLACES, Vectors, options_of
from policies.view.plans import plan_steps, planned_values


def view_of(observation: Observation, asked: Asked) -> Vectors:
    """(WIDTH,) of one client.

    Args:
        observation: with one chunk or more still to come; it may be the first of all. Its sizes have a
            column for each of the ladder's levels.
        asked: of at most MAX_LEVELS levels.
    """
    vector = np.zeros(layout.WIDTH, np.float32)
    _fill_session(vector, observation, asked)
    sizes_mbit = 8.0 * np.asarray(observation.next_sizes_bytes, np.float64) / 1e6  # (shown, levels)
    _fill_levels(options_of(vector), sizes_mbit, observation.last_level, asked)
    past = observation.history
    if past:
        recent = past[-layout.HISTORY :]
        place = layout.HISTORY - len(recent)
        vector[PLACES["throughput"]][place:] = [rate(each.throughput_mbps * asked.scale) for each in recent]
        vector[PLACES["download"]][place:] = [math.log1p(each.download_s) for each in recent]
        mbit_s = asked.scale * 8.0 / 1e6 / asked.chunk_s / layout.TOP_MBPS
        vector[PLACES["size"]][place:] = [each.size_bytes * mbit_s for each in recent]
        links = _LinkRates(past)
        vector[PLACES["memory"]] = links.memory(asked.scale, asked.chunk_s)
        guesses = _guesses(past, links)
        vector[PLACES["guesses"]] = rates(guesses * asked.scale)
        _fill_plans(options_of(vector), sizes_mbit, guesses, observation, asked)
    return np.clip(vector, -layout.LIMIT, layout.LIMIT, out=vector)


def rate(mbps: float) -> float:
    """A relative rate's logarithm as the view shows it."""
    return math.log1p(layout.RATE_SCALE * mbps)


def rates(mbps: Floats) -> Floats:
    """The same of many."""
    return np.log1p(layout.RATE_SCALE * mbps)


def _fill_session(vector: Vectors, observation: Observation, asked: Asked) -> None:
    """`playback`, `asked` and `ladder`."""
    past, left, chunk_s = observation.history, observation.chunks_left, asked.chunk_s
    buffer_s, cap_s = observation.buffer_s, observation.buffer_cap_s
    steps = plan_steps(chunk_s, left)
    stalled_s = sum(each.stall_s for each in past)
    vector[PLACES["playback"]] = (
        buffer_s / 10.0,
        buffer_s / cap_s,
        buffer_s / chunk_s / 10.0,
        cap_s / 60.0,
        min(left / 48.0, 4.0),
        min(left * chunk_s / 192.0, 4.0),
        left / steps / 8.0 if left < 8 * steps else 1.0,
        1.0 / left,
        math.log1p(past[-1].stall_s) if past else 0.0,
        math.log1p(stalled_s / (len(past) * chunk_s)) if past else 0.0,
    )
    mu = asked.relative_mu
    rtt_s = past[-1].rtt_ms / 1000.0 if past else 0.0
    vector[PLACES["asked"]] = (
        math.log1p(mu),
        mu / (mu + layout.TOP_MBPS),
        asked.smooth,
        chunk_s / 4.0,
        math.log(chunk_s / 4.0),
        math.log1p(10.0 * rtt_s),
    )
    last = past[-1].level if past else 0
    vector[PLACES["ladder"]] = (
        asked.levels / layout.MAX_LEVELS,
        last / max(asked.levels - 1, 1),
        asked.relative_quality[last] / layout.SPAN,
        asked.rates[last] / layout.TOP_MBPS,
        asked.rates[0] / layout.TOP_MBPS,
        math.log(asked.ladder_kbps[-1] / 1000.0),
        1.0 if past else 0.0,
    )


def _fill_levels(rows: Vectors, sizes_mbit: Floats, last: int | None, asked: Asked) -> None:
    """What is known of each level before anything was downloaded."""
    quality, count = asked.relative_quality, asked.levels
    rows[:count, layout.EXISTS] = 1.0
    rows[:count, layout.QUALITY] = quality / layout.SPAN
    rows[:count, layout.RATE] = asked.rates / layout.TOP_MBPS
    relative = sizes_mbit * (asked.scale / asked.chunk_s / layout.TOP_MBPS)
    rows[:count, layout.NEXT] = relative[0]
    rows[:count, layout.MEAN_AHEAD] = relative[: layout.AHEAD].mean(axis=0)
    rows[count - 1, layout.IS_TOP] = 1.0
    if last is not None:
        rows[:count, layout.CHANGE] = (quality - quality[last]) / layout.SPAN
        rows[last, layout.IS_LAST] = 1.0


class _LinkRates:
    """What each past chunk says of the link alone, and what it took.

    Args:
        past: one chunk or more.
    """

    def __init__(self, past: Sequence[PastChunk]) -> None:
        self.mbit = np.array([8.0 * each.size_bytes / 1e6 for each in past])
        self.download_s = np.array([each.download_s for each in past])
        round_trip_s = np.array([each.rtt_ms / 1000.0 for each in past])
        most = layout.ROUND_TRIP_SHARE * self.download_s
        self.net_s = self.download_s - np.minimum(round_trip_s, most)
        self.mbps = np.maximum(self.mbit / self.net_s, FLOOR_MBPS)
        self.round_trip_s = past[-1].rtt_ms / 1000.0

    def average(self, half_life_s: float) -> float:
        """The running average in which a rate's weight halves with every so many seconds of download."""
        since_s = np.cumsum(self.net_s[::-1])[::-1] - self.net_s  # after each
        weights = np.exp2(-since_s / half_life_s) * (1.0 - np.exp2(-self.net_s / half_life_s))
        return float((weights * self.mbps).sum() / weights.sum())

    def quantile(self, share: float) -> float:
        ordered = np.sort(self.mbps)
        return float(ordered[int(share * (len(ordered) - 1))])

    def memory(self, scale: float, chunk_s: float) -> tuple[float, ...]:
        """The numbers of `memory` in their order."""
        count, long = len(self.mbps), layout.LONG
        logs = rates(self.mbps * scale)
        mean = float(logs.mean())
        ages_s = np.arange(count - 1, -1, -1) * chunk_s
        worst = count - 1 - int(np.argmax(self.download_s[::-1]))
        total = self.mbit.sum() / self.net_s.sum()
        lately = self.mbit[-long:].sum() / self.net_s[-long:].sum()
        return (
            mean,
            math.sqrt(max(float((logs * logs).mean()) - mean * mean, 0.0)),
            float(logs.min()),
            float(logs.max()),
            float(np.abs(np.diff(logs)).sum()) / max(count - 1, 1),
            *(rate(self.quantile(share) * scale) for share in layout.QUANTILES),
            math.log1p(self.download_s.max()),
            math.log1p(self.download_s[-long:].max()),
            math.log1p(float((self.download_s * np.exp2(-ages_s / layout.FADE_S)).max())),
            math.log1p(ages_s[worst]),
            rate(float(total) * scale),
            rate(float(lately) * scale),
            math.log1p(count) / 4.0,
        )


def _guesses(past: Sequence[PastChunk], links: _LinkRates) -> Floats:
    """(guesses,) Mbit/s in the order of `layout.GUESSES`."""
    mean = harmonic_mean_mbps(past)
    return np.array([
        robust_mbps(past),
        mean,
        observed_mbps(past[-1]),
        layout.LOWER_SHARE * mean,
        layout.HIGHER_SHARE * mean,
        links.quantile(layout.QUANTILES[0]),
        links.mbps[-layout.LONG :].min(),
        links.average(layout.SLOW_S),
        links.average(layout.FAST_S),
    ])  # fmt: skip


def _fill_plans(
    rows: Vectors, sizes_mbit: Floats, guesses: Floats, observation: Observation, asked: Asked
) -> None:
    """What follows from taking each level, at each guess."""
    count, chunk_s, buffer_s = asked.levels, asked.chunk_s, observation.buffer_s
    last = observation.history[-1]
    steps = plan_steps(chunk_s, observation.chunks_left)
    known = sizes_mbit[:steps]
    nominal = np.asarray(asked.ladder_kbps) / 1000.0 * chunk_s
    plan_mbit = np.concatenate((known, np.broadcast_to(nominal, (steps - len(known), count))))
    trips_s = np.where(np.arange(len(guesses)) >= layout.LOW, last.rtt_ms / 1000.0, 0.0)
    download_s = plan_mbit[None] / guesses[:, None, None] + trips_s[:, None, None]
    mu = asked.relative_mu
    values = planned_values(
        download_s, buffer_s, observation.buffer_cap_s, chunk_s, last.level,
        asked.relative_quality, mu, asked.smooth,
    )  # fmt: skip
    lost = np.maximum(values - values.max(axis=1, keepdims=True), layout.WORST_VALUE)
    rows[:count, layout.PLANNED : layout.SLACK] = lost.T
    first_s = download_s[:, 0]
    for place, guess in enumerate((layout.MEAN, layout.SLOW, layout.LOW, layout.LOWEST)):
        slack = (buffer_s - first_s[guess]) / 10.0
        rows[:count, layout.SLACK + place] = np.clip(slack, -layout.SLACK_LIMIT, layout.SLACK_LIMIT)
    stall_s = np.maximum(first_s[layout.LOW] - buffer_s, 0.0)
    rows[:count, layout.STALL] = np.log1p(stall_s)
    rows[:count, layout.STALL + 1] = np.log1p(mu * stall_s)
    for place, guess in enumerate((layout.SLOW, layout.LOW)):
        drain = np.log(first_s[guess] / chunk_s)
        rows[:count, layout.DRAIN + place] = np.clip(drain, -layout.DRAIN_LIMIT, layout.DRAIN_LIMIT)
